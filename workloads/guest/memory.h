/*
 * How much memory a command is to use: given in MiB or as a share of this machine's.
 */
#pragma once

#include "workloads/guest/command.h"

struct memory_options {
	uint64_t mib, percent; /* 0: not given; percent goes before mib */
};

#define MEMORY_ROWS(o, initial)                                                                    \
	{"mib", OPTION_NUMBER, &(o)->mib, 1, UINT64_C(1) << 20, "so much memory (" initial ")"},   \
	{                                                                                          \
		"percent", OPTION_NUMBER, &(o)->percent, 1, 100,                                   \
			"instead: of this machine's memory"                                        \
	}

/* In bytes, a multiple of 1 MiB. Dies when so much is not available, rather than have the kernel
 * end some process of its choice later. */
uint64_t memory_bytes(const struct memory_options *options);
