/* A stack on another machine, by ssh: see peer.h. ssh's own forwarding of sockets carries the
 * stack's protocol, so many connections can be open at once. */
#include "harness/fleet/peer.h"
#include "harness/base/fs.h"
#include "harness/base/jsonline.h"
#include "harness/base/process.h"
#include "harness/base/version.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define SCHEME "qemu+ssh://"
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define MAX_LOG ((size_t)1 << 20)

enum { STOP_MS = 10000, MAX_PORT = 65535 };

struct peer {
	struct peer_address address;
	char *directory, *ssh_config;
	char *control, *socket;
	char *far_directory; /* of the lab there */
	char *accelerator;
	pid_t ssh;
	int input, output; /* ends of ssh's stdin and stdout; the end of its input ends the lab */
	struct jsonline reader; /* of output */
};

/* ---- the address ---- */

static struct error *bad_uri(const char *uri, const char *why)
{
	return error_hint(error_new(ERROR_USAGE, "'%s' names no peer: %s", uri, why),
		"--peer " SCHEME "[USER@]HOST[:PORT]/system");
}

/* Nothing that ssh could take for an option, nor a shell for anything. */
static bool is_name(const char *text, size_t length)
{
	return length > 0 && text[0] != '-' && strspn(text, NAME_CHARACTERS) >= length;
}

struct error *peer_parse(const char *uri, struct peer_address *address)
{
	struct peer_address parsed = {0};
	const char *host, *rest, *at;

	if (strncmp(uri, SCHEME, strlen(SCHEME)) != 0)
		return bad_uri(uri, "only " SCHEME " is known");
	host = uri + strlen(SCHEME);
	rest = host + strcspn(host, ":/");
	if (strlen(host) >= sizeof(parsed.destination))
		return bad_uri(uri, "it is too long");
	at = memchr(host, '@', (size_t)(rest - host));
	if ((at && !is_name(host, (size_t)(at - host))) ||
		!is_name(at ? at + 1 : host, (size_t)(rest - (at ? at + 1 : host))))
		return bad_uri(uri, "there is no host in it, or a strange one");
	snprintf(parsed.destination, sizeof(parsed.destination), "%.*s", (int)(rest - host), host);
	if (*rest == ':') {
		char *end;
		unsigned long port = strtoul(rest + 1, &end, 10);

		if (end == rest + 1 || port < 1 || port > MAX_PORT || strchr("+- ", rest[1]))
			return bad_uri(uri, "its port is none");
		parsed.port = (uint16_t)port;
		rest = end;
	}
	if (strcmp(rest, "/system") != 0)
		return bad_uri(uri, "it does not end with /system");
	*address = parsed;
	return NULL;
}

/* ---- ssh ---- */

enum { MAX_WORDS = 32, PORT_TEXT = 8 };

struct words {
	const char *argv[MAX_WORDS];
	size_t used;
	char port[PORT_TEXT];
};

static void add_word(struct words *words, const char *word)
{
	words->argv[words->used++] = word;
}

/* "ssh" and what every call of it needs. */
static void begin_words(struct words *words, const struct peer *peer)
{
	*words = (struct words){0};
	add_word(words, "ssh");
	if (peer->ssh_config) {
		add_word(words, "-F");
		add_word(words, peer->ssh_config);
	}
	if (peer->address.port) {
		snprintf(words->port, sizeof(words->port), "%u", peer->address.port);
		add_word(words, "-p");
		add_word(words, words->port);
	}
	add_word(words, "-S");
	add_word(words, peer->control);
}

static void __attribute__((noreturn))
exec_ssh(const struct words *words, int input, int output, const char *log)
{
	int errors = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	setpgid(0, 0);
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	execvp(words->argv[0], (char *const *)words->argv);
	dprintf(STDERR_FILENO, "cannot run ssh: %s\n", strerror(errno));
	_exit(127);
}

static struct error *start_ssh(struct peer *peer, const char *program)
{
	_cleanup_free_ char *log = format_string("%s/ssh.log", peer->directory);
	int input[2], output[2];
	struct words words;

	begin_words(&words, peer);
	add_word(&words, "-M");
	add_word(&words, "-T");
	add_word(&words, "-oBatchMode=yes");
	add_word(&words, "-oControlPersist=no");
	add_word(&words, "-oStreamLocalBindUnlink=yes");
	add_word(&words, "--");
	add_word(&words, peer->address.destination);
	add_word(&words, program ? program : "fleetlab");
	add_word(&words, "peer");
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

/* ssh's last words, for a stack that did not come. */
static struct error *ssh_failed(const struct peer *peer, const char *what)
{
	_cleanup_free_ char *path = format_string("%s/ssh.log", peer->directory);
	_cleanup_free_ char *text = NULL;
	_cleanup_error_ struct error *unreadable = fs_read(path, MAX_LOG, &text, NULL);
	const char *last = text;

	for (char *line = text; line && *line; line += strcspn(line, "\n") + 1) {
		last = line;
		if (!strchr(line, '\n'))
			break;
	}
	return error_new(ERROR_SETUP, "no stack on %s: %s: %.*s", peer->address.destination, what,
		last ? (int)strcspn(last, "\r\n") : 0, last ? last : "");
}

/* What `fleetlab peer` says when its stack is there. */
static struct error *hear_ready(struct peer *peer, struct deadline deadline)
{
	_cleanup_json_ json_t *ready = NULL;
	_cleanup_error_ struct error *err =
		jsonline_receive(&peer->reader, "the peer's stack", deadline, &ready);
	_cleanup_free_ char *own = format_string("%s %s", fleetlab_version, fleetlab_commit);
	const char *version = json_string_value(json_object_get(ready, "version"));
	const char *directory = json_string_value(json_object_get(ready, "directory"));
	const char *accelerator = json_string_value(json_object_get(ready, "accelerator"));

	if (err)
		return ssh_failed(peer, error_message(err));
	if (!ready)
		return ssh_failed(peer, "ssh has ended");
	if (!version || !directory || directory[0] != '/' || strchr(directory, ':') || !accelerator)
		return ssh_failed(peer, "its answer makes no sense");
	if (strcmp(version, own) != 0)
		return error_hint(error_new(ERROR_SETUP, "fleetlab on %s is version %s, here %s",
					  peer->address.destination, version, own),
			"install the same on both");
	peer->far_directory = format_string("%s", directory);
	peer->accelerator = format_string("%s", accelerator);
	return NULL;
}

struct error *peer_forward(
	struct peer *peer, const char *name, struct deadline deadline, char **path)
{
	_cleanup_free_ char *near = format_string("%s/%s", peer->directory, name);
	_cleanup_free_ char *forward = format_string("%s:%s/%s", near, peer->far_directory, name);
	struct words words;

	if (!is_name(name, strlen(name)))
		return error_new(ERROR_INTERNAL, "'%s' cannot be the name of a socket", name);
	begin_words(&words, peer);
	add_word(&words, "-O");
	add_word(&words, "forward");
	add_word(&words, "-L");
	add_word(&words, forward);
	add_word(&words, "--");
	add_word(&words, peer->address.destination);
	try_(process_check(words.argv, NULL, deadline, NULL));
	*path = take_ptr(near);
	return NULL;
}

struct error *peer_open(
	const struct peer_options *options, struct deadline deadline, struct peer **peer)
{
	_cleanup_(cleanup_peer) struct peer *made = calloc(1, sizeof(*made));

	if (!made)
		abort();
	made->input = made->output = -1;
	try_(peer_parse(options->uri, &made->address));
	try_(fs_make_dirs(options->directory));
	made->directory = format_string("%s", options->directory);
	made->control = format_string("%s/control", options->directory);
	unlink(made->control); /* of one that was killed: ssh would not replace it */
	made->ssh_config = options->ssh_config ? format_string("%s", options->ssh_config) : NULL;
	try_(start_ssh(made, options->program));
	try_(hear_ready(made, deadline));
	try_(peer_forward(made, "stack0.sock", deadline, &made->socket));
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
	jsonline_deinit(&peer->reader);
	if (peer->socket)
		unlink(peer->socket);
	if (peer->control)
		unlink(peer->control);
	free(peer->directory);
	free(peer->ssh_config);
	free(peer->control);
	free(peer->socket);
	free(peer->far_directory);
	free(peer->accelerator);
	free(peer);
}

const char *peer_socket(const struct peer *peer)
{
	return peer->socket;
}

const char *peer_accelerator(const struct peer *peer)
{
	return peer->accelerator;
}
