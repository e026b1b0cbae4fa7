/* Asking a stack: see stack.h. */
#include "harness/fleet/stack.h"

#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>

struct stack {
	struct jsonline reader;
	int fd;
	json_int_t id; /* of the latest request */
	int64_t session;
};

static struct stack *make(int fd)
{
	struct stack *stack = calloc(1, sizeof(*stack));

	if (!stack)
		abort();
	stack->fd = fd;
	stack->reader.fd = fd;
	stack->id = clock_now_ns() & INT64_C(0xffffffffffff);
	return stack;
}

struct error *stack_connect(const char *socket_path, struct stack **stack)
{
	int fd;

	try_(unix_connect(socket_path, &fd));
	*stack = make(fd);
	return NULL;
}

struct error *stack_connect_within(
	const char *socket_path, unsigned int wait_ms, struct stack **stack)
{
	int fd;

	try_(unix_connect_within(socket_path, wait_ms, &fd));
	*stack = make(fd);
	return NULL;
}

void stack_disconnect(struct stack *stack)
{
	if (!stack)
		return;
	cleanup_close(&stack->fd);
	jsonline_deinit(&stack->reader);
	free(stack);
}

void stack_set_session(struct stack *stack, int64_t session)
{
	stack->session = session;
}

struct error *stack_send(struct stack *stack, json_t *request)
{
	json_object_set_new(request, "id", json_integer(++stack->id));
	if (stack->session)
		json_object_set_new(request, "session", json_integer(stack->session));
	return jsonline_send(stack->fd, request, "the stack");
}

/* Where one stream serves one client after the other, answers to an earlier one may come first. */
static struct error *receive_own(struct stack *stack, struct deadline deadline, json_t **answer)
{
	for (;;) {
		_cleanup_json_ json_t *received = NULL;
		const json_t *id;

		try_(jsonline_receive(&stack->reader, "the stack", deadline, &received));
		if (!received)
			return error_new(ERROR_SETUP, "the stack has ended");
		id = json_object_get(received, "id");
		if (id && json_integer_value(id) != stack->id)
			continue;
		*answer = take_ptr(received);
		return NULL;
	}
}

struct error *stack_receive(struct stack *stack, struct deadline deadline, json_t **answer)
{
	_cleanup_json_ json_t *received = NULL;

	try_(receive_own(stack, deadline, &received));
	try_(jsonline_error(received, ERROR_SETUP));
	if (answer)
		*answer = take_ptr(received);
	return NULL;
}

struct error *stack_request(
	struct stack *stack, json_t *request, struct deadline deadline, json_t **answer)
{
	try_(stack_send(stack, request));
	return stack_receive(stack, deadline, answer);
}

/* One line, byte by byte: what follows it belongs to who will use the connection. */
static struct error *read_line(
	int fd, const char *who, char *line, size_t size, struct deadline deadline)
{
	for (size_t used = 0; used + 1 < size;) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};

		if (poll(&pfd, 1, deadline_left_ms(deadline)) <= 0) {
			if (deadline_passed(deadline))
				return error_new(
					ERROR_TIMEOUT, "deadline passed while waiting for %s", who);
			continue;
		}
		if (recv(fd, line + used, 1, 0) != 1)
			return error_new(ERROR_GUEST, "%s has ended", who);
		if (line[used++] == '\n') {
			line[used] = '\0';
			return NULL;
		}
	}
	return error_new(ERROR_GUEST, "%s gives a too long answer", who);
}

struct error *stack_ask_to_lead(int fd, json_t *request, const char *who, struct deadline deadline)
{
	_cleanup_json_ json_t *answer = NULL;
	char line[1024];

	try_(jsonline_send(fd, request, who));
	try_(read_line(fd, who, line, sizeof(line), deadline));
	answer = json_loads(line, 0, NULL);
	if (!json_is_object(answer) || json_object_get(answer, "error"))
		return error_new(ERROR_GUEST, "%s cannot lead on: %s", who, line);
	return NULL;
}
