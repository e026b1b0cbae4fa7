/* fleetlab rejuvenate: moves a running fleet to a fresh virtualization system. */
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/cmd/command.h"
#include "harness/cmd/fleet_control.h"
#include "harness/fleet/move.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

struct wishes {
	const char *fleet;
	enum move_method method;
	bool together, digest_all, watch, json;
	json_int_t age;
	int64_t timeout_ms;
};

static void print_size(const char *what, const json_t *memory, const char *key)
{
	printf("  %-34s %8.1f MiB\n", what,
		json_number_value(json_object_get(memory, key)) / (1 << 20));
}

static void print_ms(const json_t *guest, const char *key)
{
	const json_t *value = json_object_get(guest, key);

	if (json_is_number(value))
		printf(" %9.1f ms", json_number_value(value));
	else
		printf(" %12s", "-");
}

/* What the fleet's own client saw. */
static void print_watch(const json_t *guest)
{
	const char *broken = json_string_value(json_object_get(guest, "broken"));

	print_ms(guest, "udp_gap_ms");
	print_ms(guest, "tcp_stall_ms");
	if (json_is_true(json_object_get(guest, "connected")))
		printf("  kept");
	else
		printf("  BROKEN: %s", broken ? broken : "no reason known");
}

static void print_answer(const struct wishes *wishes, const json_t *answer)
{
	const json_t *memory = json_object_get(answer, "memory");
	const json_t *guests = json_object_get(answer, "guests");
	json_t *guest;
	size_t i;

	printf("fleet %s runs on a fresh stack (number %lld), %s, %.2f s in all\n", wishes->fleet,
		(long long)json_integer_value(json_object_get(answer, "stack")),
		json_string_value(json_object_get(answer, "method")),
		json_number_value(json_object_get(answer, "seconds")));
	printf("memory of the virtualization system, without its guests' RAM:\n");
	print_size("old stack before", memory, "before");
	if (wishes->age > 0)
		print_size("old stack, aged", memory, "aged");
	print_size("fresh stack with the same guests", memory, "after");
	printf("%-6s %12s %12s %10s %14s  %-9s", "guest", "move", "downtime", "sent", "compared",
		"memory");
	printf(wishes->watch ? " %12s %12s  %s\n" : "\n", "UDP silence", "TCP stall", "stream");
	if (wishes->watch)
		printf("%-6s each was asked every %zu ms; silence and stall are the longest from "
		       "then until now\n",
			"", json_array_size(guests));
	json_array_foreach (guests, i, guest) {
		printf("%-6s", json_string_value(json_object_get(guest, "name")));
		print_ms(guest, "total_ms");
		print_ms(guest, "downtime_ms");
		printf(" %6.2f MiB %8lld pages  %-9s",
			json_number_value(json_object_get(guest, "sent_bytes")) / (1 << 20),
			(long long)json_integer_value(json_object_get(guest, "digest_pages")),
			json_is_true(json_object_get(guest, "same_memory")) ? "the same"
									    : "copied");
		if (wishes->watch)
			print_watch(guest);
		putchar('\n');
	}
}

/* Shows progress until the answer comes. */
static struct error *await_answer(
	struct jsonline *connection, struct deadline deadline, json_t **answer)
{
	for (;;) {
		_cleanup_json_ json_t *line = NULL;
		const char *progress;

		try_(jsonline_receive(connection, "the fleet's rejuvenation", deadline, &line));
		if (!line)
			return error_new(ERROR_GUEST, "the fleet has ended");
		progress = json_string_value(json_object_get(line, "progress"));
		if (progress) {
			log_info("%s", progress);
			continue;
		}
		try_(jsonline_error(line, ERROR_GUEST));
		*answer = take_ptr(line);
		return NULL;
	}
}

static struct error *rejuvenate(const struct wishes *wishes)
{
	_cleanup_(jsonline_deinit) struct jsonline connection = {.fd = -1};
	_cleanup_close_ int fd = -1;
	_cleanup_json_ json_t *answer = NULL;

	try_(fleet_control_connect(wishes->fleet, &connection));
	fd = connection.fd;
	try_(jsonline_send(fd,
		json_pack("{s:s, s:s, s:b, s:b, s:b, s:I, s:I}", "op", "rejuvenate", "method",
			move_method_name(wishes->method), "together", wishes->together,
			"digest_all", wishes->digest_all, "watch", wishes->watch, "age",
			wishes->age, "timeout_ms", (json_int_t)wishes->timeout_ms),
		"the fleet"));
	/* The keeper's roll-back has time of its own after the deadline. */
	try_(await_answer(&connection, deadline_after_ms(wishes->timeout_ms + 120000), &answer));
	if (wishes->json)
		return json_dumpf(answer, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF
			       ? error_errno(errno, "cannot write the answer")
			       : NULL;
	print_answer(wishes, answer);
	return NULL;
}

static struct error *parse_method(const char *text, enum move_method *method)
{
	const char *names[MOVE_POSTCOPY + 1];

	for (int i = 0; i <= MOVE_POSTCOPY; i++) {
		names[i] = move_method_name((enum move_method)i);
		if (strcmp(text, names[i]) == 0) {
			*method = (enum move_method)i;
			return NULL;
		}
	}
	const char *near = nearest_name(text, names, ARRAY_SIZE(names));

	return error_hint(error_new(ERROR_USAGE, "--method %s: there is no such method", text),
		"--method %s", near ? near : names[0]);
}

static struct error *parse_age(const char *text, json_int_t *times)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 0 || value > 100000)
		return error_hint(
			error_new(ERROR_USAGE, "--age %s: not 0 to 100000", text), "--age 100");
	*times = value;
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'},
		{"method", required_argument, NULL, 'm'},
		{"together", no_argument, NULL, 'T'},
		{"digest-all", no_argument, NULL, 'd'},
		{"watch", no_argument, NULL, 'w'},
		{"age", required_argument, NULL, 'a'},
		{"timeout", required_argument, NULL, 't'},
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	struct wishes wishes = {.fleet = "default", .timeout_ms = 120000};
	int option;

	(void)exit_status;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n')
			wishes.fleet = optarg;
		else if (option == 'm')
			try_(parse_method(optarg, &wishes.method));
		else if (option == 'T')
			wishes.together = true;
		else if (option == 'd')
			wishes.digest_all = true;
		else if (option == 'w')
			wishes.watch = true;
		else if (option == 'a')
			try_(parse_age(optarg, &wishes.age));
		else if (option == 'j')
			wishes.json = true;
		else if (option != 't')
			return command_bad_option(argc, argv);
		else if (!duration_parse_ms(optarg, &wishes.timeout_ms))
			return error_hint(
				error_new(ERROR_USAGE, "--timeout %s: not a time", optarg),
				"--timeout 90s or 5m");
	}
	if (optind < argc)
		return error_hint(
			error_new(ERROR_USAGE, "rejuvenate takes no argument '%s'", argv[optind]),
			"fleetlab rejuvenate --name %s", argv[optind]);
	return rejuvenate(&wishes);
}

const struct command command_rejuvenate = {
	.name = "rejuvenate",
	.arguments = "[--name FLEET] [options]",
	.summary = "move a running fleet to a fresh virtualization system",
	.help = "Starts a second virtualization system beside the one that a fleet runs on, moves\n"
		"every guest to it as one transaction, and ends the old one. Guests keep running,\n"
		"with their memory, disks, addresses and connections. When anything fails on the\n"
		"way, all guests go on where they were.\n"
		"\n"
		"options:\n"
		"  --name NAME      the fleet's name (default: default)\n"
		"  --method METHOD  zerocopy (default): the new system maps the guests' memory,\n"
		"                   which needs `fleet up --movable`; precopy, postcopy: copy it\n"
		"  --together       no guest goes on before all are ready; else each is moved to\n"
		"                   its end before the next, and stands still for less\n"
		"  --digest-all     compare all of the guests' memory before they go on, not a\n"
		"                   sample of pages (they stand still the longer)\n"
		"  --watch          be a client of each guest meanwhile (datagrams, TCP stream)\n"
		"                   and tell what it saw\n"
		"  --age N          first age the old system: suspend, resume each guest N times\n"
		"  --timeout TIME   give up and roll back after this (120s)\n"
		"  --json           print the result as JSON\n"
		"\n"
		"examples:\n"
		"  fleetlab fleet up 16 --movable\n"
		"  fleetlab rejuvenate\n"
		"  fleetlab rejuvenate --age 100 --watch\n",
	.run = run,
};
