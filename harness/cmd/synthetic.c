/* fleetlab synthetic N DIR: makes a store of synthetic records, for tests and benchmarks; not for
 * users, and not in the help. */
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/cmd/command.h"
#include "harness/record/record.h"
#include "harness/record/synthetic.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#define MOST 1000000

static void say_progress(size_t done, size_t total)
{
	if (done % 8192 == 0 || done == total)
		log_info("synthetic: %zu of %zu records", done, total);
}

static struct error *parse_count(const char *text, size_t *count)
{
	char *end;

	errno = 0;
	*count = strtoul(text, &end, 10);
	if (errno || *end || *count == 0 || *count > MOST || *text == '-')
		return error_new(ERROR_USAGE, "'%s' records: expected 1 to %d", text, MOST);
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	static const struct option options[] = {
		{"like", required_argument, NULL, 'l'},
		{"seed", required_argument, NULL, 's'},
		{0},
	};
	struct synthetic_options made = {.seed = 1};
	_cleanup_record_ struct record *like = NULL;
	int option;

	(void)exit_status;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		_cleanup_free_ char *results = fs_results_dir();
		_cleanup_free_ char *path = NULL;

		if (option == 's') {
			made.seed = strtoul(optarg, NULL, 10);
			continue;
		}
		if (option != 'l')
			return command_bad_option(argc, argv);
		try_(record_find(results, optarg, &path));
		record_destroy(take_ptr(like));
		try_(record_load(path, &like));
		made.like = like->json;
	}
	if (argc - optind != 2)
		return error_hint(
			error_new(ERROR_USAGE, "synthetic wants a number and a directory"),
			"fleetlab synthetic 100 /tmp/nights");
	try_(parse_count(argv[optind], &made.count));
	try_(synthetic_store(&made, argv[optind + 1], say_progress));
	printf("%zu synthetic records in %s\n", made.count, argv[optind + 1]);
	return NULL;
}

const struct command command_synthetic = {
	.name = "synthetic",
	.arguments = "N DIR [--like RUN] [--seed N]",
	.help = "Makes N synthetic records, one a night, in a store of their own.\n",
	.run = run,
};
