/* fleetlab compare: two runs side by side. */
#include "harness/base/fs.h"
#include "harness/cmd/command.h"
#include "harness/record/paper.h"
#include "harness/report/report.h"

#include <getopt.h>

static struct error *parse(int argc, char **argv, enum report_format *format,
	struct report_options *options, const char **results)
{
	static const struct option known[] = {
		{"format", required_argument, NULL, 'f'},
		{"paper", required_argument, NULL, 'p'},
		{"claim", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"results", required_argument, NULL, 'r'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "f:p:c:", known, NULL)) != -1) {
		switch (option) {
		case 'f':
			try_(report_format_parse(optarg, format));
			break;
		case 'p':
			options->paper = optarg;
			break;
		case 'c':
			options->claim = optarg;
			break;
		case 'j':
			*format = REPORT_JSON;
			break;
		case 'r':
			try_(command_check_results(optarg));
			*results = optarg;
			break;
		default:
			return command_bad_option(argc, argv);
		}
	}
	if (argc - optind != 2)
		return error_hint(
			error_new(ERROR_USAGE, "compare wants two runs, got %d", argc - optind),
			"fleetlab compare RUN RUN; fleetlab list shows the runs");
	return NULL;
}

static struct error *load(const char *results, const char *what, struct record **record)
{
	_cleanup_free_ char *path = NULL;

	try_(record_find(results, what, &path));
	return record_load(path, record);
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_free_ char *fallback = fs_results_dir();
	_cleanup_record_ struct record *a = NULL;
	_cleanup_record_ struct record *b = NULL;
	const json_t *paper = NULL;
	enum report_format format = REPORT_TEXT;
	struct report_options options = {0};
	const char *results = fallback, *id;

	try_(parse(argc, argv, &format, &options, &results));
	if (options.paper)
		try_(paper_load(options.paper, &paper));
	if (options.claim)
		try_(paper_find_claim(options.claim, &id));
	try_(load(results, argv[optind], &a));
	try_(load(results, argv[optind + 1], &b));
	options.width = command_page_width();
	options.colour = command_colour();
	try_(report_compare(a, b, format, &options, stdout));
	*exit_status = a->altered || b->altered ? 2 : 0;
	return NULL;
}

const struct command command_compare = {
	.name = "compare",
	.arguments = "RUN RUN [options]",
	.summary = "two runs side by side, their hosts first",
	.help = "RUN is an id, the beginning of one, a file, or 'latest'.\n\n"
		"  -f, --format F  text, markdown or json\n"
		"  -p, --paper P   only this paper's claims\n"
		"  -c, --claim C   only this claim\n"
		"  --results DIR   where the records are\n\n"
		"Shows what differs between the hosts and the settings, then each claim and\n"
		"metric of both runs, the ratio of the second to the first, and whether the\n"
		"intervals exclude 1; of growths the difference in percentage points.\n\n"
		"examples:\n"
		"  fleetlab compare 20260131 latest\n"
		"  fleetlab compare results/reference/a.json latest --claim C1\n",
	.run = run,
};
