/*
 * QEMU's cpr-transfer, by which a QEMU hands its guest's memory to another of the same host as file
 * descriptors. It turns the usual order round: the receiving QEMU has no monitor until the sending
 * one has been told to migrate, and the sending one's guest runs on until the receiving one is told
 * to listen.
 */
#include "harness/fleet/stack_internal.h"
#include "harness/base/fs.h"
#include "harness/fleet/guest_spec.h"
#include "harness/host/qemu.h"

#include <poll.h>
#include <string.h>

char *stack_cpr_path(const char *seat)
{
	_cleanup_free_ char *dir = guest_dir(seat, 0);

	return format_string("%s/cpr.sock", dir);
}

/* A listening socket, of the columns of /proc/net/unix: not every bound one is that yet. */
static struct error *is_listening(const char *path, bool *listening)
{
	static const char flag[] = " 00010000 ";
	_cleanup_free_ char *text = NULL;
	char *rest, *line;

	*listening = false;
	try_(fs_read("/proc/self/net/unix", 16 << 20, &text, NULL));
	rest = text;
	while ((line = strsep(&rest, "\n")) && !*listening) {
		size_t length = strlen(line), size = strlen(path);

		*listening = length > size && strcmp(line + length - size, path) == 0 &&
			     line[length - size - 1] == ' ' && strstr(line, flag);
	}
	return NULL;
}

struct error *stack_cpr_await_listening(
	struct stack_guest *guest, const char *path, struct deadline deadline)
{
	_cleanup_close_ int fd = -1;

	try_(stack_watch(guest, &fd));
	for (;;) {
		struct pollfd ended = {.fd = fd, .events = POLLIN};
		_cleanup_free_ char *log_path = guest_log(guest->name, "qemu");
		_cleanup_free_ char *log = NULL;
		bool listening;

		try_(is_listening(path, &listening));
		if (listening)
			return NULL;
		/* Nothing tells that a socket listens; the end of its process is told at once. */
		if (fd < 0 || poll(&ended, 1, 2) > 0) {
			log = fs_read_line(log_path);
			return error_new(ERROR_GUEST, "QEMU of %s has ended: %s", guest->name,
				log ? log : "it left no message");
		}
		if (deadline_passed(deadline))
			return error_new(ERROR_TIMEOUT,
				"deadline passed while waiting for QEMU of %s to listen at %s",
				guest->name, path);
	}
}

bool stack_cpr_awaits_source(const struct stack_guest *guest)
{
	_cleanup_free_ char *path = stack_cpr_path(guest->name);

	/* QEMU removes the socket when the one connection that it waits for has come. */
	return access(path, F_OK) == 0;
}

struct error *stack_cpr_migrate(const char *uri, const char *cpr_path, json_t **arguments)
{
	static const char scheme[] = "unix:";

	if (strncmp(uri, scheme, strlen(scheme)) != 0)
		return error_hint(
			error_new(ERROR_USAGE,
				"cpr-transfer is for two QEMUs of one host, not by %s", uri),
			"move it by zerocopy or precopy");
	*arguments = json_pack("{s:[{s:s, s:{s:s, s:s, s:s}}, {s:s, s:{s:s, s:s, s:s}}]}",
		"channels", "channel-type", "main", "addr", "transport", "socket", "type", "unix",
		"path", uri + strlen(scheme), "channel-type", "cpr", "addr", "transport", "socket",
		"type", "unix", "path", cpr_path);
	return NULL;
}

static struct error *check_mode(struct stack_guest *guest, struct deadline deadline)
{
	_cleanup_json_ json_t *schema = NULL;

	try_(stack_monitor(guest, "query-qmp-schema", NULL, deadline, &schema));
	if (qemu_schema_has_value(schema, QEMU_CPR_TRANSFER))
		return NULL;
	return error_hint(error_new(ERROR_SETUP, "its QEMU has no migration mode cpr-transfer"),
		"put a QEMU of version 10 or later first in PATH, or move it by zerocopy");
}

/* Else ROMs and the like would be in memory that cannot be handed over. */
static struct error *check_memory(struct stack_guest *guest, struct deadline deadline)
{
	_cleanup_json_ json_t *shared = NULL;

	error_destroy(stack_monitor(guest, "qom-get",
		json_pack("{s:s, s:s}", "path", "/machine", "property", "aux-ram-share"), deadline,
		&shared));
	if (json_is_true(shared))
		return NULL;
	return error_hint(error_new(ERROR_USAGE, "its QEMU was started without aux-ram-share=on"),
		"start the fleet for cpr-transfer, or move it by zerocopy");
}

struct error *stack_op_cpr(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = deadline_after_ms(STACK_CONTINUE_MS);
	struct stack_guest *guest;

	(void)answer;
	try_(stack_find_guest(server, request, &guest));
	try_(check_mode(guest, deadline));
	return check_memory(guest, deadline);
}
