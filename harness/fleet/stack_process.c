/*
 * A stack's guests as processes: their end, what they use, whether they are there. QEMUs outlive
 * the stack that started them, so a stack that takes its place looks for them by name.
 */
#include "harness/fleet/stack_internal.h"
#include "harness/base/fs.h"
#include "harness/host/facts.h"
#include "harness/host/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#define END_MS 20000
#define SUCCESSION_MS 10000

DEFINE_CLEANUP(dir, DIR *, closedir)

static bool process_ends(int pidfd, struct deadline deadline)
{
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};

	for (;;) {
		int n = poll(&pfd, 1, deadline_left_ms(deadline));

		if (n > 0)
			return true;
		if (n == 0 || errno != EINTR)
			return false;
	}
}

static struct error *has_ended(struct stack_guest *guest, struct deadline deadline, bool *ended)
{
	_cleanup_close_ int fd = -1;

	try_(stack_watch(guest, &fd));
	*ended = fd < 0 || process_ends(fd, deadline);
	return NULL;
}

/* Whether a QEMU that has ended had ever run its guest: it says so before it lets the vCPUs go.
 * Call with the guest's lock held. */
static bool had_resumed(struct stack_guest *guest)
{
	_cleanup_json_ json_t *event = NULL;

	if (!guest->had_run && guest->qmp)
		error_destroy(
			qmp_take_event(guest->qmp, "RESUME", deadline_after_ms(1000), &event));
	guest->had_run = guest->had_run || event;
	return guest->had_run;
}

/* What is left of a guest is what is known of it: a stack outlives many. */
static void let_go(struct stack_guest *guest)
{
	pthread_mutex_lock(&guest->lock);
	had_resumed(guest);
	qmp_close(guest->qmp);
	guest->qmp = NULL;
	pthread_mutex_unlock(&guest->lock);
	pthread_mutex_lock(&guest->pidfd_lock);
	cleanup_close(&guest->pidfd);
	guest->pidfd = -1;
	pthread_mutex_unlock(&guest->pidfd_lock);
}

/* There is nothing to save in a QEMU that is ended here: it has handed its guest over, or never had
 * it. So it gets no chance to hang. */
struct error *stack_op_end(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_close_ int fd = -1;
	struct stack_guest *guest;

	(void)answer;
	try_(stack_find_guest(server, request, &guest));
	try_(stack_watch(guest, &fd));
	if (fd >= 0 && pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return error_errno(errno, "cannot end QEMU of %s", guest->name);
	if (fd >= 0 && !process_ends(fd, deadline_after_ms(END_MS)))
		return error_new(ERROR_TIMEOUT,
			"deadline passed while waiting for the end of QEMU of %s", guest->name);
	if (fd >= 0 && guest->child)
		waitpid(guest->pid, NULL, WNOHANG);
	let_go(guest);
	return NULL;
}

/* ---- succession ---- */

/* A process's words, each ended by a NUL; NULL when it has none or is gone. */
static char *command_line(const char *pid, size_t *size)
{
	_cleanup_free_ char *path = format_string("/proc/%s/cmdline", pid);
	char *text = NULL;

	error_destroy(fs_read(path, 1 << 20, &text, size));
	return text;
}

/* Is it "-name guest=NAME,…"? Both libvirt and clones are given it so. */
static bool is_qemu_of(const char *words, size_t size, const char *name)
{
	_cleanup_free_ char *value = format_string("guest=%s,", name);

	for (size_t at = 0; at < size; at += strlen(words + at) + 1) {
		const char *next = words + at + strlen(words + at) + 1;

		if (strcmp(words + at, "-name") == 0 && next < words + size)
			return strncmp(next, value, strlen(value)) == 0;
	}
	return false;
}

/* A process that has this stack's words but is not it: what the predecessor was about to make a
 * QEMU of when it died. It will be one, or end, in no time. */
static bool is_unborn(
	const char *pid, const char *words, size_t size, const char *own, size_t own_size)
{
	return atoi(pid) != getpid() && size == own_size && memcmp(words, own, size) == 0;
}

struct search {
	const char *name;
	pid_t found;
	bool unborn;
};

static struct error *search_processes(struct search *search)
{
	_cleanup_(cleanup_dir) DIR *proc = opendir("/proc");
	size_t own_size = 0;
	_cleanup_free_ char *own = command_line("self", &own_size);
	struct dirent *entry;

	if (!proc || !own)
		return error_errno(errno, "cannot look for QEMU of %s", search->name);
	while ((entry = readdir(proc))) {
		_cleanup_free_ char *words = NULL;
		size_t size = 0;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		words = command_line(entry->d_name, &size);
		if (!words || size == 0)
			continue;
		if (is_qemu_of(words, size, search->name))
			search->found = atoi(entry->d_name);
		else if (is_unborn(entry->d_name, words, size, own, own_size))
			search->unborn = true;
	}
	return NULL;
}

struct error *stack_op_adopt(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = deadline_after_ms(SUCCESSION_MS);
	const struct stack_guest *known;
	struct search search = {0};

	try_(stack_string(request, "name", &search.name));
	known = stack_known_guest(server, search.name);
	if (known) {
		json_object_set_new(answer, "pid", json_integer(known->pid));
		return NULL;
	}
	for (;;) {
		search.unborn = false;
		try_(search_processes(&search));
		if (search.found || !search.unborn)
			break;
		if (deadline_passed(deadline))
			return error_new(ERROR_TIMEOUT,
				"deadline passed while waiting for what the "
				"stack's predecessor has left");
		poll(NULL, 0, 2); /* for what has no event: another's child becoming a QEMU */
	}
	if (search.found)
		try_(stack_add_guest(server, search.name, search.found, false, NULL, NULL));
	json_object_set_new(answer, "pid", json_integer(search.found));
	return NULL;
}

/* ---- looking ---- */

/* A QEMU that does not answer may be about to end; else that is the error. */
static struct error *tell_end(struct stack_guest *guest, struct error *err, json_t *answer)
{
	bool ended = false;

	error_destroy(has_ended(guest, deadline_after_ms(1000), &ended));
	if (!ended)
		return err;
	error_destroy(err);
	json_object_set_new(answer, "alive", json_false());
	pthread_mutex_lock(&guest->lock);
	json_object_set_new(answer, "had_run", json_boolean(had_resumed(guest)));
	pthread_mutex_unlock(&guest->lock);
	return NULL;
}

struct error *stack_op_status(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = deadline_after_ms(STACK_CONTINUE_MS);
	_cleanup_json_ json_t *migration = NULL;
	_cleanup_json_ json_t *status = NULL;
	struct stack_guest *guest;
	struct error *err;
	bool ended;

	try_(stack_find_guest(server, request, &guest));
	try_(has_ended(guest, deadline_after_ms(0), &ended));
	if (!ended && stack_cpr_awaits_source(guest)) {
		json_object_set_new(answer, "pid", json_integer(guest->pid));
		json_object_set_new(answer, "alive", json_true());
		json_object_set_new(answer, "running", json_false());
		return NULL;
	}
	err = stack_monitor(guest, "query-status", NULL, deadline, &status);
	if (!err)
		err = stack_monitor(guest, "query-migrate", NULL, deadline, &migration);
	json_object_set_new(answer, "pid", json_integer(guest->pid));
	if (err)
		return tell_end(guest, err, answer);
	json_object_set_new(answer, "alive", json_true());
	json_object_set(answer, "status", json_object_get(status, "status"));
	json_object_set(answer, "running", json_object_get(status, "running"));
	json_object_set(answer, "migration", json_object_get(migration, "status"));
	return NULL;
}

/* CPU time and faults of a process and those of its children that have been waited for. */
static struct error *process_times(pid_t pid, json_t *answer)
{
	double ticks = (double)sysconf(_SC_CLK_TCK);
	struct proc_stat stat;

	if (!proc_read_stat(pid, &stat))
		return error_new(ERROR_SETUP, "cannot read /proc/%d/stat", (int)pid);
	json_object_set_new(answer, "cpu_s", json_real((double)(stat.user + stat.system) / ticks));
	json_object_set_new(answer, "children_cpu_s",
		json_real((double)(stat.reaped_user + stat.reaped_system) / ticks));
	json_object_set_new(answer, "vcpu_s", json_real(proc_vcpu_seconds(pid)));
	json_object_set_new(answer, "minor_faults", json_integer((json_int_t)stat.minor_faults));
	json_object_set_new(answer, "major_faults", json_integer((json_int_t)stat.major_faults));
	return NULL;
}

static struct error *process_memory(pid_t pid, json_t *answer)
{
	struct proc_memory memory;

	try_(proc_read_memory(pid, &memory));
	json_object_set_new(answer, "rss_bytes", json_integer((json_int_t)memory.rss));
	json_object_set_new(answer, "pss_bytes", json_integer((json_int_t)memory.pss));
	return NULL;
}

/* Of a guest's QEMU; without a name of the stack itself. */
struct error *stack_op_statistics(struct server *server, json_t *request, json_t *answer)
{
	struct stack_guest *guest;
	pid_t pid = getpid();

	if (json_object_get(request, "name")) {
		try_(stack_find_guest(server, request, &guest));
		pid = guest->pid;
	}
	try_(process_times(pid, answer));
	return process_memory(pid, answer);
}

/* The guest's lock, by the deadline. */
static struct error *lock_guest(struct stack_guest *guest, struct deadline deadline)
{
	const struct timespec until = {
		deadline.at_ns / NSEC_PER_SEC, deadline.at_ns % NSEC_PER_SEC};

	return pthread_mutex_clocklock(&guest->lock, CLOCK_MONOTONIC, &until) == 0
		       ? NULL
		       : error_new(ERROR_TIMEOUT,
				 "deadline passed while waiting for the monitor of %s",
				 guest->name);
}

/* QEMU tells; the guest is not asked. */
struct error *stack_op_balloon(struct server *server, json_t *request, json_t *answer)
{
	json_int_t timeout_ms = json_integer_value(json_object_get(request, "timeout_ms"));
	_cleanup_json_ json_t *balloon = NULL;
	struct stack_guest *guest;
	struct deadline deadline;
	struct error *err;

	if (timeout_ms <= 0 || timeout_ms > STACK_REQUEST_MS)
		timeout_ms = STACK_REQUEST_MS;
	deadline = deadline_after_ms(timeout_ms);
	try_(stack_find_guest(server, request, &guest));
	try_(lock_guest(guest, deadline));
	err = stack_open_monitor(guest, deadline);
	if (!err)
		err = qmp_execute(guest->qmp, "query-balloon", NULL, deadline, &balloon);
	pthread_mutex_unlock(&guest->lock);
	if (!err)
		json_object_set(answer, "bytes", json_object_get(balloon, "actual"));
	return err;
}

static json_int_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

/* The boot id tells which kernel this is: what runs under the same has the same clocks and inodes.
 */
struct error *stack_op_clock(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_free_ char *boot = fs_read_line("/proc/sys/kernel/random/boot_id");

	(void)server;
	(void)request;
	json_object_set_new(answer, "boot_id", json_string(boot ? boot : ""));
	json_object_set_new(answer, "monotonic_ns", json_integer(now_ns(CLOCK_MONOTONIC)));
	json_object_set_new(answer, "realtime_ns", json_integer(now_ns(CLOCK_REALTIME)));
	return NULL;
}

struct error *stack_op_room(struct server *server, json_t *request, json_t *answer)
{
	uint64_t available;

	(void)server;
	(void)request;
	if (!host_meminfo("MemAvailable", &available))
		return error_new(ERROR_SETUP, "cannot read MemAvailable in /proc/meminfo");
	json_object_set_new(answer, "available_bytes", json_integer((json_int_t)available));
	return NULL;
}

/* ---- what machine it is ---- */

static void set_property(struct stack_guest *guest, const char *path, const char *property,
	const char *name, json_t *answer)
{
	json_t *value = NULL;
	struct error *err = stack_monitor(guest, "qom-get",
		json_pack("{s:s, s:s}", "path", path, "property", property),
		deadline_after_ms(STACK_CONTINUE_MS), &value);

	if (!err)
		json_object_set_new(answer, name, value);
	error_destroy(err);
}

struct error *stack_op_machine(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = deadline_after_ms(STACK_CONTINUE_MS);
	_cleanup_json_ json_t *memory = NULL;
	_cleanup_json_ json_t *cpus = NULL;
	_cleanup_json_ json_t *kvm = NULL;
	struct stack_guest *guest;
	const char *cpu = NULL;
	json_int_t bytes;

	try_(stack_find_guest(server, request, &guest));
	try_(stack_monitor(guest, "query-memory-size-summary", NULL, deadline, &memory));
	try_(stack_monitor(guest, "query-cpus-fast", NULL, deadline, &cpus));
	try_(stack_monitor(guest, "query-kvm", NULL, deadline, &kvm));
	bytes = json_integer_value(json_object_get(memory, "base-memory"));
	json_object_set_new(answer, "memory_bytes", json_integer(bytes));
	json_object_set_new(answer, "vcpus", json_integer((json_int_t)json_array_size(cpus)));
	json_object_set(answer, "kvm", json_object_get(kvm, "enabled"));
	set_property(guest, "/machine", "type", "machine", answer);
	cpu = json_string_value(json_object_get(json_array_get(cpus, 0), "qom-path"));
	if (cpu)
		set_property(guest, cpu, "type", "cpu", answer);
	return NULL;
}
