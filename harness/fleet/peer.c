/* A stack on another machine, by ssh: see peer.h. ssh's own forwarding of sockets carries the
 * stack's protocol, so many connections can be open at once. */
#include "harness/fleet/peer.h"
#include "harness/base/fs.h"
#include "harness/base/jsonline.h"
#include "harness/base/process.h"
#include "harness/base/version.h"
#include "harness/fleet/stack.h"
#include "harness/lab/cpu_time.h"
#include "harness/lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SCHEME "qemu+ssh://"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define MAX_LOG ((size_t)1 << 20)

enum { STOP_MS = 10000, MAX_PORT = 65535, LIFETIME_S = 180 };

struct peer {
	struct peer_address address;
	char *directory;
	char *control, *socket;
	char *far_directory; /* of the lab there, as its host sees it */
	pid_t far_init;	     /* of that lab */
	pid_t far_session;   /* ssh's other end, from which all there descends */
	json_t *host;
	bool is_here;
	pid_t ssh;
	int accounts, statistics; /* ssh's /proc/PID/io and stat, which a lab cannot open */
	int input, output; /* ends of ssh's stdin and stdout; the end of its input ends the lab */
	struct jsonline reader; /* of output */
};

/* ---- the address ---- */

static struct error *bad_uri(const char *uri, const char *why)
{
	return error_hint(error_new(ERROR_USAGE, "'%s' names no peer: %s", uri, why),
		"--peer " SCHEME "[USER@]HOST[:PORT]/system[?keyfile=FILE&known_hosts=FILE"
		"&command=PROGRAM]");
}

/* Nothing that ssh could take for an option, nor a shell for anything. */
static bool is_name(const char *text, size_t length)
{
	return length > 0 && text[0] != '-' && strspn(text, NAME_CHARACTERS) >= length;
}

static bool is_path(const char *text, size_t length)
{
	return length > 0 && text[0] != '-' && strspn(text, NAME_CHARACTERS "/") >= length;
}

/* One "name=value" of the query. */
static const char *take_parameter(struct peer_address *address, const char *text, size_t length)
{
	const struct {
		const char *name;
		char *value;
	} known[] = {
		{"keyfile=", address->keyfile},
		{"known_hosts=", address->known_hosts},
		{"command=", address->command},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t name = strlen(known[i].name);
		size_t size = sizeof(address->command);

		if (length < name || strncmp(text, known[i].name, name) != 0)
			continue;
		if (length - name >= size || !is_path(text + name, length - name))
			return "a file in its query has no name, a strange or a too long one";
		snprintf(known[i].value, size, "%.*s", (int)(length - name), text + name);
		return NULL;
	}
	return "its query knows keyfile, known_hosts and command only";
}

static const char *take_query(struct peer_address *address, const char *query)
{
	const char *why_not = NULL;

	while (!why_not) {
		size_t length = strcspn(query, "&");

		why_not = take_parameter(address, query, length);
		if (!query[length])
			break;
		query += length + 1;
	}
	return why_not;
}

static const char *take_place(struct peer_address *address, const char *host, size_t length)
{
	const char *at = memchr(host, '@', length);
	const char *name = at ? at + 1 : host;

	if (length >= sizeof(address->destination))
		return "it is too long";
	if ((at && !is_name(host, (size_t)(at - host))) ||
		!is_name(name, length - (size_t)(name - host)))
		return "there is no host in it, or a strange one";
	snprintf(address->destination, sizeof(address->destination), "%.*s", (int)length, host);
	return NULL;
}

static const char *take_port(struct peer_address *address, const char **rest)
{
	char *end;
	unsigned long port;

	if (**rest != ':')
		return NULL;
	port = strtoul(*rest + 1, &end, 10);
	if (end == *rest + 1 || port < 1 || port > MAX_PORT || strchr("+- ", (*rest)[1]))
		return "its port is none";
	address->port = (uint16_t)port;
	*rest = end;
	return NULL;
}

struct error *peer_parse(const char *uri, struct peer_address *address)
{
	static const char path[] = "/system";
	struct peer_address parsed = {0};
	const char *host, *rest, *why_not;

	if (strncmp(uri, SCHEME, strlen(SCHEME)) != 0)
		return bad_uri(uri, "only " SCHEME " is known");
	host = uri + strlen(SCHEME);
	rest = host + strcspn(host, ":/?");
	why_not = take_place(&parsed, host, (size_t)(rest - host));
	if (!why_not)
		why_not = take_port(&parsed, &rest);
	if (!why_not && strncmp(rest, path, strlen(path)) != 0)
		why_not = "its path is not /system";
	if (why_not)
		return bad_uri(uri, why_not);
	rest += strlen(path);
	if (*rest == '?')
		why_not = take_query(&parsed, rest + 1);
	else if (*rest)
		why_not = "its path is not /system";
	if (why_not)
		return bad_uri(uri, why_not);
	*address = parsed;
	return NULL;
}

/* ---- ssh ---- */

enum { MAX_WORDS = 32, PORT_TEXT = 8, OPTION_TEXT = 320 };

struct words {
	const char *argv[MAX_WORDS];
	size_t used;
	char port[PORT_TEXT], known_hosts[OPTION_TEXT];
};

static void add_word(struct words *words, const char *word)
{
	words->argv[words->used++] = word;
}

static void add_option(struct words *words, const char *option, const char *value)
{
	add_word(words, option);
	add_word(words, value);
}

/* "ssh" and what every call of it needs: one that would ask for a password fails instead of waiting
 * for somebody to type, also where the connection that the later ones go through has gone. */
static void begin_words(struct words *words, const struct peer *peer)
{
	const struct peer_address *address = &peer->address;

	*words = (struct words){0};
	add_word(words, "ssh");
	add_word(words, "-oBatchMode=yes");
	if (address->keyfile[0]) {
		add_option(words, "-i", address->keyfile);
		add_word(words, "-oIdentitiesOnly=yes");
		add_word(words, "-oIdentityAgent=none");
	}
	if (address->known_hosts[0]) {
		snprintf(words->known_hosts, sizeof(words->known_hosts), "-oUserKnownHostsFile=%s",
			address->known_hosts);
		add_word(words, words->known_hosts);
	}
	if (address->port) {
		snprintf(words->port, sizeof(words->port), "%u", address->port);
		add_option(words, "-p", words->port);
	}
	add_option(words, "-S", peer->control);
}

static void __attribute__((noreturn))
exec_ssh(const struct words *words, int input, int output, const char *log)
{
	int errors = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* a login under way reads no input, so would not end */
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	execvp(words->argv[0], (char *const *)words->argv);
	dprintf(STDERR_FILENO, "cannot run ssh: %s\n", strerror(errno));
	_exit(127);
}

static struct error *start_ssh(struct peer *peer, unsigned int lifetime_s)
{
	_cleanup_free_ char *boot = fs_read_line(BOOT_ID);
	_cleanup_free_ char *lifetime = format_string("%u", lifetime_s ? lifetime_s : LIFETIME_S);
	const char *command = peer->address.command;
	_cleanup_free_ char *log = format_string("%s/ssh.log", peer->directory);
	int input[2], output[2];
	struct words words;

	begin_words(&words, peer);
	add_word(&words, "-M");
	add_word(&words, "-T");
	add_word(&words, "-oControlPersist=no");
	add_word(&words, "-oConnectTimeout=10");
	add_word(&words, "-oStreamLocalBindUnlink=yes");
	/* A machine or a cable that has gone is noticed. */
	add_word(&words, "-oServerAliveInterval=5");
	add_word(&words, "-oServerAliveCountMax=3");
	add_option(&words, "--", peer->address.destination);
	add_option(&words, command[0] ? command : "fleetlab", "peer");
	add_option(&words, "--for", lifetime);
	add_option(&words, "--from", boot ? boot : "unknown");
	if (pipe2(input, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create pipes for ssh");
	peer->input = input[1];
	if (pipe2(output, O_CLOEXEC) < 0) {
		close(input[0]);
		return error_errno(errno, "cannot create pipes for ssh");
	}
	peer->output = peer->reader.fd = output[0];
	peer->ssh = fork();
	if (peer->ssh == 0)
		exec_ssh(&words, input[0], output[1], log);
	close(input[0]);
	close(output[1]);
	return peer->ssh < 0 ? error_errno(errno, "cannot start ssh") : NULL;
}

/* The login that has to work, for people to try. Caller frees. */
static char *login_text(const struct peer *peer)
{
	char *text = format_string("ssh");
	struct words words;

	begin_words(&words, peer);
	words.used -= 2; /* -S and the socket */
	add_word(&words, peer->address.destination);
	add_word(&words, peer->address.command[0] ? peer->address.command : "fleetlab");
	add_word(&words, "--version");
	for (size_t i = 1; i < words.used; i++) {
		char *longer = format_string("%s %s", text, words.argv[i]);

		free(text);
		text = longer;
	}
	return text;
}

/* ssh's last words, for a stack that did not come. */
static struct error *ssh_failed(const struct peer *peer, const char *what)
{
	_cleanup_free_ char *path = format_string("%s/ssh.log", peer->directory);
	_cleanup_free_ char *text = NULL;
	_cleanup_error_ struct error *unreadable = fs_read(path, MAX_LOG, &text, NULL);
	_cleanup_free_ char *login = login_text(peer);
	const char *last = text;

	for (char *line = text; line && *line; line += strcspn(line, "\n") + 1) {
		last = line;
		if (!strchr(line, '\n'))
			break;
	}
	return error_hint(
		error_new(ERROR_SETUP, "no stack on %s: %s: %.*s", peer->address.destination, what,
			last ? (int)strcspn(last, "\r\n") : 0, last ? last : ""),
		"what must work: %s", login);
}

static bool is_pid(json_int_t number)
{
	return number >= 1 && number <= INT32_MAX;
}

/* What `fleetlab peer` says when its stack is there. */
static struct error *hear_ready(struct peer *peer, struct deadline deadline)
{
	_cleanup_json_ json_t *ready = NULL;
	_cleanup_error_ struct error *err =
		jsonline_receive(&peer->reader, "the peer's stack", deadline, &ready);
	_cleanup_free_ char *own = format_string("%s %s", fleetlab_version, fleetlab_commit);
	const char *version = json_string_value(json_object_get(ready, "version"));
	json_int_t init = json_integer_value(json_object_get(ready, "init"));
	json_int_t session = json_integer_value(json_object_get(ready, "session"));
	const char *directory = json_string_value(json_object_get(ready, "directory"));
	json_t *host = json_object_get(ready, "host");

	if (err)
		return ssh_failed(peer, error_message(err));
	if (!ready)
		return ssh_failed(peer, "ssh has ended");
	if (!version || !is_pid(init) || !is_pid(session) || !directory || !json_is_object(host))
		return ssh_failed(peer, "its answer makes no sense");
	if (strcmp(version, own) != 0)
		return error_hint(error_new(ERROR_SETUP, "fleetlab on %s is version %s, here %s",
					  peer->address.destination, version, own),
			"install the same on both");
	if (strcmp(directory, lab_dir()) != 0)
		return error_hint(error_new(ERROR_SETUP,
					  "labs on %s are at %.200s, here at %s: one end runs as "
					  "root, the other not",
					  peer->address.destination, directory, lab_dir()),
			"log in there as who you are here");
	peer->is_here = json_is_true(json_object_get(ready, "is_here"));
	peer->far_init = (pid_t)init;
	peer->far_session = (pid_t)session;
	peer->far_directory = format_string("/proc/%d/root%s", (int)init, lab_dir());
	peer->host = json_incref(host);
	return NULL;
}

struct error *peer_forward(struct peer *peer, const char *name, bool back, struct deadline deadline,
	char **here, char **there)
{
	_cleanup_free_ char *near = format_string("%s/%s", peer->directory, name);
	_cleanup_free_ char *far = format_string("%s/%s", peer->far_directory, name);
	_cleanup_free_ char *forward =
		back ? format_string("%s:%s", far, near) : format_string("%s:%s", near, far);
	struct error *err;
	struct words words;

	if (!is_name(name, strlen(name)))
		return error_new(ERROR_INTERNAL, "'%s' cannot be the name of a socket", name);
	begin_words(&words, peer);
	add_option(&words, "-O", "forward");
	add_option(&words, back ? "-R" : "-L", forward);
	add_option(&words, "--", peer->address.destination);
	err = process_check(words.argv, NULL, deadline, NULL);
	if (err)
		return error_prefix(err, "no way to %s", peer->address.destination);
	*here = take_ptr(near);
	*there = format_string("%s/%s", lab_dir(), name);
	return NULL;
}

char *peer_directory(void)
{
	_cleanup_free_ char *runtime = fs_runtime_dir();

	return format_string("%s/peer", runtime);
}

/* What ssh's forwarding says is only that it would try. */
static struct error *reach_stack(struct peer *peer, struct deadline deadline)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	_cleanup_free_ char *there = NULL;
	_cleanup_error_ struct error *err = NULL;

	try_(peer_forward(peer, "stack0.sock", false, deadline, &peer->socket, &there));
	err = stack_connect(peer->socket, &stack);
	if (!err)
		err = stack_request(stack, json_pack("{s:s}", "op", "ping"), deadline, NULL);
	if (!err)
		return NULL;
	return error_hint(error_new(ERROR_SETUP, "%s does not let ssh reach a socket there: %s",
				  peer->address.destination, error_message(err)),
		"AllowStreamLocalForwarding yes in its sshd_config");
}

struct error *peer_open(const char *uri, const char *directory, struct deadline deadline,
	unsigned int lifetime_s, struct peer **peer)
{
	_cleanup_(cleanup_peer) struct peer *made = calloc(1, sizeof(*made));
	_cleanup_free_ char *accounts = NULL;
	_cleanup_free_ char *statistics = NULL;

	if (!made)
		abort();
	made->input = made->output = made->accounts = made->statistics = -1;
	try_(peer_parse(uri, &made->address));
	try_(fs_make_dirs(directory));
	made->directory = format_string("%s", directory);
	made->control = format_string("%s/control", directory);
	unlink(made->control); /* of one that was killed: ssh would not replace it */
	try_(start_ssh(made, lifetime_s));
	accounts = format_string("/proc/%d/io", (int)made->ssh);
	statistics = format_string("/proc/%d/stat", (int)made->ssh);
	made->accounts = open(accounts, O_RDONLY | O_CLOEXEC);
	made->statistics = open(statistics, O_RDONLY | O_CLOEXEC);
	try_(hear_ready(made, deadline));
	try_(reach_stack(made, deadline));
	*peer = take_ptr(made);
	return NULL;
}

/* `fleetlab peer` says when its lab is gone. ssh itself would still wait for connections that
 * others have not closed. */
static void end_ssh(struct peer *peer)
{
	struct deadline deadline = deadline_after_ms(STOP_MS);
	_cleanup_json_ json_t *ended = NULL;
	int status;

	if (peer->far_directory)
		error_destroy(
			jsonline_receive(&peer->reader, "the end of the peer", deadline, &ended));
	kill(peer->ssh, SIGTERM);
	if (process_wait(peer->ssh, deadline, &status))
		return;
	kill(peer->ssh, SIGKILL);
	process_wait(peer->ssh, deadline_after_ms(STOP_MS), &status);
}

void peer_close(struct peer *peer)
{
	if (!peer)
		return;
	cleanup_close(&peer->input);
	if (peer->ssh > 0)
		end_ssh(peer);
	cleanup_close(&peer->output);
	cleanup_close(&peer->accounts);
	cleanup_close(&peer->statistics);
	jsonline_deinit(&peer->reader);
	if (peer->directory)
		error_destroy(fs_remove_tree(peer->directory));
	free(peer->directory);
	free(peer->control);
	free(peer->socket);
	free(peer->far_directory);
	json_decref(peer->host);
	free(peer);
}

const char *peer_socket(const struct peer *peer)
{
	return peer->socket;
}

bool peer_is_here(const struct peer *peer)
{
	return peer->is_here;
}

const json_t *peer_host(const struct peer *peer)
{
	return peer->host;
}

/* ---- what both machines' kernels know ---- */

struct error *peer_carried(const struct peer *peer, uint64_t *bytes)
{
	unsigned long long read_bytes, written;
	char text[512];
	ssize_t n = pread(peer->accounts, text, sizeof(text) - 1, 0);

	if (n < 0)
		return error_errno(errno, "cannot read what ssh has carried");
	text[n] = '\0';
	if (sscanf(text, "rchar: %llu wchar: %llu", &read_bytes, &written) != 2)
		return error_new(ERROR_INTERNAL, "ssh's /proc/PID/io is '%s'", text);
	*bytes = (read_bytes + written) / 2;
	return NULL;
}

/* Runs a script in the other machine's shell, outside of the lab there; $1 is the lab's init, $2
 * `word`. */
static struct error *ask_shell(const struct peer *peer, const char *script, const char *word,
	struct deadline deadline, char **output)
{
	char init[16];
	struct words words;

	if (!is_name(word, strlen(word)))
		return error_new(ERROR_INTERNAL, "'%s' is no word for a shell", word);
	snprintf(init, sizeof(init), "%d", (int)peer->far_init);
	begin_words(&words, peer);
	add_option(&words, "--", peer->address.destination);
	add_option(&words, "sh", "-s");
	add_option(&words, init, word);
	return process_check(words.argv, script, deadline, output);
}

struct error *peer_cpu_time(
	const struct peer *peer, struct deadline deadline, double *here, double *there)
{
	static const char script[] = "cat /proc/[0-9]*/stat 2>/dev/null; true";
	_cleanup_free_ char *listing = NULL;
	char own[1024];
	ssize_t n = pread(peer->statistics, own, sizeof(own) - 1, 0);

	if (n < 0)
		return error_errno(errno, "cannot read what ssh has used");
	own[n] = '\0';
	try_(cpu_time_listing(own, &peer->ssh, 1, here));
	try_(ask_shell(peer, script, "all", deadline, &listing));
	return cpu_time_listing(listing, &peer->far_session, 1, there);
}

struct error *peer_count_qemus(
	const struct peer *peer, const char *guest, struct deadline deadline, unsigned int *count)
{
	/* Its later QEMUs have ".N" behind the name. */
	static const char script[] =
		"lab=$(readlink \"/proc/$1/ns/pid\") && [ -n \"$lab\" ] || exit 1\n"
		"for dir in /proc/[0-9]*; do\n"
		"  [ \"$(readlink \"$dir/ns/pid\")\" = \"$lab\" ] || continue\n"
		"  name=$(tr '\\0' '\\n' <\"$dir/cmdline\" | sed -n "
		"'s/^guest=\\([^,]*\\),.*/\\1/p')\n"
		"  case $name in \"$2\"|\"$2\".*) echo qemu;; esac\n"
		"done 2>/dev/null; echo all";
	_cleanup_free_ char *lines = NULL;

	try_(ask_shell(peer, script, guest, deadline, &lines));
	if (!strstr(lines, "all\n"))
		return error_new(
			ERROR_SETUP, "%s cannot list its processes", peer->address.destination);
	*count = 0;
	for (const char *at = lines; (at = strstr(at, "qemu\n")); at++)
		++*count;
	return NULL;
}
