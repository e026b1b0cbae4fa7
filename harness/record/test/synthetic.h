/*
 * Makes run records for tests: seeded, marked synthetic, with effects of known size. Include once
 * in a test file.
 */
#pragma once

#include "harness/base/cleanup.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>

/* Noise of about `share` around 1, from the caller's generator. */
static inline double synthetic_noise(uint64_t *state, double share)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return 1 + share * (((double)(*state >> 33) / 2147483648.0) - 0.5) * 2;
}

static inline json_t *synthetic_record(const char *mechanism, const char *accelerator)
{
	return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:{s:s, s:s}, s:[s,s,s],"
			 " s:{s:{s:s, s:s}, s:s, s:s}, s:[],"
			 " s:{s:i, s:s, s:[s], s:i, s:f, s:f, s:[]}, s:[]}",
		"schema", "fleetlab.run/1", "id", "20260131T201512Z-3f9a1c", "synthetic", 1,
		"started", "2026-01-31T20:15:12Z", "finished", "2026-01-31T20:17:00Z", "state",
		"complete", "build", "version", "0.1.0", "commit", "0123456789ab", "command",
		"fleetlab", "run", mechanism, "host", "accelerator", "name", accelerator, "reason",
		"made for a test", "cpu", "Intel(R) Core(TM) i7-3770 CPU @ 3.40GHz", "kernel",
		"6.1.0", "images", "plan", "seed", 42, "profile", "quick", "mechanisms", mechanism,
		"budget_s", 0, "expected_s", 90.0, "expected_disk_bytes", 1e6, "trials", "trials");
}

/* Appends a trial without samples; borrowed. */
static inline json_t *synthetic_trial(json_t *record, const char *mechanism, const char *experiment,
	const char *variant, const char *role, int block, int half)
{
	json_t *trials = json_object_get(record, "trials");
	json_t *trial = json_pack("{s:i, s:s, s:s, s:i, s:i, s:i, s:s, s:s, s:{}, s:s, s:s, s:[],"
				  " s:[{s:s, s:s, s:i, s:s, s:b}], s:s, s:f, s:f}",
		"index", (int)json_array_size(trials), "mechanism", mechanism, "experiment",
		experiment, "block", block, "order", 0, "half", half, "variant", variant, "role",
		role, "parameters", "boot", "template", "outcome", "ok", "samples", "evidence",
		"name", "region-bytes", "text", "bytes seen from the host", "value", 65536, "unit",
		"bytes", "ok", 1, "started", "2026-01-31T20:15:12Z", "wall_s", 3.0, "disk_bytes",
		1000.0);

	json_array_append_new(trials, trial);
	json_array_append_new(json_object_get(json_object_get(record, "plan"), "trials"),
		json_pack("{s:O, s:s, s:s, s:i, s:i, s:s}", "index",
			json_object_get(trial, "index"), "mechanism", mechanism, "experiment",
			experiment, "block", block, "half", half, "variant", variant));
	return trial;
}

/* Appends a sample of one value; `ints` > 0 gives it that coordinate. */
static inline void synthetic_sample(
	json_t *trial, const char *metric, const char *unit, int ints, double value)
{
	json_t *sample =
		json_pack("{s:s, s:s, s:[f]}", "metric", metric, "unit", unit, "values", value);

	if (ints > 0)
		json_object_set_new(sample, "at", json_pack("{s:i}", "ints", ints));
	json_array_append_new(json_object_get(trial, "samples"), sample);
}

/* One experiment with two variants, `pairs` pairs in ABBA blocks: baseline 100, subject 100 times
 * `ratio`, both with noise of `noise`. */
static inline void synthetic_pairs(json_t *record, const char *mechanism, const char *experiment,
	const char *subject, const char *baseline, const char *metric, const char *unit, int ints,
	int pairs, double ratio, double noise)
{
	uint64_t state = 7;

	for (int i = 0; i < pairs; i++) {
		json_t *a = synthetic_trial(
			record, mechanism, experiment, subject, "subject", i / 2, i % 2);
		json_t *b = synthetic_trial(
			record, mechanism, experiment, baseline, "baseline", i / 2, i % 2);
		double block = synthetic_noise(&state, 0.2);

		synthetic_sample(a, metric, unit, ints,
			100 * ratio * block * synthetic_noise(&state, noise));
		synthetic_sample(
			b, metric, unit, ints, 100 * block * synthetic_noise(&state, noise));
	}
}

/* Pairs of one experiment whose ratios are these: baseline 100, no noise. */
static inline void synthetic_ratios(json_t *record, const char *experiment, const char *subject,
	const char *baseline, const char *metric, const double *ratios, int pairs)
{
	for (int i = 0; i < pairs; i++) {
		json_t *a = synthetic_trial(
			record, "null", experiment, subject, "subject", i / 2, i % 2);
		json_t *b = synthetic_trial(
			record, "null", experiment, baseline, "baseline", i / 2, i % 2);

		synthetic_sample(a, metric, "us", 0, 100 * ratios[i]);
		synthetic_sample(b, metric, "us", 0, 100);
	}
}

/* Downtimes of paper D's claim D3b in eight pairs: Xen-Nest's is twice VMBeam's, Xen-Blanket's is
 * now above and now below `blanket` times Xen-Nest's. Both must be above 1. */
static inline json_t *synthetic_downtimes(double blanket)
{
	static const char *const variants[] = {"vmbeam", "nest", "blanket"};
	json_t *record = synthetic_record("zerocopy", "tcg");

	for (int i = 0; i < 8; i++) {
		const double seconds[] = {0.5, 1, blanket * (i % 2 ? 1.25 : 0.8)};

		for (int v = 0; v < 3; v++) {
			json_t *trial = synthetic_trial(record, "zerocopy", "migration",
				variants[v], v ? "baseline" : "subject", i / 2, i % 2);

			json_array_append_new(json_object_get(trial, "samples"),
				json_pack("{s:s, s:s, s:{s:i}, s:[f]}", "metric", "downtime",
					"unit", "s", "at", "memory_mib", 512, "values",
					seconds[v]));
		}
	}
	return record;
}

/* Paper C as a run of it could look: message passing `ratio` times as slow as shared memory. */
static inline json_t *synthetic_shmipc(int pairs, double ratio)
{
	static const struct {
		const char *name, *role;
		double factor; /* 0: set by `ratio` */
	} variants[] = {{"shm-polling", "subject", 1}, {"shm-doorbell", "subject", 3},
		{"tcp-naive", "baseline", 0}, {"tcp-nodelay", "baseline", 30},
		{"udp", "baseline", 25}, {"tcp-e1000", "baseline", 60}};
	json_t *record = synthetic_record("shmipc", "tcg");
	uint64_t state = 11;

	for (int i = 0; i < pairs; i++) {
		for (size_t v = 0; v < ARRAY_SIZE(variants); v++) {
			json_t *trial = synthetic_trial(record, "shmipc", "roundtrip",
				variants[v].name, variants[v].role, i / 2, i % 2);
			double factor = variants[v].factor > 0 ? variants[v].factor : ratio;
			double time = 90 * factor * synthetic_noise(&state, 0.1);

			synthetic_sample(trial, "roundtrip", "us", 8192, time);
			if (variants[v].factor > 0)
				continue;
			synthetic_sample(trial, "switching_paper", "us", 0, 0.6 * time);
			synthetic_sample(trial, "switching_syscalls", "us", 0, 0.1 * time);
			synthetic_sample(trial, "roundtrip_less_paper", "us", 0, 0.4 * time);
			synthetic_sample(trial, "roundtrip_less_syscalls", "us", 0, 0.9 * time);
		}
	}
	for (int i = 0; i < 2; i++)
		synthetic_sample(synthetic_trial(record, "shmipc", "pointers", "shm-polling",
					 "subject", 0, i),
			"pointers_shared", "", 0, 1);
	return record;
}
