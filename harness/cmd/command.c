/* What the subcommands share: see command.h. */
#include "harness/cmd/command.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longer lines are hard to read. */
#define PAGE_WIDTH 100

struct error *command_bad_option(int argc, char **argv)
{
	const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : argv[0];

	return error_hint(error_new(ERROR_USAGE, "%s: option '%s' is unknown or lacks its value",
				  argv[0], word),
		"fleetlab %s --help", argv[0]);
}

struct error *command_check_results(const char *results)
{
	struct stat status;

	if (stat(results, &status) == 0 && S_ISDIR(status.st_mode))
		return NULL;
	return error_hint(
		error_new(ERROR_USAGE, "--results '%s': there is no such directory", results),
		"see that it is spelled right; fleetlab run and import make a new one");
}

struct error *command_take_results(int argc, char **argv, const char **results)
{
	static const struct option options[] = {{"results", required_argument, NULL, 'r'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'r')
			return command_bad_option(argc, argv);
		*results = optarg;
		try_(command_check_results(*results));
	}
	return NULL;
}

int command_page_width(void)
{
	const char *wanted = getenv("COLUMNS");
	struct winsize size;
	int columns = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		columns = size.ws_col;
	else if (wanted)
		columns = atoi(wanted);
	return columns > 0 && columns < PAGE_WIDTH ? columns : PAGE_WIDTH;
}

bool command_colour(void)
{
	const char *unwanted = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(unwanted && *unwanted) && term && *term &&
	       strcmp(term, "dumb") != 0;
}
