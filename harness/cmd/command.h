/*
 * A subcommand of fleetlab is one constant descriptor at the end of its file below harness/cmd/,
 * listed once in harness/cmd/commands.def. main() finds it, handles --help, runs it and prints the
 * error it returns, once.
 */
#pragma once

#include "harness/base/error.h"
#include "harness/base/nearest.h"

#include <stdbool.h>

struct command {
	const char *name;
	const char *arguments; /* synopsis after the name: "RUN [RUN] [--format FORMAT]" */
	const char *summary; /* one line, lower case, no full stop; NULL hides it (internal role) */
	const char *help;    /* what --help prints after the synopsis: options, then examples */
	/* argv[0] is the subcommand's name, for getopt_long(3). *exit_status is 0 before the call.
	 */
	struct error *(*run)(int argc, char **argv, int *exit_status);
};

/* Returns a usage error for an option that getopt_long() refused ('?' or ':'). Call with opterr =
 * 0. */
struct error *command_bad_option(int argc, char **argv) __attribute__((returns_nonnull));
/* --results of a command that makes no store: ERROR_USAGE unless the directory is there. */
struct error *command_check_results(const char *results);
/* The options of a command that has none but --results, which is there and is borrowed; its other
 * words begin at optind afterwards. */
struct error *command_take_results(int argc, char **argv, const char **results);

/* How wide results are printed: the columns of the terminal on stdout, or $COLUMNS where it is
 * none; 100 at most, and where neither is known. */
int command_page_width(void);
/* Whether results on stdout are coloured: a terminal that knows how (TERM), and nobody who minds
 * (NO_COLOR, see no-color.org). */
bool command_colour(void);
