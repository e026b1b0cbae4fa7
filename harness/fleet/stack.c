/* Asking a stack: see stack.h. */
#include "harness/fleet/stack.h"

struct stack {
	struct jsonline reader;
	int fd;
};

struct error *stack_connect(const char *socket_path, struct stack **stack)
{
	struct stack *connected;
	int fd;

	try_(unix_connect(socket_path, &fd));
	connected = calloc(1, sizeof(*connected));
	if (!connected)
		abort();
	connected->fd = fd;
	connected->reader.fd = fd;
	*stack = connected;
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

struct error *stack_request(
	struct stack *stack, json_t *request, struct deadline deadline, json_t **answer)
{
	_cleanup_json_ json_t *received = NULL;
	const char *message, *remedy;

	try_(jsonline_send(stack->fd, request, "the stack"));
	try_(jsonline_receive(&stack->reader, "the stack", deadline, &received));
	if (!received)
		return error_new(ERROR_SETUP, "the stack has ended");
	message = json_string_value(json_object_get(received, "error"));
	remedy = json_string_value(json_object_get(received, "remedy"));
	if (message) {
		struct error *err = error_new(ERROR_SETUP, "%s", message);

		return remedy ? error_hint(err, "%s", remedy) : err;
	}
	if (answer)
		*answer = take_ptr(received);
	return NULL;
}
