/* The role `fleetlab stack`: one virtualization system, served on a socket. Not for people. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/fleet/libvirt_driver.h"
#include "harness/fleet/relay.h"
#include "harness/fleet/stack.h"

#include <errno.h>
#include <getopt.h>

/* Goes on as a process of its own; the caller ends when the socket listens, and so says it. */
static struct error *detach(void)
{
	pid_t pid = fork();

	if (pid < 0)
		return error_errno(errno, "cannot detach the stack");
	if (pid > 0)
		_exit(0);
	setsid();
	return NULL;
}

struct stack_options {
	const char *root, *interface;
	int listen_fd, port;
	bool detach;
};

static struct error *parse(int argc, char **argv, struct stack_options *wanted)
{
	static const struct option options[] = {
		{"root", required_argument, NULL, 'r'},
		{"listen-fd", required_argument, NULL, 'l'},
		{"port", required_argument, NULL, 'p'},
		{"interface", required_argument, NULL, 'i'},
		{"detach", no_argument, NULL, 'd'},
		{0},
	};
	int option;

	*wanted = (struct stack_options){.listen_fd = -1};
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			wanted->root = optarg;
		else if (option == 'l')
			wanted->listen_fd = atoi(optarg);
		else if (option == 'p')
			wanted->port = atoi(optarg);
		else if (option == 'i')
			wanted->interface = optarg;
		else if (option == 'd')
			wanted->detach = true;
		else
			return command_bad_option(argc, argv);
	}
	if (!wanted->root || (wanted->listen_fd < 0 && (wanted->port <= 0 || !wanted->interface)))
		return error_new(ERROR_USAGE, "stack: --root and either --listen-fd or --port and "
					      "--interface are needed");
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_free_ char *cache_dir = fs_cache_dir();
	_cleanup_free_ char *cache = libvirt_driver_cache_path(cache_dir);
	struct stack_options wanted;

	(void)exit_status;
	try_(parse(argc, argv, &wanted));
	try_(fs_make_dirs(cache_dir));
	if (wanted.listen_fd < 0)
		try_(tcp_listen(wanted.interface, (unsigned int)wanted.port, &wanted.listen_fd));
	if (wanted.detach)
		try_(detach());
	return stack_serve(wanted.listen_fd, wanted.root, cache);
}

const struct command command_stack = {
	.name = "stack",
	.arguments = "--root DIR --listen-fd N | --port N --interface NAME [--detach]",
	.help = "Serves one virtualization system; started by fleetlab itself, beside its guests\n"
		"or, with --port, inside an L1 guest.\n",
	.run = run,
};
