/* QEMU's machine protocol: see qmp.h and docs/interop/qmp-spec of QEMU. */
#include "harness/fleet/qmp.h"
#include "harness/base/fs.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct qmp {
	struct jsonline reader;
	char *name;	/* "QEMU of NAME" */
	json_t *events; /* array of those not yet asked for */
	int fd;
	json_int_t id; /* of the command under way */
};

/* Events kept at most; a chatty or hostile QEMU cannot grow us without bound. */
#define MAX_EVENTS 256

void qmp_close(struct qmp *qmp)
{
	if (!qmp)
		return;
	cleanup_close(&qmp->fd);
	jsonline_deinit(&qmp->reader);
	json_decref(qmp->events);
	free(qmp->name);
	free(qmp);
}

static struct error *receive(struct qmp *qmp, struct deadline deadline, json_t **message)
{
	json_t *value;

	try_(jsonline_receive(&qmp->reader, qmp->name, deadline, &value));
	if (!value)
		return error_hint(
			error_new(ERROR_GUEST, "%s closed its monitor: it has ended", qmp->name),
			"look at the guest's console log and at QEMU's own messages");
	*message = value;
	return NULL;
}

/* The newest ones are kept; takes a reference of its own. */
static void keep_event(struct qmp *qmp, json_t *message)
{
	if (json_array_size(qmp->events) >= MAX_EVENTS)
		json_array_remove(qmp->events, 0);
	json_array_append(qmp->events, message);
}

static struct error *await_answer(
	struct qmp *qmp, const char *command, struct deadline deadline, json_t **result)
{
	for (;;) {
		_cleanup_json_ json_t *message = NULL;
		const char *description = "no description";

		try_(receive(qmp, deadline, &message));
		if (json_object_get(message, "event")) {
			keep_event(qmp, message);
			continue;
		}
		/* An answer that came after its deadline is not this command's. */
		if (json_object_get(message, "id") &&
			json_integer_value(json_object_get(message, "id")) != qmp->id)
			continue;
		if (json_object_get(message, "error")) {
			json_unpack(message, "{s:{s:s}}", "error", "desc", &description);
			return error_new(ERROR_GUEST, "%s refused '%s': %s", qmp->name, command,
				description);
		}
		json_t *value = json_object_get(message, "return");

		if (!value)
			continue;
		if (result)
			*result = json_incref(value);
		return NULL;
	}
}

struct error *qmp_execute(struct qmp *qmp, const char *command, json_t *arguments,
	struct deadline deadline, json_t **result)
{
	json_t *message = json_pack(
		"{s:s, s:I, s:o*}", "execute", command, "id", ++qmp->id, "arguments", arguments);

	try_(jsonline_send(qmp->fd, message, qmp->name));
	return await_answer(qmp, command, deadline, result);
}

struct error *qmp_open(int fd, const char *name, struct deadline deadline, struct qmp **qmp)
{
	_cleanup_(cleanup_qmp) struct qmp *opened = calloc(1, sizeof(*opened));
	_cleanup_json_ json_t *greeting = NULL;

	if (!opened)
		abort();
	opened->fd = fd;
	opened->reader.fd = fd;
	opened->name = format_string("QEMU of %s", name);
	opened->events = json_array();
	try_(receive(opened, deadline, &greeting));
	if (!json_object_get(greeting, "QMP"))
		return error_new(ERROR_GUEST, "%s sent no QMP greeting", opened->name);
	try_(qmp_execute(opened, "qmp_capabilities", NULL, deadline, NULL));
	*qmp = take_ptr(opened);
	return NULL;
}

struct error *qmp_give_fd(struct qmp *qmp, int fd, const char *name, struct deadline deadline)
{
	_cleanup_free_ char *text = format_string(
		"{\"execute\":\"getfd\",\"id\":%lld,\"arguments\":{\"fdname\":\"%s\"}}\n",
		(long long)++qmp->id, name);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = text, .iov_len = strlen(text)};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	if (sendmsg(qmp->fd, &message, MSG_NOSIGNAL) != (ssize_t)strlen(text))
		return error_errno(errno, "cannot hand a descriptor to %s", qmp->name);
	return await_answer(qmp, "getfd", deadline, NULL);
}

static bool is_event(const json_t *message, const char *name)
{
	const char *its_name = json_string_value(json_object_get(message, "event"));

	return its_name && strcmp(its_name, name) == 0;
}

void qmp_forget_events(struct qmp *qmp)
{
	json_array_clear(qmp->events);
}

struct error *qmp_take_event(
	struct qmp *qmp, const char *name, struct deadline deadline, json_t **event)
{
	json_t *kept;
	size_t i;

	json_array_foreach (qmp->events, i, kept) {
		if (is_event(kept, name)) {
			*event = json_incref(kept);
			json_array_remove(qmp->events, i);
			return NULL;
		}
	}
	for (;;) {
		_cleanup_json_ json_t *message = NULL;

		try_(receive(qmp, deadline, &message));
		if (is_event(message, name)) {
			*event = take_ptr(message);
			return NULL;
		}
		if (json_object_get(message, "event"))
			keep_event(qmp, message);
	}
}

struct error *qmp_wait_event(struct qmp *qmp, const char *event, struct deadline deadline)
{
	_cleanup_json_ json_t *message = NULL;
	struct error *err = qmp_take_event(qmp, event, deadline, &message);

	return err ? error_prefix(err, "event %s", event) : NULL;
}

struct error *qmp_wait_migration(struct qmp *qmp, struct deadline deadline)
{
	for (;;) {
		_cleanup_json_ json_t *event = NULL;
		const char *status = "unknown";

		try_(qmp_take_event(qmp, "MIGRATION", deadline, &event));
		json_unpack(event, "{s:{s:s}}", "data", "status", &status);
		if (strcmp(status, "completed") == 0)
			return NULL;
		if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0)
			return error_new(ERROR_GUEST, "%s: migration %s", qmp->name, status);
	}
}
