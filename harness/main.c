/* Finds the subcommand, calls it, prints an error once. */
#include "harness/base/log.h"
#include "harness/base/version.h"
#include "harness/cmd/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define COMMAND(name) extern const struct command command_##name;
#include "harness/cmd/commands.def"
#undef COMMAND

static const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "harness/cmd/commands.def"
#undef COMMAND
};

static void print_overview(FILE *out)
{
	fprintf(out,
		"fleetlab %s: does the paper's claim hold here?\n\n"
		"Spins up fleets of real virtual machines, runs a published mechanism against its\n"
		"baselines, and grades every claim with evidence.\n\n"
		"usage: fleetlab COMMAND [options]\n\ncommands:\n",
		fleetlab_version);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i]->summary)
			fprintf(out, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	}
	fputs("\noptions before the command: -q (quiet), -v (verbose), --version, --help\n\n"
	      "start here:\n"
	      "  fleetlab doctor                      what this host can do\n"
	      "  fleetlab run shmipc --profile quick  reproduce one paper's table\n"
	      "  fleetlab COMMAND --help              options and examples of a command\n",
		out);
}

static void print_help(const struct command *command)
{
	printf("usage: fleetlab %s %s\n\n%s", command->name, command->arguments, command->help);
}

static struct error *find_command(const char *name, const struct command **command)
{
	const char *names[ARRAY_SIZE(commands)];
	size_t count = 0;
	const char *near;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i]->name, name) == 0) {
			*command = commands[i];
			return NULL;
		}
		if (commands[i]->summary)
			names[count++] = commands[i]->name;
	}
	near = nearest_name(name, names, count);
	struct error *err = error_new(ERROR_USAGE, "there is no command '%s'", name);

	return near ? error_hint(err, "fleetlab %s", near) : error_hint(err, "fleetlab --help");
}

/* Looks for --help or -h among a command's own words; what follows "--" is not ours. */
static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	}
	return false;
}

static struct error *dispatch(int argc, char **argv, int *exit_status)
{
	const struct command *command;
	int first = 1;

	for (; first < argc && argv[first][0] == '-'; first++) {
		if (strcmp(argv[first], "-q") == 0 || strcmp(argv[first], "--quiet") == 0) {
			log_set_level(LOG_QUIET);
		} else if (strcmp(argv[first], "-v") == 0 ||
			   strcmp(argv[first], "--verbose") == 0) {
			log_set_level(LOG_VERBOSE);
		} else if (strcmp(argv[first], "--version") == 0) {
			printf("fleetlab %s (%s)\n", fleetlab_version, fleetlab_commit);
			return NULL;
		} else if (strcmp(argv[first], "--help") == 0 || strcmp(argv[first], "-h") == 0) {
			print_overview(stdout);
			return NULL;
		} else {
			return error_hint(
				error_new(ERROR_USAGE, "option '%s' is unknown", argv[first]),
				"fleetlab --help");
		}
	}
	if (first == argc) {
		print_overview(stderr);
		*exit_status = 1;
		return NULL;
	}
	try_(find_command(argv[first], &command));
	argc -= first;
	argv += first;
	if (wants_help(argc, argv)) {
		print_help(command);
		return NULL;
	}
	optind = 0; /* glibc: start a fresh scan */
	opterr = 0;
	return command->run(argc, argv, exit_status);
}

/* Where 0, 1 or 2 is closed, a file or a pipe that is opened later would get its number, and what
 * is printed would go there. To write to what is opened here fails, as it does without: a result
 * that nobody gets stays an error. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	int exit_status = 0;
	struct error *err;

	fill_standard_descriptors();
	err = dispatch(argc, argv, &exit_status);
	if (!err && (fflush(stdout) != 0 || ferror(stdout)))
		err = error_errno(errno, "cannot write the result to standard output");
	if (err) {
		exit_status = error_exit_status(err);
		log_error(err);
		error_destroy(err);
	}
	return exit_status;
}
