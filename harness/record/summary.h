/*
 * What the index keeps of a record, as rows ready for its tables. Pure: the same record gives the
 * same rows on every host. Internal to record/.
 *
 * {"run": {id, started_s, started, finished, state, complete, synthetic, altered, notes, version,
 *          commit, profile, seed, mechanisms, command, images, planned, ok, failed, invalid,
 *          skipped, wall_s, disk_bytes},
 *  "host": {hash, fields}, "fingerprint": {hash, kernel, microcode, cpu, qemu, libvirt,
 *          accelerator, accelerator_reason, distribution, fields},
 *  "outcomes": [{mechanism, experiment, variant, outcome, trials}],
 *  "metrics": [{mechanism, experiment, variant, metric, at, unit, settings, median, low, high, n}],
 *  "claims": [{claim, paper, verdict, reason, kind, measured, low, high, unit, pairs, published,
 *          published_low, published_high, comparable, comparable_reason, evidence, wall_s,
 *          disk_bytes}]}
 *
 * index.h says what the fields mean. Texts and lists are cut to what is shown of them (cut.h): a
 * "run" is below 16 KiB.
 */
#pragma once

#include "harness/record/record.h"

/* More series than any plan of ours has by far; bounds the time that a made-up record costs. */
#define SUMMARY_MAX_SERIES 20000

/* *summary is owned by the caller. ERROR_USAGE: it is a record, but none that can be placed in time
 * or that has absurdly many series. */
struct error *summary_of_record(const struct record *record, json_t **summary);

/* {"host": …, "fingerprint": …} of a record's host facts. */
json_t *summary_of_host(const json_t *facts);

/* One row for each series of readings; NULL when there are more than SUMMARY_MAX_SERIES. */
json_t *summary_metrics(const json_t *record);
