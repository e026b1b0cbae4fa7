/* fleetlab nightly: watches a lab host, one night at a time. */
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/cmd/choose.h"
#include "harness/cmd/command.h"
#include "harness/cmd/nightly_summary.h"
#include "harness/engine/handicap.h"
#include "harness/nightly/night.h"
#include "harness/report/night.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <string.h>

#define DEFAULT_LOAD 0.5
#define DEFAULT_SLOWDOWN 1.3
#define DEFAULT_KEEP_LOGS 30
/* A budget beyond it is a slip. */
#define MOST_BUDGET_MS (NIGHT_MOST_S * 1000LL)

struct nightly_words {
	struct night_options options;
	struct chosen chosen;
	char *results_dir, *drill_target, *hook, *summary_dir;
	const char *end_option; /* --until or --budget; NULL: neither yet */
	bool json;
};

static void nightly_words_deinit(struct nightly_words *words)
{
	chosen_deinit(&words->chosen);
	free(words->results_dir);
	free(words->drill_target);
	free(words->hook);
	free(words->summary_dir);
}

/* ---- options ---- */

static struct error *take_until(const char *text, time_t *when)
{
	return clock_parse_next(text, time(NULL), when)
		       ? NULL
		       : error_hint(error_new(ERROR_USAGE, "--until %s: not a time of day", text),
				 "--until 06:00");
}

static struct error *take_budget(const char *text, time_t *when)
{
	int64_t ms;

	if (!duration_parse_ms(text, &ms) || ms <= 0 || ms > MOST_BUDGET_MS)
		return error_hint(
			error_new(ERROR_USAGE, "--budget %s: not a time of at most 24h", text),
			"--budget 4h");
	*when = time(NULL) + (time_t)((ms + 999) / 1000);
	return NULL;
}

static struct error *take_start_by(const char *text, time_t *when)
{
	int64_t ms;

	if (clock_parse_next(text, time(NULL), when))
		return NULL;
	if (!duration_parse_ms(text, &ms) || ms > MOST_BUDGET_MS)
		return error_hint(
			error_new(ERROR_USAGE,
				"--start-by %s: neither a time of day nor a duration", text),
			"--start-by 01:30, or --start-by 90m");
	*when = time(NULL) + (time_t)(ms / 1000);
	return NULL;
}

static struct error *take_number(
	const char *option, const char *text, double least, double most, double *value)
{
	char *end;

	*value = strtod(text, &end);
	if (end != text && !*end && isfinite(*value) && *value >= least && *value <= most)
		return NULL;
	return error_hint(error_new(ERROR_USAGE, "%s %s: not a number from %g to %g", option, text,
				  least, most),
		"fleetlab nightly --help");
}

static struct error *take_mechanisms(struct nightly_words *words, const char *text)
{
	_cleanup_free_ char *copy = format_string("%s", text);
	char *rest = copy;

	for (char *name; (name = strsep(&rest, ","));)
		try_(choose_mechanism(&words->chosen, name, "--mechanisms %s"));
	return NULL;
}

static struct error *take_target(struct nightly_words *words, const char *text)
{
	_cleanup_free_ char *copy = format_string("%s", text);
	char *rest = copy, *name = strsep(&rest, "/"), *experiment = strsep(&rest, "/");
	const struct mechanism *mechanism = mechanism_find(name);

	if (!mechanism || !experiment || !rest || !mechanism_experiment(mechanism, experiment) ||
		!mechanism_variant(mechanism, rest))
		return error_hint(
			error_new(ERROR_USAGE, "--drill=%s: not a variant of an experiment", text),
			"--drill=MECHANISM/EXPERIMENT/VARIANT, as fleetlab show has them");
	if (mechanism_variant(mechanism, rest)->role != ROLE_SUBJECT)
		return error_hint(
			error_new(ERROR_USAGE,
				"--drill=%s: a baseline is what others are compared with", text),
			"name a subject: fleetlab show %s", name);
	free(words->drill_target);
	words->drill_target = format_string("%s", text);
	return NULL;
}

enum {
	OPT_UNTIL = 256,
	OPT_BUDGET,
	OPT_START_BY,
	OPT_MECHANISMS,
	OPT_DRILL,
	OPT_SLOWDOWN,
	OPT_RESUME,
	OPT_RESULTS,
	OPT_SUMMARY,
	OPT_HOOK,
	OPT_MAX_LOAD,
	OPT_KEEP_LOGS,
	OPT_FORCE_BUSY,
	OPT_JSON
};

static const struct option long_options[] = {
	{"until", required_argument, NULL, OPT_UNTIL},
	{"budget", required_argument, NULL, OPT_BUDGET},
	{"start-by", required_argument, NULL, OPT_START_BY},
	{"mechanisms", required_argument, NULL, OPT_MECHANISMS},
	{"param", required_argument, NULL, 'p'},
	{"drill", optional_argument, NULL, OPT_DRILL},
	{"slowdown", required_argument, NULL, OPT_SLOWDOWN},
	{"resume", no_argument, NULL, OPT_RESUME},
	{"results", required_argument, NULL, OPT_RESULTS},
	{"summary", required_argument, NULL, OPT_SUMMARY},
	{"hook", required_argument, NULL, OPT_HOOK},
	{"max-load", required_argument, NULL, OPT_MAX_LOAD},
	{"keep-logs", required_argument, NULL, OPT_KEEP_LOGS},
	{"force-busy", no_argument, NULL, OPT_FORCE_BUSY},
	{"json", no_argument, NULL, OPT_JSON},
	{0},
};

/* A night has one end; of the same option the last one counts, as anywhere. */
static struct error *choose_end(struct nightly_words *words, const char *option)
{
	if (words->end_option && strcmp(words->end_option, option) != 0)
		return error_hint(error_new(ERROR_USAGE, "%s %s: the night has an end already",
					  option, optarg),
			"either --until or --budget");
	words->end_option = option;
	return NULL;
}

static struct error *take_option(struct nightly_words *words, int option, int argc, char **argv)
{
	struct night_options *options = &words->options;
	double number;

	switch (option) {
	case OPT_UNTIL:
		try_(choose_end(words, "--until"));
		return take_until(optarg, &options->end_by);
	case OPT_BUDGET:
		try_(choose_end(words, "--budget"));
		return take_budget(optarg, &options->end_by);
	case OPT_START_BY:
		return take_start_by(optarg, &options->start_by);
	case OPT_MECHANISMS:
		return take_mechanisms(words, optarg);
	case 'p':
		return choose_parameter(&words->chosen, optarg);
	case OPT_DRILL:
		options->drill = true;
		return optarg ? take_target(words, optarg) : NULL;
	case OPT_SLOWDOWN:
		return take_number(
			"--slowdown", optarg, HANDICAP_LEAST, HANDICAP_MOST, &options->slowdown);
	case OPT_RESUME:
		options->resume_only = true;
		return NULL;
	case OPT_RESULTS:
		return choose_directory("--results", optarg, &words->results_dir);
	case OPT_SUMMARY:
		return choose_directory("--summary", optarg, &words->summary_dir);
	case OPT_HOOK:
		try_(choose_text("--hook", optarg));
		free(words->hook);
		words->hook = format_string("%s", optarg);
		return NULL;
	case OPT_MAX_LOAD:
		return take_number("--max-load", optarg, 0, 1e6, &options->most_load);
	case OPT_KEEP_LOGS:
		try_(take_number("--keep-logs", optarg, 0, NIGHTS_MAX - 1, &number));
		options->keep_logs = (size_t)number;
		return NULL;
	case OPT_FORCE_BUSY:
		options->force_busy = true;
		return NULL;
	case OPT_JSON:
		words->json = true;
		return NULL;
	default:
		return command_bad_option(argc, argv);
	}
}

static struct error *show(const struct nightly_words *words, const json_t *night)
{
	if (!words->json)
		return night_report(night, NIGHT_MARKDOWN, stdout);
	json_dumpf(night, stdout, JSON_INDENT(2));
	putchar('\n');
	return NULL;
}

static struct error *run_trials(
	void *context, const struct run_options *options, json_t **record, char **path)
{
	(void)context;
	return run_execute(options, record, path);
}

static struct summary_options summary_of(const struct nightly_words *words)
{
	return (struct summary_options){words->results_dir, words->summary_dir, words->hook};
}

static struct error *tell(void *context, json_t *night, bool *told)
{
	const struct summary_options summary = summary_of(context);

	return summary_write(&summary, night, told);
}

static struct error *parse(int argc, char **argv, struct nightly_words *words)
{
	int option;

	while ((option = getopt_long(argc, argv, "p:", long_options, NULL)) != -1)
		try_(take_option(words, option, argc, argv));
	if (optind < argc)
		return error_hint(
			error_new(ERROR_USAGE, "nightly takes no word '%s'", argv[optind]),
			"--mechanisms %s", argv[optind]);
	if (words->chosen.count == 0)
		choose_all(&words->chosen, PROFILE_NIGHTLY);
	words->options.mechanisms = words->chosen.mechanisms;
	words->options.mechanism_count = words->chosen.count;
	words->options.overrides = words->chosen.overrides;
	words->options.results_dir = words->results_dir;
	words->options.drill_target = words->drill_target;
	words->options.has_hook = words->hook;
	words->options.context = words;
	return NULL;
}

/* Who is told in no other way finds a regression in the exit status. */
static int status_of(const json_t *night, size_t untold)
{
	int status = (int)json_integer_value(json_object_get(night, "exit_status"));

	return untold && status != NIGHT_REGRESSION && status != NIGHT_INTERRUPTED ? NIGHT_UNTOLD
										   : status;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_(nightly_words_deinit) struct nightly_words words = {
		.results_dir = fs_results_dir(),
		.options = {.most_load = DEFAULT_LOAD,
			.slowdown = DEFAULT_SLOWDOWN,
			.keep_logs = DEFAULT_KEEP_LOGS,
			.argc = argc,
			.argv = argv,
			.proc = "/proc",
			.run = run_trials,
			.tell = tell},
	};
	_cleanup_json_ json_t *night = NULL;
	size_t untold;

	chosen_init(&words.chosen);
	try_(parse(argc, argv, &words));
	struct error *err = night_run(&words.options, &night, &untold);

	if (err && words.hook) {
		const struct summary_options summary = summary_of(&words);

		summary_tell_error(&summary, err);
	}
	try_(err);
	*exit_status = status_of(night, untold);
	if (night)
		return show(&words, night);
	log_info("there is no night to go on with");
	return NULL;
}

const struct command command_nightly = {
	.name = "nightly",
	.arguments = "[--until HH:MM | --budget TIME] [options]",
	.summary = "watch this host: measure, judge against the nights before, tell",
	.help = "One night: the nightly profile with an A/A arm, each metric judged against the\n"
		"nights before, suspects confirmed by fresh trials, a summary. A night that was\n"
		"cut goes on when it is started again before its time is over.\n"
		"\n"
		"options:\n"
		"  --until HH:MM       nothing runs after this time of day\n"
		"  --budget TIME       nothing runs after so long (default: 6h)\n"
		"  --start-by WHEN     wait for a host that is in use: until HH:MM, or so long;\n"
		"                      a night that was cut waits until its end by itself\n"
		"  --mechanisms LIST   with commas between; default: all but null\n"
		"  -p, --param N=V     set a parameter, as in fleetlab run\n"
		"  --drill[=M/E/V]     slow a variant down on purpose, apart from what is real,\n"
		"                      and see whether that is found; goes on in the next nights\n"
		"  --slowdown X        how many times as long in a drill (default: 1.3)\n"
		"  --resume            only go on with a night that was cut, if there is one\n"
		"  --results DIR       where records are kept (./results or $FLEETLAB_RESULTS)\n"
		"  --summary DIR       where summaries are written (default: RESULTS/nightly)\n"
		"  --hook COMMAND      gets the summary on standard input, for mail or chat\n"
		"  --max-load X        load per core from which a host is in use (default: 0.5)\n"
		"  --keep-logs N       drop logs and journals of nights before the last N, not\n"
		"                      their records (default: 30)\n"
		"  --force-busy        run on a host in use; the summary says so\n"
		"  --json              the night's record on standard output\n"
		"\n"
		"exit status: 0 nothing to tell, 1 usage or set-up error, 2 a trial failed or is\n"
		"invalid, 3 a regression was confirmed tonight, 4 not started: the host is in\n"
		"use, 5 the hook failed or the summary could not be written, 130 interrupted\n"
		"\n"
		"examples:\n"
		"  fleetlab nightly --until 06:00 --start-by 90m\n"
		"  fleetlab nightly --until 06:00 --drill --hook 'mail -s nightly root'\n"
		"  fleetlab nightly --mechanisms null --budget 5m   see how it works\n",
	.run = run,
};
