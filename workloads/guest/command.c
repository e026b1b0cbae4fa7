/*
 * Failing and option parsing for the guest program's commands. Must not depend on what any one
 * command does.
 */
#include "workloads/guest/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/guest/json.h"

static void fail(const char *reason, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0), noreturn));

static void fail(const char *reason, const char *format, va_list arguments)
{
	char text[512];
	int used = vsnprintf(text, sizeof(text), format, arguments);

	if (reason && used >= 0 && (size_t)used < sizeof(text))
		snprintf(text + used, sizeof(text) - (size_t)used, ": %s", reason);
	json_discard();
	json_text("error", text);
	json_print();
	fprintf(stderr, "fleetlab-guest: %s\n", text);
	exit(1);
}

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fail(NULL, format, arguments);
}

void die_errno(const char *format, ...)
{
	const char *reason = strerror(errno);
	va_list arguments;

	va_start(arguments, format);
	fail(reason, format, arguments);
}

uint64_t parse_number(const char *what, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *end || text[0] == '-' || value < min || value > max)
		die("%s: '%s' is not a whole number from %" PRIu64 " to %" PRIu64, what, text, min,
			max);
	return value;
}

static void parse_list(const struct option_row *row, const char *text)
{
	struct number_list *list = row->value;
	char copy[1024];
	char *rest = copy;
	char *item;

	if (strlen(text) >= sizeof(copy))
		die("--%s: the list is too long", row->name);
	strcpy(copy, text);
	list->count = 0;
	while ((item = strsep(&rest, ","))) {
		if (list->count == NUMBER_LIST_MAX)
			die("--%s: more than %d values", row->name, NUMBER_LIST_MAX);
		list->values[list->count++] = parse_number(row->name, item, row->min, row->max);
	}
}

static void set_value(const struct option_row *row, const char *text)
{
	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)row->value = true;
		break;
	case OPTION_TEXT:
		*(const char **)row->value = text;
		break;
	case OPTION_NUMBER:
		*(uint64_t *)row->value = parse_number(row->name, text, row->min, row->max);
		break;
	case OPTION_NUMBERS:
		parse_list(row, text);
		break;
	}
}

static void print_options(const char *command, const struct option_row *rows)
{
	printf("fleetlab-guest %s\n", command);
	for (; rows->name; rows++)
		printf("  --%-18s %s\n", rows->name, rows->help);
	exit(0);
}

static const struct option_row *find_row(const struct option_row *rows, const char *name, size_t n)
{
	for (; rows->name; rows++) {
		if (strlen(rows->name) == n && memcmp(rows->name, name, n) == 0)
			return rows;
	}
	return NULL;
}

void options_parse(const struct option_row *rows, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i];
		const char *value = strchr(name, '=');
		const struct option_row *row;

		if (strcmp(name, "--help") == 0)
			print_options(argv[0], rows);
		if (strncmp(name, "--", 2) != 0)
			die("%s: '%s' is not an option", argv[0], name);
		name += 2;
		row = find_row(rows, name, value ? (size_t)(value - name) : strlen(name));
		if (!row)
			die("%s: there is no option '%s'; see fleetlab-guest %s --help", argv[0],
				argv[i], argv[0]);
		if (row->kind == OPTION_FLAG) {
			if (value)
				die("--%s takes no value", row->name);
		} else if (value) {
			value++;
		} else if (++i < argc) {
			value = argv[i];
		} else {
			die("--%s needs a value", row->name);
		}
		set_value(row, value);
	}
}
