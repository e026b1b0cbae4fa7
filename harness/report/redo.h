/* The command that measures a claim again. Internal to report/. */
#pragma once

#include <jansson.h>

/*
 * "fleetlab run shmipc --only C1 --profile quick", with the parameters (-p) that the record's run
 * was given; caller frees. NULL where nothing of the claim can be run, by this build at least, and
 * where the record holds words that a shell would not take as they are: what a reader copies must
 * be harmless, and must work.
 */
char *redo_command(const json_t *record, const json_t *paper, const json_t *claim);
