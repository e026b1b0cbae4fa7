/* What the subcommands share: see command.h. */
#include "harness/cmd/command.h"

#include <getopt.h>
#include <sys/ioctl.h>
#include <string.h>

struct error *command_bad_option(int argc, char **argv)
{
	const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : argv[0];

	return error_hint(error_new(ERROR_USAGE, "%s: option '%s' is unknown or lacks its value",
				  argv[0], word),
		"fleetlab %s --help", argv[0]);
}

int command_terminal_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 100;
}
