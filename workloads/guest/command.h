/*
 * What every command of the guest program shares: how it is declared, how it fails and how it
 * parses its options. A command prints one JSON object and nothing else on stdout.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command {
	const char *name;
	const char *arguments; /* one line, as usage shows it */
	const char *summary;
	void (*run)(int argc, char **argv); /* argv[0] is the command; returns only on success */
};

/* Prints {"error": …} on stdout and the same as a line on stderr, then exits with status 1. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* As die(), with ": strerror(errno)" appended. */
void die_errno(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

enum option_kind {
	OPTION_FLAG,	/* bool *: present or not */
	OPTION_TEXT,	/* const char ** */
	OPTION_NUMBER,	/* uint64_t *, decimal or 0x…, within min … max */
	OPTION_NUMBERS, /* struct number_list *: comma-separated numbers, each within min … max */
};

#define NUMBER_LIST_MAX 64

struct number_list {
	size_t count;
	uint64_t values[NUMBER_LIST_MAX];
};

struct option_row {
	const char *name; /* without the dashes */
	enum option_kind kind;
	void *value; /* untouched when the option is not given */
	uint64_t min, max;
	const char *help;
};

/*
 * Parses "--name value", "--name=value" and flags into the rows' values; dies on anything unknown,
 * malformed or out of range. `rows` ends with a row without a name. "--help" prints the rows and
 * exits.
 */
void options_parse(const struct option_row *rows, int argc, char **argv);

/* A whole number, decimal or 0x…; dies naming `what` when `text` is not one within min … max. */
uint64_t parse_number(const char *what, const char *text, uint64_t min, uint64_t max);

void command_await(int argc, char **argv);
void command_clock_gap(int argc, char **argv);
void command_collect(int argc, char **argv);
void command_dirty(int argc, char **argv);
void command_disk_check(int argc, char **argv);
void command_disk_write(int argc, char **argv);
void command_echo(int argc, char **argv);
void command_fill(int argc, char **argv);
void command_personalise(int argc, char **argv);
void command_shm_handoff(int argc, char **argv);
void command_shm_members(int argc, char **argv);
void command_shm_pingpong(int argc, char **argv);
void command_shm_pointers(int argc, char **argv);
void command_shm_selftest(int argc, char **argv);
void command_shm_threads(int argc, char **argv);
void command_switch_cost(int argc, char **argv);
void command_tcp_pingpong(int argc, char **argv);
void command_udp_pingpong(int argc, char **argv);
void command_wait_device(int argc, char **argv);
void command_later(int argc, char **argv);

/* Runs the command argv[0] of this program; dies when there is none of that name. */
void run_command(int argc, char **argv);
void command_shm_poke(int argc, char **argv);
