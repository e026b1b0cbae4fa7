/* fleetlab index: brings the index of records up to date. */
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/cmd/command.h"
#include "harness/record/index.h"
#include "harness/record/samples.h"

#include <getopt.h>
#include <string.h>

/* Files named on a terminal; --json has all. */
#define SHOWN 20

struct words {
	const char *results;
	bool rebuild, json;
	int64_t wait_ms;
};

static struct error *parse(int argc, char **argv, struct words *words)
{
	static const struct option options[] = {
		{"results", required_argument, NULL, 'r'},
		{"rebuild", no_argument, NULL, 'b'},
		{"wait", required_argument, NULL, 'w'},
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			words->results = optarg;
			try_(command_check_results(optarg));
			break;
		case 'b':
			words->rebuild = true;
			break;
		case 'j':
			words->json = true;
			break;
		case 'w':
			if (!duration_parse_ms(optarg, &words->wait_ms))
				return error_hint(
					error_new(ERROR_USAGE, "--wait %s is not a time", optarg),
					"--wait 30s");
			break;
		default:
			return command_bad_option(argc, argv);
		}
	}
	return optind == argc ? NULL
			      : error_hint(error_new(ERROR_USAGE, "index takes no argument '%s'",
						   argv[optind]),
					"fleetlab index --help");
}

/* Ten times, and only where there is something to wait for. */
static void say_progress(size_t done, size_t total, void *context)
{
	size_t *said = context;

	if (total < 2000 || done * 10 / total == *said)
		return;
	*said = done * 10 / total;
	log_info("index: %zu of %zu files", done, total);
}

static void print_text(
	const struct index_changes *changes, const json_t *totals, const json_t *refused)
{
	const json_t *file;
	size_t i;

	printf("%lld runs; %zu read in %.1f s, %zu unchanged, %zu gone\n",
		(long long)json_integer_value(json_object_get(totals, "runs")),
		changes->indexed + changes->refused, changes->seconds, changes->unchanged,
		changes->removed);
	json_int_t count = json_integer_value(json_object_get(refused, "total"));

	if (count == 0)
		return;
	printf("\n%lld files are not in it:\n", (long long)count);
	json_array_foreach (json_object_get(refused, "files"), i, file) {
		printf("  %-9s  %s\n             %s\n", json_text(file, "status"),
			json_text(file, "path"), json_text(file, "reason"));
	}
	if (count > SHOWN)
		printf("  … and %lld more: fleetlab index --json\n", (long long)count - SHOWN);
}

static void print_json(
	const struct index_changes *changes, const json_t *totals, const json_t *refused)
{
	_cleanup_json_ json_t *all = json_pack("{s:{s:I, s:I, s:I, s:I, s:I, s:b, s:f}, s:O, s:O}",
		"changes", "files", (json_int_t)changes->files, "unchanged",
		(json_int_t)changes->unchanged, "indexed", (json_int_t)changes->indexed, "refused",
		(json_int_t)changes->refused, "removed", (json_int_t)changes->removed, "recreated",
		changes->recreated, "seconds", changes->seconds, "totals", totals, "refused",
		json_object_get(refused, "files"));

	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_free_ char *fallback = fs_results_dir();
	struct words words = {.results = fallback, .wait_ms = 60000};
	_cleanup_index_ struct index *index = NULL;
	_cleanup_json_ json_t *totals = NULL;
	_cleanup_json_ json_t *refused = NULL;
	struct index_changes changes;
	size_t said = 0;

	(void)exit_status;
	try_(parse(argc, argv, &words));
	const struct index_update_options options = {
		.rebuild = words.rebuild,
		.check = true,
		.deadline = deadline_after_ms(words.wait_ms),
		.progress = say_progress,
		.context = &said,
	};

	try_(index_open(words.results, INDEX_WRITE, &index));
	try_(index_update(index, &options, &changes));
	if (changes.recreated)
		log_warning("the index was damaged, or of another version: it was made anew");
	try_(index_totals(index, &totals));
	try_(index_refused(index, (struct index_page){.limit = words.json ? INDEX_PAGE_MAX : SHOWN},
		&refused));
	if (words.json)
		print_json(&changes, totals, refused);
	else
		print_text(&changes, totals, refused);
	return NULL;
}

const struct command command_index = {
	.name = "index",
	.arguments = "[--rebuild] [--json]",
	.summary = "bring the index of records up to date",
	.help = "The index (RESULTS/index.sqlite) is what the pages and the nightly watch ask\n"
		"instead of reading every record. It holds nothing of its own: it may be\n"
		"removed at any time, and is made anew when it is damaged. Files that are\n"
		"damaged or do not belong are listed.\n"
		"\n"
		"options:\n"
		"  --rebuild      read every record anew\n"
		"  --results DIR  where the records are\n"
		"  --wait TIME    wait so long for another update to end (60s)\n"
		"  --json         machine-readable\n"
		"\n"
		"examples:\n"
		"  fleetlab index\n"
		"  fleetlab index --rebuild --json\n",
	.run = run,
};
