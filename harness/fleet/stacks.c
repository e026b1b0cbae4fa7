/* The stacks of a fleet: processes with a root and a socket of their own in the lab. */
#include "harness/fleet/fleet_internal.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* It ends with the lab; not with the thread that started it, as a parent-death signal would have
 * it. */
static void __attribute__((noreturn))
exec_stack(const struct fleet_stack *stack, int listen_fd, const struct template *template)
{
	_cleanup_free_ char *fd = format_string("%d", listen_fd);

	if (machine_enter(stack->machine) < 0)
		_exit(127);
	fcntl(listen_fd, F_SETFD, 0);
	for (int at = 0; template && at < 2 * STACK_TEMPLATES_MAX; at += 2) {
		dup2(template->ram_fd, STACK_RAM_FD + at);
		dup2(template->state_fd, STACK_STATE_FD + at);
		template = template->next;
	}
	execl("/proc/self/exe", "fleetlab", "stack", "--root", stack->root, "--listen-fd", fd,
		(char *)NULL);
	_exit(127);
}

static struct error *start_process(const struct fleet *fleet, struct fleet_stack *stack)
{
	_cleanup_close_ int fd = -1;

	unlink(stack->socket);
	try_(unix_listen(stack->socket, &fd));
	stack->pid = fork();
	if (stack->pid < 0) {
		stack->pid = 0;
		return error_errno(errno, "cannot start a stack");
	}
	if (stack->pid == 0)
		exec_stack(stack, fd, fleet->host.template);
	return NULL;
}

static struct error *await_stack(
	const struct fleet *fleet, unsigned int number, struct deadline deadline)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	try_(stacks_connect(fleet, number, &stack));
	return stack_request(stack, json_pack("{s:s}", "op", "ping"), deadline, NULL);
}

struct error *stacks_start(struct fleet *fleet, unsigned int count, struct deadline deadline)
{
	unsigned int first = fleet->stack_count;
	struct fleet_stack *stacks =
		realloc(fleet->stacks, (first + count) * sizeof(*fleet->stacks));

	if (!stacks)
		abort();
	fleet->stacks = stacks;
	for (unsigned int i = first; i < first + count; i++) {
		fleet->stacks[i] = (struct fleet_stack){
			.socket = format_string("%s/stack%u.sock", lab_dir(), i),
			.root = format_string("%s/stack%u", lab_dir(), i),
			.machine = i > 0 ? fleet->machine : NULL,
		};
		fleet->stack_count++;
		try_(start_process(fleet, &fleet->stacks[i]));
	}
	for (unsigned int i = first; i < first + count; i++)
		try_(await_stack(fleet, i, deadline));
	return NULL;
}

struct error *stacks_connect(const struct fleet *fleet, unsigned int number, struct stack **stack)
{
	if (number >= fleet->stack_count || fleet->stacks[number].pid == 0)
		return error_new(ERROR_INTERNAL, "the fleet has no stack %u", number);
	return stack_connect(fleet->stacks[number].socket, stack);
}

void stacks_deinit(struct fleet *fleet)
{
	for (unsigned int i = 0; i < fleet->stack_count; i++) {
		free(fleet->stacks[i].socket);
		free(fleet->stacks[i].root);
	}
	free(fleet->stacks);
}

static struct error *adopt_guests(
	const struct fleet *fleet, unsigned int number, struct deadline deadline)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	try_(stacks_connect(fleet, number, &stack));
	for (unsigned int i = 0; i < fleet->count; i++) {
		const struct guest *guest = &fleet->guests[i];

		if (guest->stack == number)
			try_(stack_request(stack,
				json_pack("{s:s, s:s}", "op", "adopt", "name", guest->seat),
				deadline, NULL));
	}
	return NULL;
}

unsigned int stacks_add(struct fleet *fleet, char *socket)
{
	fleet->stacks = realloc(fleet->stacks, (fleet->stack_count + 1) * sizeof(*fleet->stacks));
	if (!fleet->stacks)
		abort();
	fleet->stacks[fleet->stack_count] = (struct fleet_stack){
		.socket = socket, .pid = getpid(), /* of who serves its socket here */
	};
	return fleet->stack_count++;
}

struct error *stacks_restart(struct fleet *fleet, unsigned int number, struct deadline deadline)
{
	struct fleet_stack *stack = &fleet->stacks[number];
	int status;

	kill(stack->pid, SIGKILL); /* it may hang instead of being dead; ours to reap */
	if (!process_wait(stack->pid, deadline, &status))
		return error_new(ERROR_TIMEOUT,
			"deadline passed while waiting for the end of stack %u", number);
	return start_process(fleet, stack);
}

struct error *stacks_revive(
	struct fleet *fleet, const char *socket, struct deadline deadline, bool *gone)
{
	for (unsigned int i = 0; i < fleet->stack_count; i++) {
		const struct fleet_stack *stack = &fleet->stacks[i];

		if (stack->pid == 0 || strcmp(stack->socket, socket) != 0)
			continue;
		if (fleet->remote)
			try_(fleet->remote->revive(fleet, i, deadline, gone));
		else
			try_(stacks_restart(fleet, i, deadline));
		try_(await_stack(fleet, i, deadline));
		return adopt_guests(fleet, i, deadline);
	}
	return error_new(ERROR_INTERNAL, "no stack listens at %s", socket);
}

struct error *fleet_add_stack(struct fleet *fleet, struct deadline deadline, unsigned int *number)
{
	unsigned int added = fleet->stack_count;

	try_(stacks_start(fleet, 1, deadline));
	*number = added;
	return NULL;
}

struct error *fleet_end_stack(struct fleet *fleet, unsigned int number, struct deadline deadline)
{
	struct fleet_stack *stack;
	int status;

	if (fleet_stack_pid(fleet, number) == 0)
		return error_new(ERROR_INTERNAL, "the fleet has no stack %u", number);
	for (unsigned int i = 0; i < fleet->count; i++) {
		if (fleet->guests[i].stack == number)
			return error_new(ERROR_USAGE, "stack %u cannot end: guest %s is on it",
				number, fleet->guests[i].name);
	}
	stack = &fleet->stacks[number];
	if (fleet->remote) {
		try_(fleet->remote->end(fleet, number, deadline));
		stack->pid = 0;
		return NULL;
	}
	kill(stack->pid, SIGKILL); /* it has nothing to tidy: its directory goes here */
	if (!process_wait(stack->pid, deadline, &status))
		return error_new(ERROR_TIMEOUT,
			"deadline passed while waiting for the end of stack %u", number);
	stack->pid = 0;
	unlink(stack->socket);
	return fs_remove_tree(stack->root);
}

pid_t fleet_stack_pid(const struct fleet *fleet, unsigned int number)
{
	return number < fleet->stack_count ? fleet->stacks[number].pid : 0;
}

const char *fleet_stack_socket(const struct fleet *fleet, unsigned int number)
{
	return fleet_stack_pid(fleet, number) ? fleet->stacks[number].socket : NULL;
}
