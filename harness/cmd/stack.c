/* The role `fleetlab stack`: one virtualization system, served on a socket. Not for people. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/fleet/stack.h"

#include <getopt.h>
#include <libvirt/libvirt.h>
#include <sys/stat.h>
#include <sys/utsname.h>

/* What libvirt learns about QEMU holds for this QEMU, this libvirt and this kernel. */
static char *capabilities_path(const char *cache_dir)
{
	struct utsname kernel = {0};
	struct stat qemu = {0};

	uname(&kernel);
	if (stat("/usr/bin/qemu-system-x86_64", &qemu) < 0)
		qemu.st_mtime = 0;
	return format_string("%s/libvirt-capabilities-%d-%lld-%s", cache_dir, LIBVIR_VERSION_NUMBER,
		(long long)qemu.st_mtime, kernel.release);
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	static const struct option options[] = {
		{"root", required_argument, NULL, 'r'},
		{"listen-fd", required_argument, NULL, 'l'},
		{0},
	};
	_cleanup_free_ char *cache_dir = fs_cache_dir();
	_cleanup_free_ char *cache = capabilities_path(cache_dir);
	const char *root = NULL;
	int listen_fd = -1;
	int option;

	(void)exit_status;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			root = optarg;
		else if (option == 'l')
			listen_fd = atoi(optarg);
		else
			return command_bad_option(argc, argv);
	}
	if (!root || listen_fd < 0)
		return error_new(ERROR_USAGE, "stack: --root and --listen-fd are needed");
	try_(fs_make_dirs(cache_dir));
	return stack_serve(listen_fd, root, cache);
}

const struct command command_stack = {
	.name = "stack",
	.arguments = "--root DIR --listen-fd N",
	.help = "Serves one virtualization system; started by fleetlab itself.\n",
	.run = run,
};
