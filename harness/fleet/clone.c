/* Clones of a template: see clone.h. QEMU's capability x-ignore-shared leaves shared RAM out of the
 * migration stream; the RAM file itself carries it. */
#include "harness/fleet/clone.h"
#include "harness/base/fs.h"
#include "harness/fleet/guest_spec.h"
#include "harness/fleet/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

/* Options of libvirt's command line that a clone does not get; with how many words each. */
static const struct {
	const char *option, *value_prefix;
} dropped[] = {
	{"-object", "{\"qom-type\":\"secret\""}, /* libvirt's key file, which does not exist */
	{"-chardev", "socket,id=charmonitor,"},	 /* libvirt's monitor: ours is flmon */
	{"-mon", "chardev=charmonitor,"},
	{"-chardev", "socket,id=flmon,"}, /* given by descriptor in clone_start() */
	{"-kernel", ""},
	{"-initrd", ""},
	{"-append", ""},
};

static bool is_dropped(const char *option, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
		if (strcmp(option, dropped[i].option) == 0 &&
			g_str_has_prefix(value, dropped[i].value_prefix))
			return true;
	}
	return false;
}

struct error *clone_argv(const char *native, json_t **argv)
{
	json_t *result = json_array();
	gchar **words = NULL;
	int count = 0, first = 0;

	if (!g_shell_parse_argv(native, &count, &words, NULL)) {
		json_decref(result);
		return error_new(ERROR_INTERNAL, "cannot parse libvirt's command line");
	}
	while (first < count && strchr(words[first], '=')) /* the environment */
		first++;
	for (int i = first; i < count; i++) {
		const char *value = i + 1 < count ? words[i + 1] : "";

		/* libvirt ends a guest that powers off; a clone's QEMU must end by itself. */
		if (strcmp(words[i], "-S") == 0 || strcmp(words[i], "-no-shutdown") == 0)
			continue;
		if (is_dropped(words[i], value)) {
			i++;
			continue;
		}
		json_array_append_new(result, json_string(words[i]));
	}
	g_strfreev(words);
	*argv = result;
	return NULL;
}

/* Replaces every `from` in `word`, which is consumed. */
static gchar *replaced(gchar *word, const char *from, const char *to)
{
	gchar **parts;
	gchar *joined;

	if (!strstr(word, from))
		return word;
	parts = g_strsplit(word, from, -1);
	joined = g_strjoinv(to, parts);
	g_strfreev(parts);
	g_free(word);
	return joined;
}

static gchar *with_own_mac(gchar *word, const struct guest_spec *spec)
{
	for (size_t i = 0; spec->mac_number && i < spec->nic_count; i++) {
		char template[18], own[18];

		guest_mac(GUEST_TEMPLATE_MAC, i, template);
		guest_mac(spec->mac_number, i, own);
		word = replaced(word, template, own);
	}
	return word;
}

json_t *clone_fill(const json_t *template, const struct guest_spec *spec)
{
	_cleanup_free_ char *seat = guest_seat(spec->name, spec->seat);
	_cleanup_free_ char *ram = guest_ram_object(spec);
	const char *seat_ending = seat + strlen(spec->name);
	json_t *argv = json_array();
	const char *previous = "";
	const json_t *word;
	size_t i;

	json_array_foreach ((json_t *)template, i, word) {
		const char *text = json_string_value(word);
		gchar *own = g_strdup(text);

		if (strcmp(previous, "-uuid") == 0 && spec->uuid) {
			g_free(own);
			own = g_strdup(spec->uuid);
		} else if ((spec->ram != RAM_COPY || spec->ram_path) &&
			   g_str_has_prefix(text, "memory-backend-file,id=" GUEST_RAM_ID ",")) {
			g_free(own);
			own = g_strdup(ram);
		}
		own = replaced(own, GUEST_PLACEHOLDER, spec->name);
		own = replaced(own, GUEST_SEAT_PLACEHOLDER, seat_ending);
		own = replaced(own, GUEST_TAP_PLACEHOLDER, spec->seat % 2 == 0 ? "" : "b");
		own = with_own_mac(own, spec);
		json_array_append_new(argv, json_string(own));
		g_free(own);
		previous = text;
	}
	return argv;
}

/* The vector, and what makes it a QEMU that waits for its state. */
static GPtrArray *clone_words(const json_t *argv, const char *cpr_path, int monitor_fd)
{
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
	const json_t *word;
	size_t i;

	json_array_foreach ((json_t *)argv, i, word)
		g_ptr_array_add(words, g_strdup(json_string_value(word)));
	/* A guest that panics reboots, and has no kernel to do so: its end shall be seen. */
	g_ptr_array_add(words, g_strdup("-no-reboot"));
	g_ptr_array_add(words, g_strdup("-S"));
	g_ptr_array_add(words, g_strdup("-chardev"));
	g_ptr_array_add(
		words, g_strdup_printf("socket,id=flmon,fd=%d,server=on,wait=off", monitor_fd));
	g_ptr_array_add(words, g_strdup("-incoming"));
	g_ptr_array_add(words, g_strdup("defer"));
	if (cpr_path) {
		g_ptr_array_add(words, g_strdup("-incoming"));
		g_ptr_array_add(
			words, g_strdup_printf("{\"channel-type\":\"cpr\",\"addr\":{\"transport\":"
					       "\"socket\",\"type\":\"unix\",\"path\":\"%s\"}}",
				       cpr_path));
	}
	g_ptr_array_add(words, NULL);
	return words;
}

struct clone_files {
	int monitor, log; /* the listening socket of its monitor, and where its messages go */
};

static void clone_files_close(struct clone_files *files)
{
	cleanup_close(&files->monitor);
	cleanup_close(&files->log);
}

/* The monitor listens before QEMU is there, so nobody polls for it; and it can be connected to
 * again, by a stack that takes a predecessor's place. */
static struct error *clone_files_open(
	const char *seat, const char *log_path, char **monitor_path, struct clone_files *files)
{
	_cleanup_free_ char *dir = guest_dir(seat, 0);
	_cleanup_free_ char *path = format_string("%s/qmp.sock", dir);

	try_(fs_make_dirs(dir));
	try_(unix_listen(path, &files->monitor));
	files->log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (files->log < 0)
		return error_errno(errno, "cannot open %s", log_path);
	*monitor_path = take_ptr(path);
	return NULL;
}

/* RAM in a file or device of its own may be huge pages, which DAX cannot be mapped without. */
static bool shares_ram(char *const words[])
{
	for (; *words; words++) {
		if (g_str_has_prefix(*words, "memory-backend-file,") && strstr(*words, ",share=on"))
			return true;
	}
	return false;
}

static void __attribute__((noreturn))
exec_qemu(char *const words[], const struct clone_files *files)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Clearing 2 MiB pages for QEMU's small heaps takes a tenth of a clone's start. */
	if (!shares_ram(words))
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	fcntl(files->monitor, F_SETFD, 0);
	for (int i = 0; i < STACK_TEMPLATES_MAX; i++)
		fcntl(STACK_RAM_FD + 2 * i, F_SETFD, 0);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	dup2(files->log, STDOUT_FILENO);
	dup2(files->log, STDERR_FILENO);
	execv(words[0], words);
	_exit(127);
}

/* Opened anew, so that each clone reads the state from its start. */
static struct error *open_state(unsigned int template, int *fd)
{
	_cleanup_free_ char *path =
		format_string("/proc/self/fd/%u", STACK_STATE_FD + 2 * template);

	*fd = open(path, O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? error_errno(errno, "cannot open the template's state") : NULL;
}

static struct error *load_state(struct qmp *qmp, unsigned int template, struct deadline deadline)
{
	json_t *capabilities = json_pack("{s:[{s:s,s:b},{s:s,s:b}]}", "capabilities", "capability",
		"x-ignore-shared", "state", 1, "capability", "events", "state", 1);
	_cleanup_close_ int state = -1;

	try_(open_state(template, &state));
	try_(qmp_execute(qmp, "migrate-set-capabilities", capabilities, deadline, NULL));
	try_(qmp_give_fd(qmp, state, "state", deadline));
	try_(qmp_execute(
		qmp, "migrate-incoming", json_pack("{s:s}", "uri", "fd:state"), deadline, NULL));
	try_(qmp_wait_migration(qmp, deadline));
	return qmp_execute(qmp, "cont", NULL, deadline, NULL);
}

/* Ends a QEMU that did not do, and adds its last words to the error. */
static struct error *clone_failed(
	const char *seat, pid_t child, const char *log_path, struct error *err)
{
	_cleanup_free_ char *log = fs_read_line(log_path);

	kill(child, SIGKILL); /* reaped when the lab ends */
	if (log && log[0])
		err = error_prefix(err, "%s", log);
	return error_prefix(err, "cannot start QEMU of guest %s", seat);
}

struct error *clone_spawn(const char *seat, const json_t *argv, const char *cpr_path,
	const char *log_path, struct deadline deadline, pid_t *pid, struct qmp **qmp)
{
	_cleanup_(clone_files_close) struct clone_files files = {-1, -1};
	_cleanup_free_ char *monitor_path = NULL;
	_cleanup_close_ int monitor = -1;
	GPtrArray *words;
	struct error *err;
	pid_t child;

	try_(clone_files_open(seat, log_path, &monitor_path, &files));
	/* Before QEMU starts: then its end closes this connection also when it never accepts. */
	if (!cpr_path)
		try_(unix_connect(monitor_path, &monitor));
	words = clone_words(argv, cpr_path, files.monitor);
	child = fork();
	if (child == 0)
		exec_qemu((char *const *)words->pdata, &files);
	g_ptr_array_unref(words);
	if (child < 0)
		return error_errno(errno, "cannot start QEMU of %s", seat);
	cleanup_close(&files.monitor);
	files.monitor = -1;
	*pid = child;
	*qmp = NULL;
	if (cpr_path)
		return NULL;
	err = qmp_open(take_fd(&monitor), seat, deadline, qmp);
	return err ? clone_failed(seat, child, log_path, err) : NULL;
}

struct error *clone_start(const char *seat, const json_t *argv, unsigned int template,
	const char *log_path, struct deadline deadline, pid_t *pid, struct qmp **qmp)
{
	_cleanup_(cleanup_qmp) struct qmp *opened = NULL;
	struct error *err;
	pid_t child;

	try_(clone_spawn(seat, argv, NULL, log_path, deadline, &child, &opened));
	err = load_state(opened, template, deadline);
	if (err)
		return clone_failed(seat, child, log_path, err);
	*pid = child;
	*qmp = take_ptr(opened);
	return NULL;
}

struct error *clone_save(struct qmp *qmp, struct deadline deadline)
{
	json_t *capabilities = json_pack("{s:[{s:s,s:b},{s:s,s:b}]}", "capabilities", "capability",
		"x-ignore-shared", "state", 1, "capability", "events", "state", 1);

	try_(qmp_execute(qmp, "stop", NULL, deadline, NULL));
	try_(qmp_execute(qmp, "migrate-set-capabilities", capabilities, deadline, NULL));
	try_(qmp_give_fd(qmp, STACK_STATE_FD, "state", deadline));
	try_(qmp_execute(qmp, "migrate", json_pack("{s:s}", "uri", "fd:state"), deadline, NULL));
	try_(qmp_wait_migration(qmp, deadline));
	return qmp_execute(qmp, "quit", NULL, deadline, NULL);
}
