/* fleetlab fleet: guests for people, which live until `fleet down`. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/base/nearest.h"
#include "harness/cmd/fleet_control.h"
#include "harness/cmd/fleet_words.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sched.h>
#include <sys/syscall.h>
#include <termios.h>

static struct error *parse_size(const char *option, const char *text, uint64_t *bytes)
{
	char *end;
	double value = strtod(text, &end);
	int shift = 20;

	if (*end) {
		const char *found = strchr("KMGT", toupper((unsigned char)*end));

		shift = found ? (int)(found - "KMGT") * 10 + 10 : -1;
		end += *end ? 1 : 0;
	}
	if (end == text || *end || shift < 0 || !(value > 0) || value > 1e6)
		return error_hint(error_new(ERROR_USAGE, "%s %s: not a size", option, text),
			"%s 256M or 1G", option);
	*bytes = (uint64_t)(value * (double)((uint64_t)1 << shift)) >> 20 << 20;
	return *bytes ? NULL : error_new(ERROR_USAGE, "%s %s: less than 1M", option, text);
}

static struct error *parse_vcpus(const char *text, unsigned int *vcpus)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 1 || value > 64)
		return error_hint(
			error_new(ERROR_USAGE, "--vcpus %s: not 1 to 64", text), "--vcpus 2");
	*vcpus = (unsigned int)value;
	return NULL;
}

/* ---- list, exec, console, down ---- */

static struct error *ask(
	const struct fleet_words *words, const char *fleet, json_t *request, json_t **answer)
{
	_cleanup_(jsonline_deinit) struct jsonline connection = {.fd = -1};
	struct error *err = fleet_control_connect(fleet, &connection);

	if (err) {
		json_decref(request);
		return err;
	}
	err = fleet_control_request(
		&connection, request, deadline_after_ms(words->timeout_ms + 10000), answer);
	close(connection.fd);
	return err;
}

static void print_fleet(const json_t *status)
{
	json_t *guest;
	size_t i;

	printf("fleet %s: image %s, %lld MiB a guest, %s\n",
		json_string_value(json_object_get(status, "fleet")),
		json_string_value(json_object_get(status, "image")),
		(long long)json_integer_value(json_object_get(status, "memory_bytes")) >> 20,
		json_string_value(json_object_get(status, "accelerator")));
	printf("  %-8s %-14s %-6s %9s %10s\n", "guest", "address", "state", "ready", "memory");
	json_array_foreach (json_object_get(status, "guests"), i, guest) {
		bool alive = json_is_true(json_object_get(guest, "alive"));

		printf("  %-8s %-14s %-6s %7.2f s %6.1f MiB\n",
			json_string_value(json_object_get(guest, "name")),
			json_string_value(json_object_get(guest, "address")), alive ? "up" : "GONE",
			json_number_value(json_object_get(guest, "ready_s")),
			json_number_value(json_object_get(guest, "pss_bytes")) / (1 << 20));
	}
}

static struct error *list(const struct fleet_words *words, int argc, char **argv, int *exit_status)
{
	_cleanup_json_ json_t *names = NULL;
	_cleanup_json_ json_t *all = json_array();
	json_t *name;
	size_t i;

	(void)exit_status;
	if (argc > 0)
		return error_hint(
			error_new(ERROR_USAGE, "fleet list takes no argument '%s'", argv[0]),
			"fleetlab fleet list");
	try_(fleet_control_list(&names));
	json_array_foreach (names, i, name) {
		json_t *status;

		try_(ask(words, json_string_value(name), json_pack("{s:s}", "op", "status"),
			&status));
		json_array_append_new(all, status);
		if (!words->json)
			print_fleet(status);
	}
	if (words->json)
		return json_dumpf(all, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF
			       ? error_errno(errno, "cannot write the list")
			       : NULL;
	if (json_array_size(names) == 0)
		log_info("no fleet is running; start one: fleetlab fleet up 4");
	return NULL;
}

static struct error *read_input(char **data, size_t *size)
{
	GByteArray *bytes;
	char chunk[65536];
	ssize_t n;

	bytes = g_byte_array_new();
	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0 && bytes->len < (16U << 20))
		g_byte_array_append(bytes, (const guint8 *)chunk, (guint)n);
	*size = bytes->len;
	*data = (char *)g_byte_array_free(bytes, FALSE);
	return n < 0 ? error_errno(errno, "cannot read standard input") : NULL;
}

static void print_base64(const json_t *answer, const char *name, FILE *out)
{
	const char *text = json_string_value(json_object_get(answer, name));
	gsize size = 0;
	guchar *decoded = g_base64_decode(text ? text : "", &size);

	fwrite(decoded, 1, size, out);
	g_free(decoded);
}

static struct error *exec_in(
	const struct fleet_words *words, int argc, char **argv, int *exit_status)
{
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_free_ char *input = NULL;
	json_t *command = json_array();
	json_t *request;
	size_t size = 0;
	int first = 1;

	if (argc > 1 && strcmp(argv[1], "--") == 0)
		first = 2;
	if (argc <= first) {
		json_decref(command);
		return error_hint(error_new(ERROR_USAGE, "fleet exec: which guest, which command?"),
			"fleetlab fleet exec g0 -- uname -a");
	}
	for (int i = first; i < argc; i++)
		json_array_append_new(command, json_string(argv[i]));
	request = json_pack("{s:s, s:s, s:o, s:I}", "op", "exec", "guest", argv[0], "argv", command,
		"timeout_ms", (json_int_t)words->timeout_ms);
	struct error *err = words->input ? read_input(&input, &size) : NULL;

	if (err) {
		json_decref(request);
		return err;
	}
	if (size > 0) {
		gchar *encoded = g_base64_encode((const guchar *)input, size);

		json_object_set_new(request, "input", json_string(encoded));
		g_free(encoded);
	}
	try_(ask(words, words->name, request, &answer));
	print_base64(answer, "output", stdout);
	print_base64(answer, "errors", stderr);
	*exit_status = (int)json_integer_value(json_object_get(answer, "exit_status"));
	return NULL;
}

/* The first process of a fleet's lab, as this side sees it; the keeper must answer, so that a pid
 * of a fleet that has gone is not taken for another process. */
static struct error *lab_pid(const char *fleet, pid_t *pid)
{
	_cleanup_(jsonline_deinit) struct jsonline connection = {.fd = -1};
	_cleanup_free_ char *note = fleet_control_note(fleet);
	_cleanup_free_ char *text = fs_read_line(note);

	try_(fleet_control_connect(fleet, &connection));
	close(connection.fd);
	*pid = text ? atoi(text) : 0;
	return *pid > 0 ? NULL : error_new(ERROR_SETUP, "cannot tell the lab of fleet '%s'", fleet);
}

static struct error *enter(const struct fleet_words *words, int argc, char **argv, int *exit_status)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int network = -1;
	int first = argc > 0 && strcmp(argv[0], "--") == 0;
	pid_t pid;

	(void)exit_status;
	if (argc <= first)
		return error_hint(error_new(ERROR_USAGE, "fleet enter: which command?"),
			"fleetlab fleet enter -- ping -c 1 10.77.0.1");
	try_(lab_pid(words->name, &pid));
	path = format_string("/proc/%d/ns/net", (int)pid);
	network = open(path, O_RDONLY | O_CLOEXEC);
	if (network < 0 || setns(network, CLONE_NEWNET) < 0)
		return error_hint(
			error_errno(errno, "cannot enter the network of fleet '%s'", words->name),
			"a fleet's network is entered by the user who started it (root)");
	execvp(argv[first], argv + first);
	return error_hint(error_errno(errno, "cannot run %s", argv[first]),
		"enter runs commands of this host; those of a guest: fleetlab fleet exec");
}

/* Copies keys to the guest and its output here until ^] or the end of either. */
static void run_console(int fd)
{
	struct pollfd pfds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = fd, .events = POLLIN},
	};
	char bytes[4096];
	ssize_t n;

	for (;;) {
		if (poll(pfds, 2, -1) < 0 && errno != EINTR)
			return;
		if (pfds[0].revents) {
			n = read(STDIN_FILENO, bytes, sizeof(bytes));
			if (n <= 0 || memchr(bytes, 0x1d, (size_t)n))
				return;
			if (write(fd, bytes, (size_t)n) != n)
				return;
		}
		if (pfds[1].revents) {
			n = read(fd, bytes, sizeof(bytes));
			if (n <= 0 || write(STDOUT_FILENO, bytes, (size_t)n) != n)
				return;
		}
	}
}

static struct error *console(
	const struct fleet_words *words, int argc, char **argv, int *exit_status)
{
	_cleanup_(jsonline_deinit) struct jsonline connection = {.fd = -1};
	struct termios saved, raw;
	bool terminal = tcgetattr(STDIN_FILENO, &saved) == 0;

	(void)exit_status;
	if (argc != 1)
		return error_hint(error_new(ERROR_USAGE, "fleet console: which guest?"),
			"fleetlab fleet console g0");
	try_(fleet_control_connect(words->name, &connection));
	try_(fleet_control_request(&connection,
		json_pack("{s:s, s:s}", "op", "console", "guest", argv[0]),
		deadline_after_ms(10000), NULL));
	log_info("console of %s; leave with ^]", argv[0]);
	if (terminal) {
		raw = saved;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	run_console(connection.fd);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	close(connection.fd);
	return NULL;
}

/* Waits until a process that is not our child has ended, with all that its namespace held. */
static bool await_end(pid_t pid, struct deadline deadline)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};

	return pidfd < 0 || poll(&pfd, 1, deadline_left_ms(deadline)) > 0;
}

static struct error *down(const struct fleet_words *words, int argc, char **argv, int *exit_status)
{
	_cleanup_(jsonline_deinit) struct jsonline connection = {.fd = -1};
	_cleanup_free_ char *path = fleet_control_path(words->name);
	_cleanup_free_ char *note = fleet_control_note(words->name);
	_cleanup_free_ char *init_text = fs_read_line(note);
	pid_t init = init_text ? atoi(init_text) : 0;

	(void)exit_status;
	if (argc > 0)
		return error_hint(
			error_new(ERROR_USAGE, "fleet down takes no argument '%s'", argv[0]),
			"fleetlab fleet down --name %s", argv[0]);
	try_(fleet_control_connect(words->name, &connection));
	try_(fleet_control_request(
		&connection, json_pack("{s:s}", "op", "down"), deadline_after_ms(10000), NULL));
	close(connection.fd);
	if (init > 0 && !await_end(init, deadline_after_ms(20000)))
		return error_new(ERROR_TIMEOUT,
			"deadline passed while waiting for the lab (pid %d) to end", (int)init);
	unlink(path);
	unlink(note);
	log_info("fleet %s is down", words->name);
	return NULL;
}

static const struct {
	const char *name;
	struct error *(*run)(
		const struct fleet_words *words, int argc, char **argv, int *exit_status);
} actions[] = {
	{"up", fleet_up},
	{"list", list},
	{"exec", exec_in},
	{"console", console},
	{"enter", enter},
	{"down", down},
};

static struct error *take_options(struct fleet_words *words, int argc, char **argv)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'},
		{"image", required_argument, NULL, 'i'},
		{"memory", required_argument, NULL, 'm'},
		{"vcpus", required_argument, NULL, 'c'},
		{"timeout", required_argument, NULL, 't'},
		{"cold", no_argument, NULL, 'C'},
		{"movable", no_argument, NULL, 'M'},
		{"json", no_argument, NULL, 'j'},
		{"stdin", no_argument, NULL, 'I'},
		{0},
	};
	int option;

	/* "+": the words of a guest's command are not ours. */
	while ((option = getopt_long(argc, argv,
			strcmp(argv[0], "exec") && strcmp(argv[0], "enter") ? "" : "+", options,
			NULL)) != -1) {
		if (option == 'n')
			words->name = optarg;
		else if (option == 'i')
			words->image = optarg;
		else if (option == 'm')
			try_(parse_size("--memory", optarg, &words->memory_bytes));
		else if (option == 'c')
			try_(parse_vcpus(optarg, &words->vcpus));
		else if (option == 'C')
			words->cold = true;
		else if (option == 'M')
			words->movable = true;
		else if (option == 'j')
			words->json = true;
		else if (option == 'I')
			words->input = true;
		else if (option != 't')
			return command_bad_option(argc, argv);
		else if (!duration_parse_ms(optarg, &words->timeout_ms))
			return error_hint(
				error_new(ERROR_USAGE, "--timeout %s: not a time", optarg),
				"--timeout 90s or 5m");
	}
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	struct fleet_words words = {
		.name = "default",
		.image = "tiny",
		.memory_bytes = (uint64_t)256 << 20,
		.vcpus = 1,
		.timeout_ms = 60000,
	};
	const char *names[ARRAY_SIZE(actions)];

	if (argc < 2)
		return error_hint(
			error_new(ERROR_USAGE, "fleet: up, list, exec, enter, console or down?"),
			"fleetlab fleet --help");
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		names[i] = actions[i].name;
		if (strcmp(argv[1], actions[i].name) != 0)
			continue;
		/* The action takes the place of the command's name for getopt. */
		try_(take_options(&words, argc - 1, argv + 1));
		return actions[i].run(&words, argc - 1 - optind, argv + 1 + optind, exit_status);
	}
	const char *near = nearest_name(argv[1], names, ARRAY_SIZE(names));
	struct error *err = error_new(ERROR_USAGE, "fleet has no action '%s'", argv[1]);

	return near ? error_hint(err, "fleetlab fleet %s", near)
		    : error_hint(err, "fleetlab fleet --help");
}

const struct command command_fleet = {
	.name = "fleet",
	.arguments = "up N|list|exec G CMD|enter CMD|console G|down [options]",
	.summary = "start, use and end a fleet of guests by hand",
	.help = "A fleet lives in namespaces of its own until `fleet down`, or its keeper's end.\n"
		"Guests are called g0, g1, …\n"
		"\n"
		"options:\n"
		"  --name NAME      the fleet's name (default: default)\n"
		"  --image KIND     tiny (default) or debian\n"
		"  --memory SIZE    of each guest (256M)\n"
		"  --vcpus N        of each guest (1)\n"
		"  --cold           boot every guest instead of cloning a template\n"
		"  --movable        each guest has memory of its own, which `fleetlab rejuvenate`\n"
		"                   needs to move it without copying\n"
		"  --timeout TIME   of exec (60s)\n"
		"  --stdin          exec: pass standard input on to the command\n"
		"  --json           list as JSON\n"
		"\n"
		"exec prints the command's output and errors, and exits with its status.\n"
		"enter runs a command of this host in the fleet's network, where the guests are\n"
		"10.77.0.1, 10.77.0.2, …\n"
		"console ends with ^].\n"
		"\n"
		"examples:\n"
		"  fleetlab fleet up 32\n"
		"  fleetlab fleet exec g7 -- uname -a\n"
		"  fleetlab fleet exec g7 -- sh -c 'ping -c 1 10.77.0.1'\n"
		"  fleetlab fleet enter -- ping -c 1 10.77.0.1\n"
		"  fleetlab fleet console g7\n"
		"  fleetlab fleet down\n",
	.run = run,
};
