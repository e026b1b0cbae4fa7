/*
 * The paper's experiment over any transport: N ints go there and come back. The two sides agree on
 * a run before the clock starts and check the content after it has stopped, so what is timed is the
 * transport, the copies on both sides included.
 */
#pragma once

#include "workloads/guest/command.h"

/* All functions die on failure; a deadline is theirs to keep. */
struct transport {
	/* The buffer stays as it is until the next receive() has returned. */
	void (*send)(struct transport *transport, const void *from, size_t bytes);
	void (*receive)(struct transport *transport, void *to, size_t bytes);
	/* System calls made so far. */
	uint64_t sends, receives;
};

struct pingpong_options {
	uint64_t ints;		  /* the size, when there is no sweep */
	struct number_list sweep; /* sizes */
	uint64_t warmup, runs;
};

#define PINGPONG_INTS_MAX (UINT64_C(64) << 20)
#define PINGPONG_DEFAULTS                                                                          \
	{                                                                                          \
		.ints = 8192, .warmup = 3, .runs = 10                                              \
	}

#define PINGPONG_ROWS(o)                                                                           \
	{"ints", OPTION_NUMBER, &(o)->ints, 1, PINGPONG_INTS_MAX, "ints a run (8192)"},            \
		{"sweep", OPTION_NUMBERS, &(o)->sweep, 1, PINGPONG_INTS_MAX,                       \
			"several sizes instead, as in 1,64,4096"},                                 \
		{"warmup", OPTION_NUMBER, &(o)->warmup, 0, 1000000,                                \
			"runs before those that count (3)"},                                       \
	{                                                                                          \
		"runs", OPTION_NUMBER, &(o)->runs, 1, 1000000, "runs that count (10)"              \
	}

/* Asks, measures and adds "series" to the JSON object: for each size the raw samples, and the
 * system calls each side made in each run. Tells the other side that it was the last. */
void pingpong_ask(struct transport *transport, const struct pingpong_options *options);

/* Answers until told that it was the last, then adds "answered" to the JSON object. */
void pingpong_answer(struct transport *transport);
