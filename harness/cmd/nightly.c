/* fleetlab nightly: watches a lab host, one night at a time. */
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/base/nearest.h"
#include "harness/cmd/command.h"
#include "harness/engine/handicap.h"
#include "harness/nightly/hook.h"
#include "harness/nightly/night.h"
#include "harness/report/night.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <string.h>

enum { MAX_MECHANISMS = 16 };

#define DEFAULT_BUDGET_S (6 * 3600)
#define DEFAULT_LOAD 0.5
#define DEFAULT_SLOWDOWN 1.3
/* No night is longer: a budget beyond it is a slip. */
#define MOST_BUDGET_MS (24 * 3600 * 1000LL)

struct nightly_words {
	struct night_options options;
	const struct mechanism *mechanisms[MAX_MECHANISMS];
	json_t *overrides;
	char *results_dir, *drill_target, *hook, *summary_dir;
	bool json;
};

static void nightly_words_deinit(struct nightly_words *words)
{
	json_decref(words->overrides);
	free(words->results_dir);
	free(words->drill_target);
	free(words->hook);
	free(words->summary_dir);
}

/* ---- options ---- */

/* "06:00": the next time that this host's clocks show it. */
static bool parse_clock(const char *text, time_t *when)
{
	time_t now = time(NULL);
	struct tm tm;
	int hour, minute, end = 0;

	if (sscanf(text, "%2d:%2d%n", &hour, &minute, &end) != 2 || text[end] || hour < 0 ||
		hour > 23 || minute < 0 || minute > 59)
		return false;
	localtime_r(&now, &tm);
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = 0;
	tm.tm_isdst = -1;
	*when = mktime(&tm);
	if (*when > now)
		return true;
	tm.tm_mday++;
	tm.tm_isdst = -1;
	*when = mktime(&tm);
	return true;
}

static struct error *take_until(const char *text, time_t *when)
{
	return parse_clock(text, when)
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

	if (parse_clock(text, when))
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

static struct error *add_mechanism(struct nightly_words *words, const char *name)
{
	size_t *count = &words->options.mechanism_count;
	const struct mechanism *mechanism = mechanism_find(name);
	const char *names[64], *near;
	size_t known = 0;

	if (mechanism) {
		for (size_t i = 0; i < *count; i++) {
			if (words->mechanisms[i] == mechanism)
				return NULL;
		}
		if (*count == MAX_MECHANISMS)
			return error_new(ERROR_USAGE, "more than %d mechanisms", MAX_MECHANISMS);
		words->mechanisms[(*count)++] = mechanism;
		return NULL;
	}
	for (; mechanism_at(known) && known < ARRAY_SIZE(names); known++)
		names[known] = mechanism_at(known)->name;
	near = nearest_name(name, names, known);
	struct error *err = error_new(ERROR_USAGE, "there is no mechanism '%s'", name);

	return near ? error_hint(err, "--mechanisms %s", near) : error_hint(err, "fleetlab list");
}

static struct error *take_mechanisms(struct nightly_words *words, const char *text)
{
	_cleanup_free_ char *copy = format_string("%s", text);
	char *rest = copy;

	for (char *name; (name = strsep(&rest, ","));)
		try_(add_mechanism(words, name));
	return NULL;
}

/* All that implement a paper and have a nightly profile. */
static void add_all(struct nightly_words *words)
{
	for (size_t i = 0; mechanism_at(i) && i < MAX_MECHANISMS; i++) {
		const struct mechanism *mechanism = mechanism_at(i);
		bool nightly = false;

		for (const struct experiment *e = mechanism->experiments; e->name; e++)
			nightly = nightly || e->sizes[PROFILE_NIGHTLY].blocks > 0;
		if (nightly && strcmp(mechanism->name, "null") != 0)
			words->mechanisms[words->options.mechanism_count++] = mechanism;
	}
}

static struct error *take_param(struct nightly_words *words, const char *text)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text || !equals[1])
		return error_hint(
			error_new(ERROR_USAGE, "-p %s: a parameter is set as name=value", text),
			"fleetlab show MECHANISM lists the parameters");
	_cleanup_free_ char *name = format_string("%.*s", (int)(equals - text), text);

	json_object_set_new(words->overrides, name, json_string(equals + 1));
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

static struct error *take_directory(const char *option, char **dir)
{
	if (!optarg[0])
		return error_hint(
			error_new(ERROR_USAGE, "%s '': not a directory", option), "%s DIR", option);
	free(*dir);
	*dir = format_string("%s", optarg);
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
	{"force-busy", no_argument, NULL, OPT_FORCE_BUSY},
	{"json", no_argument, NULL, OPT_JSON},
	{0},
};

static struct error *take_option(struct nightly_words *words, int option, int argc, char **argv)
{
	struct night_options *options = &words->options;

	switch (option) {
	case OPT_UNTIL:
		return take_until(optarg, &options->end_by);
	case OPT_BUDGET:
		return take_budget(optarg, &options->end_by);
	case OPT_START_BY:
		return take_start_by(optarg, &options->start_by);
	case OPT_MECHANISMS:
		return take_mechanisms(words, optarg);
	case 'p':
		return take_param(words, optarg);
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
		return take_directory("--results", &words->results_dir);
	case OPT_SUMMARY:
		return take_directory("--summary", &words->summary_dir);
	case OPT_HOOK:
		free(words->hook);
		words->hook = format_string("%s", optarg);
		return NULL;
	case OPT_MAX_LOAD:
		return take_number("--max-load", optarg, 0, 1e6, &options->most_load);
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

/* ---- the summary ---- */

static struct error *render(const json_t *night, enum night_format format, char **text)
{
	_cleanup_free_ char *made = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&made, &size);

	if (!out)
		return error_errno(errno, "cannot make the summary");
	struct error *err = night_report(night, format, out);

	fclose(out);
	if (!err)
		*text = take_ptr(made);
	return err;
}

static const struct {
	enum night_format format;
	const char *suffix;
} files[] = {{NIGHT_MARKDOWN, ".md"}, {NIGHT_HTML, ".html"}, {NIGHT_JUNIT, ".xml"}};

/* Writes all three beside each other; paths are owned by the caller. */
static struct error *write_files(
	const json_t *night, const char *dir, char *paths[ARRAY_SIZE(files)])
{
	const char *id = json_string_value(json_object_get(night, "id"));

	try_(fs_make_dirs(dir));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *text = NULL;

		free(paths[i]);
		paths[i] = format_string("%s/%s%s", dir, id, files[i].suffix);
		try_(render(night, files[i].format, &text));
		try_(fs_write_atomic(paths[i], text, strlen(text)));
	}
	return NULL;
}

static struct error *tell(
	const struct nightly_words *words, json_t *night, char *paths[ARRAY_SIZE(files)])
{
	const char *id = json_string_value(json_object_get(night, "id"));
	_cleanup_free_ char *record = night_path(words->options.results_dir, id, ".json");
	_cleanup_free_ char *headline = night_headline(night);
	_cleanup_free_ char *text = NULL;

	try_(render(night, NIGHT_MARKDOWN, &text));
	const struct hook hook = {
		.command = words->hook,
		.summary = text,
		.headline = headline,
		.record = record,
		.markdown = paths[0],
		.html = paths[1],
		.junit = paths[2],
	};

	hook_run(&hook, night);
	const json_t *said = json_object_get(night, "hook");

	if (!json_is_true(json_object_get(said, "ok")))
		log_warning(
			"the hook failed: %s", json_string_value(json_object_get(said, "reason")));
	return night_save(night, words->options.results_dir);
}

static struct error *show(const struct nightly_words *words, const json_t *night)
{
	if (!words->json)
		return night_report(night, NIGHT_MARKDOWN, stdout);
	json_dumpf(night, stdout, JSON_INDENT(2));
	putchar('\n');
	return NULL;
}

static struct error *summarise(const struct nightly_words *words, json_t *night)
{
	_cleanup_free_ char *dir =
		words->summary_dir ? format_string("%s", words->summary_dir)
				   : format_string("%s/nightly", words->options.results_dir);
	_cleanup_free_ char *markdown = NULL, *html = NULL, *junit = NULL;
	char *paths[ARRAY_SIZE(files)] = {NULL};
	bool ended = !night_is(night, "in-progress");
	struct error *err = write_files(night, dir, paths);

	if (!err && words->hook && ended) {
		err = tell(words, night, paths);
		if (!err)
			err = write_files(night, dir, paths);
	}
	markdown = paths[0];
	html = paths[1];
	junit = paths[2];
	try_(err);
	try_(show(words, night));
	log_info("summary: %s", markdown);
	return NULL;
}

static struct error *run_trials(
	void *context, const struct run_options *options, json_t **record, char **path)
{
	(void)context;
	return run_execute(options, record, path);
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_(nightly_words_deinit) struct nightly_words words = {
		.overrides = json_object(),
		.results_dir = fs_results_dir(),
		.options = {.most_load = DEFAULT_LOAD,
			.slowdown = DEFAULT_SLOWDOWN,
			.end_by = time(NULL) + DEFAULT_BUDGET_S,
			.argc = argc,
			.argv = argv,
			.proc = "/proc",
			.run = run_trials},
	};
	_cleanup_json_ json_t *night = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "p:", long_options, NULL)) != -1)
		try_(take_option(&words, option, argc, argv));
	if (optind < argc)
		return error_hint(
			error_new(ERROR_USAGE, "nightly takes no word '%s'", argv[optind]),
			"--mechanisms %s", argv[optind]);
	if (words.options.mechanism_count == 0)
		add_all(&words);
	words.options.mechanisms = words.mechanisms;
	words.options.overrides = words.overrides;
	words.options.results_dir = words.results_dir;
	words.options.drill_target = words.drill_target;
	try_(night_run(&words.options, &night));
	if (!night) {
		log_info("there is no night to go on with");
		return NULL;
	}
	try_(summarise(&words, night));
	*exit_status = (int)json_integer_value(json_object_get(night, "exit_status"));
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
		"  --start-by WHEN     wait for a host that is in use: until HH:MM, or so long\n"
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
		"  --force-busy        run on a host in use; the summary says so\n"
		"  --json              the night's record on standard output\n"
		"\n"
		"exit status: 0 nothing to tell, 1 usage or set-up error, 2 a trial failed or is\n"
		"invalid, 3 a regression was confirmed tonight, 4 not started: the host is in\n"
		"use, 130 interrupted\n"
		"\n"
		"examples:\n"
		"  fleetlab nightly --until 06:00 --start-by 90m\n"
		"  fleetlab nightly --until 06:00 --drill --hook 'mail -s "
		"\"$FLEETLAB_NIGHT_HEADLINE\" "
		"root'\n"
		"  fleetlab nightly --mechanisms null --budget 5m   see how it works\n",
	.run = run,
};
