/* The journal of borrowed knobs on disk, for knobs.c alone. */
#pragma once

#include "harness/base/error.h"

/* Keeps the journal in `runtime_dir` instead of fs_runtime_dir(); NULL means the real place. */
void knob_journal_relocate(const char *runtime_dir);

/* Path of a file beside the journal; caller frees. */
char *knob_journal_path(const char *name);

/* To be held during every change of the journal; given back by closing `*fd`. */
struct error *knob_journal_lock(int *fd);

/* All entries, an empty array when there is no journal. Caller owns it. */
struct error *knob_journal_load(json_t **entries);

/* On disk (synced) when it returns. No entries means no journal. */
struct error *knob_journal_store(const json_t *entries);
