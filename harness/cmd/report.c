/* fleetlab report: shows the record of a run. */
#include "harness/base/fs.h"
#include "harness/base/nearest.h"
#include "harness/cmd/command.h"
#include "harness/record/paper.h"
#include "harness/report/report.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

struct words {
	const char *run;
	const char *output;
	const char *results; /* NULL: the usual place */
	enum report_format format;
	struct report_options options;
	bool strict;
};

static struct error *parse(int argc, char **argv, struct words *words)
{
	static const struct option options[] = {
		{"format", required_argument, NULL, 'f'},
		{"paper", required_argument, NULL, 'p'},
		{"claim", required_argument, NULL, 'c'},
		{"brief", no_argument, NULL, 'b'},
		{"verbose", no_argument, NULL, 'v'},
		{"output", required_argument, NULL, 'o'},
		{"strict", no_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"results", required_argument, NULL, 'r'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "f:p:c:bvo:", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			try_(report_format_parse(optarg, &words->format));
			break;
		case 'p':
			words->options.paper = optarg;
			break;
		case 'c':
			words->options.claim = optarg;
			break;
		case 'b':
			words->options.brief = true;
			break;
		case 'v':
			words->options.verbose = true;
			break;
		case 'o':
			words->output = optarg;
			break;
		case 's':
			words->strict = true;
			break;
		case 'j':
			words->format = REPORT_JSON;
			break;
		case 'r':
			try_(command_check_results(optarg));
			words->results = optarg;
			break;
		default:
			return command_bad_option(argc, argv);
		}
	}
	if (argc - optind > 1)
		return error_hint(
			error_new(ERROR_USAGE, "report shows one run, not %d", argc - optind),
			"fleetlab compare RUN RUN");
	words->run = optind < argc ? argv[optind] : "latest";
	return NULL;
}

/* Unknown papers and claims are errors, not empty reports. */
static struct error *check(const struct words *words)
{
	const json_t *paper = NULL;
	const char *id = NULL;

	if (words->options.paper)
		try_(paper_load(words->options.paper, &paper));
	if (words->options.claim)
		try_(paper_find_claim(words->options.claim, &id));
	if (paper && id && !paper_claim(paper, words->options.claim))
		return error_new(ERROR_USAGE, "claim %s is one of paper %s, not of paper %s",
			words->options.claim, id, words->options.paper);
	return NULL;
}

static struct error *write_file(const struct record *record, const struct words *words)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *memory = open_memstream(&text, &size);
	struct error *err;

	if (!memory)
		return error_errno(errno, "cannot hold the report");
	err = report_render(record, words->format, &words->options, memory);
	if (fclose(memory) != 0 && !err)
		err = error_errno(errno, "cannot hold the report");
	return err ? err : fs_write_atomic(words->output, text, size);
}

static bool has(const json_t *list, const char *key, const char *value)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		const char *text = json_string_value(json_object_get(item, key));

		if (text && strcmp(text, value) == 0)
			return true;
	}
	return false;
}

/* As of `run`: 2 for trials that failed or are invalid, or an altered record; 3 for a contradicted
 * claim, only where asked. */
static int status_of(const struct record *record, bool strict)
{
	const json_t *trials = json_object_get(record->json, "trials");

	if (strict && has(json_object_get(record->json, "claims"), "verdict", "contradicted"))
		return 3;
	if (record->altered ||
		(strict && (has(trials, "outcome", "failed") || has(trials, "outcome", "invalid"))))
		return 2;
	return 0;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	struct words words = {.format = REPORT_TEXT};
	_cleanup_record_ struct record *record = NULL;
	_cleanup_free_ char *fallback = fs_results_dir();
	_cleanup_free_ char *again = NULL;
	_cleanup_free_ char *path = NULL;

	try_(parse(argc, argv, &words));
	try_(check(&words));
	const char *results = words.results ? words.results : fallback;

	try_(record_find(results, words.run, &path));
	words.options.results = again = fs_results_words(results);
	try_(record_load(path, &record));
	if (words.output) {
		try_(write_file(record, &words));
	} else {
		words.options.width = command_page_width();
		words.options.colour = command_colour();
		try_(report_render(record, words.format, &words.options, stdout));
	}
	*exit_status = status_of(record, words.strict);
	return NULL;
}

const struct command command_report = {
	.name = "report",
	.arguments = "[RUN] [options]",
	.summary = "show a run: tables beside the paper's, claims with verdicts",
	.help = "RUN is an id, the beginning of one, a file, or 'latest' (the default).\n\n"
		"  -f, --format F     text, markdown, csv, json or junit\n"
		"  -p, --paper P      only this paper: A, B, C, D, E or null\n"
		"  -c, --claim C      only this claim: C1\n"
		"  -b, --brief        only the published tables and the claims, as after a run\n"
		"                     (text and markdown)\n"
		"  -v, --verbose      list every trial's samples\n"
		"  -o, --output FILE  write there instead of standard output\n"
		"      --results DIR  where the records are\n"
		"      --strict       exit status 3 when a claim is contradicted, 2 when a trial\n"
		"                     failed or is invalid\n\n"
		"Verdicts are computed from the samples each time. A record that was changed\n"
		"after it was written is shown as altered, with exit status 2.\n\n"
		"examples:\n"
		"  fleetlab report\n"
		"  fleetlab report 20260131 --claim C1 --verbose\n"
		"  fleetlab report --brief --format markdown\n"
		"  fleetlab report --format junit --output report.xml --strict\n",
	.run = run,
};
