/* fleetlab fleet: guests for people, which live until `fleet down`. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/base/nearest.h"
#include "harness/cmd/fleet_control.h"
#include "harness/engine/resources.h"
#include "harness/host/accelerator.h"
#include "harness/host/facts.h"
#include "harness/host/qemu.h"
#include "harness/lab/lab.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <termios.h>

#define UP_TIMEOUT_MS 300000

struct fleet_words {
	const char *name; /* of the fleet */
	const char *image;
	uint64_t memory_bytes;
	unsigned int vcpus;
	bool cold, json, input;
	int64_t timeout_ms;
};

/* What the body of a fleet's lab works on; inherited by fork. */
struct up_job {
	const struct fleet_spec *spec;
	struct fleet_host host;
	const json_t *about;
	int out_fd, listen_fd;
	bool make_template;
};

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

/* ---- up ---- */

static struct error *serve_fleet(struct up_job *job, struct fleet **fleet)
{
	struct deadline deadline = deadline_after_ms(UP_TIMEOUT_MS);

	if (job->make_template) {
		json_t *argv;

		try_(fleet_make_template(job->spec, &job->host, deadline, &argv));
		return jsonline_send(job->out_fd, json_pack("{s:o}", "template", argv), "fleet up");
	}
	try_(fleet_open(job->spec, &job->host, deadline, fleet));
	lab_settle();
	return jsonline_send(
		job->out_fd, json_pack("{s:f}", "ready_s", fleet_ready_s(*fleet)), "fleet up");
}

static int up_body(void *context)
{
	struct up_job *job = context;
	struct fleet *fleet = NULL;
	struct error *err;

	err = serve_fleet(job, &fleet);
	if (err) {
		error_destroy(jsonline_send(job->out_fd,
			json_pack("{s:s, s:s*}", "error", error_message(err), "remedy",
				error_remedy(err)),
			"fleet up"));
		error_destroy(err);
		return 1;
	}
	close(job->out_fd);
	if (job->make_template)
		return 0;
	err = fleet_control_serve(job->listen_fd, fleet, job->about);
	error_destroy(err);
	return 1;
}

static struct error *note_init(const json_t *about, pid_t init)
{
	_cleanup_free_ char *note =
		fleet_control_note(json_string_value(json_object_get(about, "fleet")));
	_cleanup_free_ char *text = format_string("%d\n", (int)init);

	return fs_write_atomic(note, text, strlen(text));
}

/* Opens a lab with up_body() and waits for its one line. A detached lab stays when this returns. */
static struct error *open_fleet_lab(struct up_job *job, bool detached, json_t **answer)
{
	struct lab_options options = {
		.name = "lab",
		.detached = detached,
		.mask_kvm = strcmp(job->host.accelerator, "kvm") != 0,
		.body = up_body,
		.context = job,
	};
	struct lab lab = {.alive_fd = -1};
	_cleanup_(jsonline_deinit) struct jsonline reader = {0};
	_cleanup_json_ json_t *line = NULL;
	struct error *err;
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create a pipe");
	job->out_fd = pair[1];
	reader.fd = pair[0];
	err = lab_open(&options, &lab);
	close(pair[1]);
	if (!err)
		err = jsonline_receive(
			&reader, "the fleet", deadline_after_ms(UP_TIMEOUT_MS), &line);
	close(pair[0]);
	const char *message = json_string_value(json_object_get(line, "error"));
	const char *remedy = json_string_value(json_object_get(line, "remedy"));

	if (!err && !line)
		err = error_new(ERROR_SETUP, "the fleet's lab ended at once");
	if (!err && message) {
		err = error_new(ERROR_GUEST, "%s", message);
		err = remedy ? error_hint(err, "%s", remedy) : err;
	}
	if (err || !detached)
		lab_kill(&lab);
	else
		err = note_init(job->about, lab.init_pid);
	if (!err)
		*answer = take_ptr(line);
	return err;
}

static struct error *check_memory(unsigned int count, uint64_t memory_bytes)
{
	uint64_t available, need = count * (memory_bytes + ((uint64_t)48 << 20));

	if (!host_meminfo("MemAvailable", &available) || need <= available)
		return NULL;
	return error_hint(
		error_new(ERROR_SETUP, "%u guests need %llu MiB of memory, %llu MiB are free",
			count, (unsigned long long)need >> 20, (unsigned long long)available >> 20),
		"fewer guests, or --memory with less for each");
}

static struct error *boot_fleet(const struct fleet_words *words, struct fleet_spec *spec,
	struct resources *resources, int listen_fd)
{
	struct up_job job = {.spec = spec, .listen_fd = listen_fd};
	_cleanup_json_ json_t *about = NULL;
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_json_ json_t *made = NULL;
	struct template *template = NULL;
	bool is_new = false;

	job.host.accelerator = resources_accelerator(resources);
	try_(resources_image(resources, &spec->image, &job.host.image));
	if (spec->memory_bytes < job.host.image->memory_min_bytes)
		return error_hint(
			error_new(ERROR_USAGE, "image %s needs %llu MiB, --memory gives %llu MiB",
				job.host.image->name,
				(unsigned long long)job.host.image->memory_min_bytes >> 20,
				(unsigned long long)spec->memory_bytes >> 20),
			"--memory %lluM",
			(unsigned long long)job.host.image->memory_min_bytes >> 20);
	if (job.host.image->disk)
		spec->start = FLEET_COLD;
	if (spec->start == FLEET_TEMPLATE) {
		try_(resources_template(resources, spec, spec->memory_bytes, &template, &is_new));
		job.host.template = template;
		job.make_template = true;
		try_(open_fleet_lab(&job, false, &made));
		template->argv = json_incref(json_object_get(made, "template"));
		job.make_template = false;
	}
	about = json_pack("{s:s, s:s, s:I, s:s}", "fleet", words->name, "image", words->image,
		"memory_bytes", (json_int_t)spec->memory_bytes, "accelerator",
		job.host.accelerator);
	job.about = about;
	try_(open_fleet_lab(&job, true, &answer));
	log_info("%u guest%s ready in %.2f s (g0 … g%u), image %s, %s", spec->count,
		spec->count == 1 ? "" : "s", json_number_value(json_object_get(answer, "ready_s")),
		spec->count - 1, words->image,
		spec->start == FLEET_TEMPLATE ? "clones of a template" : "cold boots");
	return NULL;
}

static struct error *claim_name(const char *name, int *listen_fd)
{
	_cleanup_free_ char *path = fleet_control_path(name);
	_cleanup_free_ char *dir = format_string("%.*s", (int)(strrchr(path, '/') - path), path);
	size_t removed;
	int fd;

	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name) || !name[0] ||
		strlen(name) > 40)
		return error_hint(
			error_new(ERROR_USAGE, "--name '%s' cannot be a fleet's name", name),
			"lower-case letters, digits and '-', at most 40: --name web-1");
	try_(fs_make_dirs(dir));
	try_(fleet_control_sweep(&removed));
	struct error *err = unix_connect(path, &fd);

	if (!err) {
		close(fd);
		return error_hint(error_new(ERROR_USAGE, "fleet '%s' is running already", name),
			"fleetlab fleet down --name %s, or another --name", name);
	}
	error_destroy(err);
	return unix_listen(path, listen_fd);
}

static struct error *up(const struct fleet_words *words, int argc, char **argv, int *exit_status)
{
	static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};
	static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};
	_cleanup_(accelerator_deinit) struct accelerator accelerator = {0};
	_cleanup_(cleanup_resources) struct resources *resources = NULL;
	_cleanup_free_ char *path = fleet_control_path(words->name);
	_cleanup_free_ char *qemu = NULL;
	_cleanup_free_ char *version = NULL;
	_cleanup_close_ int listen_fd = -1;
	char *end;
	long count = argc == 1 ? strtol(argv[0], &end, 10) : 0;
	struct error *err;

	(void)exit_status;
	if (argc != 1 || *end || count < 1 || count > 250)
		return error_hint(error_new(ERROR_USAGE, "fleet up: how many guests, 1 to 250?"),
			"fleetlab fleet up 4");
	try_(check_memory((unsigned int)count, words->memory_bytes));
	try_(claim_name(words->name, &listen_fd));
	err = qemu_usable(QEMU_DEFAULT, deadline_after_ms(10000), &qemu, &version);
	if (!err)
		err = accelerator_find(qemu, NULL, deadline_after_ms(60000), &accelerator);
	if (!err) {
		struct fleet_spec spec = {
			.image = {.kind = words->image},
			.count = (unsigned int)count,
			.memory_bytes = words->memory_bytes,
			.vcpus = words->vcpus,
			.start = words->cold ? FLEET_COLD : FLEET_TEMPLATE,
			.links = links,
			.link_count = 1,
			.nics = nics,
			.nic_count = 1,
		};

		resources = resources_create(accelerator.name);
		err = boot_fleet(words, &spec, resources, listen_fd);
	}
	if (err)
		unlink(path);
	return err;
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
	{"up", up},
	{"list", list},
	{"exec", exec_in},
	{"console", console},
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
		{"json", no_argument, NULL, 'j'},
		{"stdin", no_argument, NULL, 'I'},
		{0},
	};
	int option;

	/* "+": the words of a guest's command are not ours. */
	while ((option = getopt_long(
			argc, argv, strcmp(argv[0], "exec") ? "" : "+", options, NULL)) != -1) {
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
		return error_hint(error_new(ERROR_USAGE, "fleet: up, list, exec, console or down?"),
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
	.arguments = "up N|list|exec G -- COMMAND…|console G|down [options]",
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
		"  --timeout TIME   of exec (60s)\n"
		"  --stdin          exec: pass standard input on to the command\n"
		"  --json           list as JSON\n"
		"\n"
		"exec prints the command's output and errors, and exits with its status.\n"
		"console ends with ^].\n"
		"\n"
		"examples:\n"
		"  fleetlab fleet up 32\n"
		"  fleetlab fleet exec g7 -- uname -a\n"
		"  fleetlab fleet exec g7 -- sh -c 'ping -c 1 10.77.0.1'\n"
		"  fleetlab fleet console g7\n"
		"  fleetlab fleet down\n",
	.run = run,
};
