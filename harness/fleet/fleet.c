/* Fleets: see fleet.h. Runs inside a lab; must never wait without a deadline. */
#include "harness/fleet/fleet_internal.h"
#include "harness/base/fs.h"
#include "harness/base/parallel.h"
#include "harness/base/process.h"
#include "harness/host/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

/* Cold starts mostly wait for QEMU and libvirt; clones and personalising keep the processors busy.
 */
enum { COLD_THREADS = 16, CLONE_THREADS_PER_PU = 2, SETTLE_THREADS = 16 };

static char *random_hex(size_t bytes)
{
	unsigned char raw[64];
	char *hex = calloc(1, 2 * bytes + 1);

	if (!hex || bytes > sizeof(raw) || getrandom(raw, bytes, 0) != (ssize_t)bytes)
		abort();
	for (size_t i = 0; i < bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", raw[i]);
	return hex;
}

/* ---- the stack process ---- */

static void __attribute__((noreturn)) exec_stack(int listen_fd, const struct template *template)
{
	_cleanup_free_ char *root = format_string("%s/stack0", lab_dir());
	_cleanup_free_ char *fd = format_string("%d", listen_fd);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fcntl(listen_fd, F_SETFD, 0);
	if (template) {
		dup2(template->ram_fd, STACK_RAM_FD);
		dup2(template->state_fd, STACK_STATE_FD);
	}
	execl("/proc/self/exe", "fleetlab", "stack", "--root", root, "--listen-fd", fd,
		(char *)NULL);
	_exit(127);
}

static struct error *start_stack(struct fleet *fleet)
{
	_cleanup_close_ int fd = -1;
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	fleet->stack_socket = format_string("%s/stack0.sock", lab_dir());
	try_(unix_listen(fleet->stack_socket, &fd));
	fleet->stack_pid = fork();
	if (fleet->stack_pid < 0)
		return error_errno(errno, "cannot start the stack");
	if (fleet->stack_pid == 0)
		exec_stack(fd, fleet->host.template);
	try_(stack_connect(fleet->stack_socket, &stack));
	return stack_request(stack, json_pack("{s:s}", "op", "ping"), fleet->deadline, NULL);
}

/* ---- one guest ---- */

/* What domain XML needs for one guest of the fleet. */
static struct guest_spec guest_spec_of(const struct fleet *fleet, const char *name)
{
	const struct fleet_spec *spec = &fleet->spec;

	return (struct guest_spec){
		.name = name,
		.image = fleet->host.image,
		.emulator = fleet->emulator,
		.accelerator = fleet->host.accelerator,
		.memory_bytes = spec->memory_bytes,
		.vcpus = spec->vcpus,
		.ram = spec->ram,
		.nics = spec->nics,
		.nic_count = spec->nic_count,
		.qemu_args = spec->qemu_args,
		.kernel_args = spec->kernel_args,
	};
}

static struct error *create_overlay(const struct image *image, const char *dir, char **path)
{
	_cleanup_free_ char *overlay = format_string("%s/disk.qcow2", dir);
	const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-b", image->disk,
		"-F", image->disk_format, overlay, NULL};

	try_(process_check(argv, NULL, deadline_after_ms(30000), NULL));
	*path = take_ptr(overlay);
	return NULL;
}

static struct error *start_cold(struct fleet *fleet, struct guest *guest, struct guest_spec spec)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_free_ char *overlay = NULL;
	_cleanup_free_ char *ram = NULL;
	_cleanup_free_ char *xml = NULL;

	if (spec.image->disk) {
		try_(create_overlay(spec.image, guest->dir, &overlay));
		spec.disk_overlay = overlay;
	}
	if (spec.ram == RAM_SHARED && !spec.ram_path) {
		ram = format_string("%s/ram", guest->dir);
		spec.ram_path = ram;
	}
	xml = guest_xml(&spec);
	try_(stack_connect(fleet->stack_socket, &stack));
	try_(stack_request(stack,
		json_pack("{s:s, s:s, s:s}", "op", "start", "name", spec.name, "xml", xml),
		fleet->deadline, &answer));
	guest->pid = (pid_t)json_integer_value(json_object_get(answer, "pid"));
	return NULL;
}

static struct error *start_clone(struct fleet *fleet, struct guest *guest)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	_cleanup_json_ json_t *answer = NULL;

	try_(stack_connect(fleet->stack_socket, &stack));
	try_(stack_request(stack,
		json_pack("{s:s, s:s, s:O}", "op", "clone", "name", guest->name, "argv",
			fleet->host.template->argv),
		fleet->deadline, &answer));
	guest->pid = (pid_t)json_integer_value(json_object_get(answer, "pid"));
	return NULL;
}

/* Adds "--interface ethN --mac M --address A" for each NIC. */
static void add_interfaces(
	const struct fleet *fleet, const struct guest *guest, char *words[], size_t *count)
{
	for (size_t i = 0; i < fleet->spec.nic_count; i++) {
		_cleanup_free_ char *address = fleet_guest_address(fleet, guest->number, i);
		char mac[18];

		guest_mac(guest->number + 1, i, mac);
		words[(*count)++] = format_string("--interface=eth%zu", i);
		words[(*count)++] = format_string("--mac=%s", mac);
		words[(*count)++] = format_string("--address=%s/24", address);
	}
}

/* The words that make the guest itself: name, identity, entropy, time, addresses. */
static void personal_words(
	const struct fleet *fleet, const struct guest *guest, char *words[], size_t *count)
{
	_cleanup_free_ char *entropy = random_hex(64);
	_cleanup_free_ char *machine_id = random_hex(16);
	struct timespec now;

	words[(*count)++] = format_string("personalise");
	words[(*count)++] = format_string("--name=%s", guest->name);
	words[(*count)++] = format_string("--entropy=%s", entropy);
	words[(*count)++] = format_string("--machine-id=%s", machine_id);
	clock_gettime(CLOCK_REALTIME, &now);
	words[(*count)++] = format_string("--time=%lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
	add_interfaces(fleet, guest, words, count);
	words[*count] = NULL;
}

/* By a new program in the guest. */
static struct error *personalise_by_agent(struct fleet *fleet, struct guest *guest, char *words[])
{
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	try_(agent_exec(
		guest->agent, (const char *const *)words, NULL, 0, fleet->deadline, &result));
	if (result.exit_status != 0)
		return error_new(ERROR_GUEST, "status %d: %s", result.exit_status, result.output);
	return NULL;
}

/* By the `later` that waits in every clone; *done is false when that has failed. */
static struct error *personalise_by_port(
	struct fleet *fleet, struct guest *guest, char *words[], bool *done)
{
	gchar *line = g_strjoinv(" ", words);
	gchar *whole = g_strconcat(line, "\n", NULL);
	struct error *err = fs_write_all(guest->control_fd, whole, strlen(whole), guest->name);
	char heard = 0;

	g_free(line);
	g_free(whole);
	if (!err)
		err = await_byte(guest, "dx", "personalise", fleet->deadline, &heard);
	*done = heard == 'd';
	return err;
}

static struct error *personalise(struct fleet *fleet, struct guest *guest)
{
	char *words[9 + 3 * MAX_NICS];
	size_t count = 1;
	bool done = false;
	struct error *err = NULL;

	words[0] = format_string("%s", GUEST_PROGRAM);
	personal_words(fleet, guest, words, &count);
	if (fleet->spec.start == FLEET_TEMPLATE)
		err = personalise_by_port(fleet, guest, words + 1, &done);
	/* A failure is told by the agent, which brings the program's own words. */
	if (!err && !done)
		err = personalise_by_agent(fleet, guest, words);
	for (size_t i = 0; i < count; i++)
		free(words[i]);
	return err ? error_prefix(err, "cannot personalise guest %s", guest->name) : NULL;
}

static struct error *plug_one(struct stack *stack, const struct guest *guest,
	const struct plug_spec *plug, struct deadline deadline)
{
	gchar **parts = g_strsplit(plug->arguments, GUEST_PLACEHOLDER, -1);
	gchar *text = g_strjoinv(guest->name, parts);
	json_t *arguments = json_loads(text, 0, NULL);

	g_free(text);
	g_strfreev(parts);
	if (!arguments)
		return error_new(ERROR_INTERNAL, "arguments of %s are no JSON: %s", plug->command,
			plug->arguments);
	return stack_request(stack,
		json_pack("{s:s, s:s, s:s, s:o}", "op", "qmp", "name", guest->name, "command",
			plug->command, "arguments", arguments),
		deadline, NULL);
}

static struct error *plug_in(struct fleet *fleet, const struct guest *guest)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	if (fleet->spec.plug_count == 0)
		return NULL;
	try_(stack_connect(fleet->stack_socket, &stack));
	for (size_t i = 0; i < fleet->spec.plug_count; i++) {
		const struct plug_spec *plug = &fleet->spec.plugs[i];

		if (plug->guests == PLUG_ALL ||
			(guest->number < 64 && plug->guests >> guest->number & 1))
			try_(plug_one(stack, guest, plug, fleet->deadline));
	}
	return NULL;
}

/* Waits for the agent and connects the control port. */
static struct error *meet(struct fleet *fleet, struct guest *guest)
{
	_cleanup_free_ char *agent = format_string("%s/agent.sock", guest->dir);
	_cleanup_free_ char *control = format_string("%s/control.sock", guest->dir);
	struct error *err = agent_open(agent, guest->name, fleet->deadline, &guest->agent);

	if (err) {
		_cleanup_free_ char *log = guest_log(guest->name, "console");
		_cleanup_free_ char *text = fs_read_line(log);
		const char *last = text ? strrchr(text, '\n') : NULL;

		err = error_prefix(err, "guest %s did not come up", guest->name);
		return text ? error_hint(err, "its console ends: %.300s", last ? last + 1 : text)
			    : err;
	}
	guest->answer_ns = clock_now_ns();
	return unix_connect(control, &guest->control_fd);
}

static struct error *open_guest(size_t item, void *context)
{
	struct fleet *fleet = context;
	struct guest *guest = &fleet->guests[item];

	if (fleet->spec.start == FLEET_TEMPLATE)
		try_(start_clone(fleet, guest));
	else
		try_(start_cold(fleet, guest, guest_spec_of(fleet, guest->name)));
	if (fleet->spec.pin)
		try_(pin_guest(guest->pid, guest->number));
	return meet(fleet, guest);
}

static struct error *settle_guest(size_t item, void *context)
{
	struct fleet *fleet = context;
	struct guest *guest = &fleet->guests[item];

	try_(plug_in(fleet, guest));
	if (fleet->host.image->own_program)
		try_(personalise(fleet, guest));
	guest->ready_ns = clock_now_ns();
	return NULL;
}

/* ---- the fleet ---- */

static struct error *create_network(struct fleet *fleet)
{
	const struct fleet_spec *spec = &fleet->spec;
	size_t ports_total = spec->nic_count * fleet->count;
	_cleanup_free_ struct port_spec *ports = calloc(ports_total + 1, sizeof(*ports));
	struct error *err;
	size_t n = 0;

	if (!ports)
		abort();
	if (spec->link_count == 0)
		return NULL;
	for (unsigned int g = 0; g < fleet->count; g++) {
		for (size_t i = 0; i < spec->nic_count; i++)
			ports[n++] = (struct port_spec){
				.tap = guest_tap(fleet->guests[g].name, i),
				.link = spec->nics[i].link,
			};
	}
	err = network_create(spec->links, spec->link_count, ports, ports_total);
	for (size_t i = 0; i < n; i++)
		free((char *)ports[i].tap);
	return err;
}

/* guest_log() leads to `log_dir`, or to a directory of the lab's own. */
static struct error *provide_log_dir(const char *log_dir)
{
	_cleanup_free_ char *link = format_string("%s/log", lab_dir());
	_cleanup_free_ char *target = log_dir ? realpath(log_dir, NULL) : NULL;

	if (!log_dir)
		return fs_make_dirs(link);
	if (!target || (symlink(target, link) < 0 && errno != EEXIST))
		return error_errno(errno, "cannot lead the guests' logs to %s", log_dir);
	return NULL;
}

static struct error *prepare(const struct fleet_spec *spec, const struct fleet_host *host,
	const char *only_name, unsigned int count, struct deadline deadline, struct fleet **fleet)
{
	_cleanup_(cleanup_fleet) struct fleet *made = calloc(1, sizeof(*made));

	if (!made || !(made->guests = calloc(count + 1, sizeof(*made->guests))))
		abort();
	if (spec->nic_count > MAX_NICS)
		return error_new(ERROR_INTERNAL, "a guest has at most %d NICs", MAX_NICS);
	made->spec = *spec;
	made->host = *host;
	made->deadline = deadline;
	made->begin_ns = clock_now_ns();
	for (unsigned int i = 0; i < count; i++) {
		struct guest *guest = &made->guests[i];

		guest->number = i;
		guest->control_fd = -1;
		guest->name = only_name ? format_string("%s", only_name) : format_string("g%u", i);
		guest->dir = guest_dir(guest->name);
		made->count++;
		try_(fs_make_dirs(guest->dir));
	}
	try_(provide_log_dir(host->log_dir));
	try_(create_network(made));
	if (count > 0) {
		try_(qemu_find(QEMU_DEFAULT, &made->emulator));
		try_(start_stack(made));
	}
	*fleet = take_ptr(made);
	return NULL;
}

struct error *fleet_open(const struct fleet_spec *spec, const struct fleet_host *host,
	struct deadline deadline, struct fleet **fleet)
{
	_cleanup_(cleanup_fleet) struct fleet *made = NULL;
	size_t threads = spec->start == FLEET_COLD
				 ? COLD_THREADS
				 : CLONE_THREADS_PER_PU * (size_t)sysconf(_SC_NPROCESSORS_ONLN);

	try_(prepare(spec, host, NULL, spec->count, deadline, &made));
	/* First all answer, then all are named: work for one guest must not delay another's start.
	 */
	try_(parallel_for(made->count, threads, open_guest, made));
	try_(parallel_for(made->count, SETTLE_THREADS, settle_guest, made));
	*fleet = take_ptr(made);
	return NULL;
}

void fleet_close(struct fleet *fleet)
{
	if (!fleet)
		return;
	for (unsigned int i = 0; i < fleet->count; i++) {
		struct guest *guest = &fleet->guests[i];

		agent_close(guest->agent);
		cleanup_close(&guest->control_fd);
		free(guest->name);
		free(guest->dir);
	}
	free(fleet->guests);
	free(fleet->stack_socket);
	free(fleet->emulator);
	free(fleet);
}

/* Leaves our program waiting for the words of personalise() in what becomes the template. */
static struct error *leave_waiting(struct fleet *fleet)
{
	const char *const argv[] = {GUEST_PROGRAM, "later", NULL};
	const struct guest *guest = &fleet->guests[0];
	int64_t pid;
	char heard;

	if (!fleet->host.image->own_program)
		return NULL;
	try_(agent_exec_start(guest->agent, argv, NULL, 0, fleet->deadline, &pid));
	return await_byte(guest, "r", "later", fleet->deadline, &heard);
}

struct error *fleet_make_template(const struct fleet_spec *spec, const struct fleet_host *host,
	struct deadline deadline, json_t **argv)
{
	_cleanup_(cleanup_fleet) struct fleet *fleet = NULL;
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_free_ char *xml = NULL;
	_cleanup_free_ char *ram = NULL;
	struct guest_spec guest;

	if (host->image->disk)
		return error_hint(
			error_new(ERROR_USAGE, "image %s has a disk: it cannot be a template",
				host->image->name),
			"start this fleet cold");
	try_(prepare(spec, host, "tmpl", 1, deadline, &fleet));
	ram = format_string("/proc/%d/fd/%d", (int)fleet->stack_pid, STACK_RAM_FD);
	guest = guest_spec_of(fleet, "tmpl");
	guest.ram = RAM_SHARED;
	guest.ram_path = ram;
	try_(start_cold(fleet, &fleet->guests[0], guest));
	try_(meet(fleet, &fleet->guests[0]));
	try_(leave_waiting(fleet));
	guest.name = GUEST_PLACEHOLDER;
	guest.ram = RAM_COPY;
	free(ram);
	ram = format_string("/proc/self/fd/%d", STACK_RAM_FD);
	guest.ram_path = ram;
	xml = guest_xml(&guest);
	try_(stack_connect(fleet->stack_socket, &stack));
	try_(stack_request(
		stack, json_pack("{s:s, s:s}", "op", "native", "xml", xml), deadline, &answer));
	agent_close(take_ptr(fleet->guests[0].agent));
	try_(stack_request(
		stack, json_pack("{s:s, s:s}", "op", "save", "name", "tmpl"), deadline, NULL));
	*argv = json_incref(json_object_get(answer, "argv"));
	return NULL;
}

/* ---- looking at a fleet ---- */

unsigned int fleet_count(const struct fleet *fleet)
{
	return fleet->count;
}

const char *fleet_guest_name(const struct fleet *fleet, unsigned int guest)
{
	return fleet->guests[guest].name;
}

char *fleet_guest_address(const struct fleet *fleet, unsigned int guest, size_t nic)
{
	size_t link = 0;

	while (link + 1 < fleet->spec.link_count &&
		strcmp(fleet->spec.links[link].name, fleet->spec.nics[nic].link) != 0)
		link++;
	return format_string("10.77.%zu.%u", link, guest + 1);
}

double fleet_guest_answer_s(const struct fleet *fleet, unsigned int guest)
{
	return clock_seconds(fleet->begin_ns, fleet->guests[guest].answer_ns);
}

double fleet_guest_ready_s(const struct fleet *fleet, unsigned int guest)
{
	return clock_seconds(fleet->begin_ns, fleet->guests[guest].ready_ns);
}

double fleet_ready_s(const struct fleet *fleet)
{
	double slowest = 0;

	for (unsigned int i = 0; i < fleet->count; i++) {
		double ready = fleet_guest_ready_s(fleet, i);

		slowest = ready > slowest ? ready : slowest;
	}
	return slowest;
}

struct agent *fleet_agent(const struct fleet *fleet, unsigned int guest)
{
	return fleet->guests[guest].agent;
}

struct error *fleet_guest_pss(const struct fleet *fleet, unsigned int guest, uint64_t *bytes)
{
	_cleanup_free_ char *path =
		format_string("/proc/%d/smaps_rollup", (int)fleet->guests[guest].pid);
	_cleanup_free_ char *text = NULL;
	const char *line;

	try_(fs_read(path, 1 << 16, &text, NULL));
	line = strstr(text, "\nPss:");
	if (!line)
		return error_new(ERROR_SETUP, "%s has no line 'Pss:'", path);
	*bytes = strtoull(line + 5, NULL, 10) << 10;
	return NULL;
}
