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
#include <sys/random.h>
#include <sys/socket.h>

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

static char *random_uuid(void)
{
	unsigned char b[16] = {0};

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		abort();
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	return format_string("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		b[13], b[14], b[15]);
}

/* The template's words with the clone's name and uuid, and what makes it a clone. */
static GPtrArray *clone_words(const char *name, json_t *argv, int qmp_fd)
{
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
	const char *previous = "";
	json_t *word;
	size_t i;

	json_array_foreach (argv, i, word) {
		gchar **parts = g_strsplit(json_string_value(word), GUEST_PLACEHOLDER, -1);

		if (strcmp(previous, "-uuid") == 0)
			g_ptr_array_add(words, random_uuid());
		else
			g_ptr_array_add(words, g_strjoinv(name, parts));
		g_strfreev(parts);
		previous = json_string_value(word);
	}
	/* A guest that panics reboots, and has no kernel to do so: its end shall be seen. */
	g_ptr_array_add(words, g_strdup("-no-reboot"));
	g_ptr_array_add(words, g_strdup("-chardev"));
	g_ptr_array_add(words, g_strdup_printf("socket,id=flmon,fd=%d", qmp_fd));
	g_ptr_array_add(words, g_strdup("-incoming"));
	g_ptr_array_add(words, g_strdup("defer"));
	g_ptr_array_add(words, NULL);
	return words;
}

struct clone_files {
	int qmp_ours, qmp_theirs, state, log;
};

static void clone_files_close(struct clone_files *files)
{
	cleanup_close(&files->qmp_ours);
	cleanup_close(&files->qmp_theirs);
	cleanup_close(&files->state);
	cleanup_close(&files->log);
}

static struct error *clone_files_open(const char *log_path, struct clone_files *files)
{
	_cleanup_free_ char *state = format_string("/proc/self/fd/%d", STACK_STATE_FD);
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(errno, "cannot create a monitor socket");
	files->qmp_ours = pair[0];
	files->qmp_theirs = pair[1];
	/* Opened anew, so that each clone reads the state from its start. */
	files->state = open(state, O_RDONLY | O_CLOEXEC);
	files->log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (files->state < 0)
		return error_errno(errno, "cannot open the template's state");
	if (files->log < 0)
		return error_errno(errno, "cannot open %s", log_path);
	return NULL;
}

static void __attribute__((noreturn))
exec_qemu(char *const words[], const struct clone_files *files)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Clearing 2 MiB pages for QEMU's small heaps takes a tenth of a clone's start. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	fcntl(files->qmp_theirs, F_SETFD, 0);
	fcntl(STACK_RAM_FD, F_SETFD, 0);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	dup2(files->log, STDOUT_FILENO);
	dup2(files->log, STDERR_FILENO);
	execv(words[0], words);
	_exit(127);
}

static struct error *load_state(struct qmp *qmp, int state_fd, struct deadline deadline)
{
	json_t *capabilities = json_pack("{s:[{s:s,s:b},{s:s,s:b}]}", "capabilities", "capability",
		"x-ignore-shared", "state", 1, "capability", "events", "state", 1);

	try_(qmp_execute(qmp, "migrate-set-capabilities", capabilities, deadline, NULL));
	try_(qmp_give_fd(qmp, state_fd, "state", deadline));
	try_(qmp_execute(
		qmp, "migrate-incoming", json_pack("{s:s}", "uri", "fd:state"), deadline, NULL));
	try_(qmp_wait_migration(qmp, deadline));
	/* The template was stopped when its state was written, so its clones begin stopped. */
	return qmp_execute(qmp, "cont", NULL, deadline, NULL);
}

struct error *clone_start(const char *name, json_t *argv, const char *log_path,
	struct deadline deadline, pid_t *pid, struct qmp **qmp)
{
	_cleanup_(clone_files_close) struct clone_files files = {-1, -1, -1, -1};
	_cleanup_(cleanup_qmp) struct qmp *opened = NULL;
	GPtrArray *words;
	struct error *err;
	pid_t child;

	try_(clone_files_open(log_path, &files));
	words = clone_words(name, argv, files.qmp_theirs);
	child = fork();
	if (child == 0)
		exec_qemu((char *const *)words->pdata, &files);
	g_ptr_array_unref(words);
	if (child < 0)
		return error_errno(errno, "cannot start QEMU of %s", name);
	cleanup_close(&files.qmp_theirs);
	files.qmp_theirs = -1;
	err = qmp_open(take_fd(&files.qmp_ours), name, deadline, &opened);
	if (!err)
		err = load_state(opened, files.state, deadline);
	if (err) {
		_cleanup_free_ char *log = fs_read_line(log_path);

		kill(child, SIGKILL); /* reaped when the lab ends */
		if (log && log[0])
			err = error_prefix(err, "%s", log);
		return error_prefix(err, "cannot clone guest %s", name);
	}
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
