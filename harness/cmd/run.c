/* fleetlab run: runs mechanisms against their baselines and prints the verdicts. */
#include "harness/cmd/choose.h"
#include "harness/cmd/command.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/base/nearest.h"
#include "harness/engine/run.h"
#include "harness/fleet/peer.h"
#include "harness/record/record.h"
#include "harness/report/report.h"

#include <getopt.h>
#include <string.h>
#include <sys/random.h>

struct run_words {
	struct run_options options;
	struct chosen chosen;
	char *results_dir;
	bool json, strict;
};

static void run_words_deinit(struct run_words *words)
{
	chosen_deinit(&words->chosen);
	free(words->results_dir);
}

static struct error *parse_seed(const char *text, uint64_t *seed)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (end == text || *end || text[0] == '-' || value > INT64_MAX)
		return error_hint(
			error_new(ERROR_USAGE, "--seed %s: not a whole number of at least 0", text),
			"--seed 1, or none: one is drawn and printed");
	*seed = value;
	return NULL;
}

static struct error *parse_profile(const char *text, enum profile *profile)
{
	if (profile_parse(text, profile))
		return NULL;
	const char *names[PROFILE_COUNT];

	for (int i = 0; i < PROFILE_COUNT; i++)
		names[i] = profile_name((enum profile)i);
	const char *near = nearest_name(text, names, PROFILE_COUNT);

	return error_hint(error_new(ERROR_USAGE, "there is no profile '%s'", text),
		near ? "--profile %s" : "--profile smoke, quick, paper or nightly", near);
}

static struct error *parse_time(const char *option, const char *text, int64_t *ms)
{
	return duration_parse_ms(text, ms)
		       ? NULL
		       : error_hint(error_new(ERROR_USAGE, "%s %s: not a time", option, text),
				 "%s 90s, 20m or 2h", option);
}

enum {
	OPT_ONLY = 256,
	OPT_VARIANT,
	OPT_SEED,
	OPT_BUDGET,
	OPT_UNTIL_DECIDED,
	OPT_AA,
	OPT_RESUME,
	OPT_PEER,
	OPT_RESULTS,
	OPT_WAIT,
	OPT_JSON,
	OPT_STRICT
};

static const struct option long_options[] = {
	{"profile", required_argument, NULL, 'P'},
	{"param", required_argument, NULL, 'p'},
	{"experiment", required_argument, NULL, 'e'},
	{"only", required_argument, NULL, OPT_ONLY},
	{"variant", required_argument, NULL, OPT_VARIANT},
	{"seed", required_argument, NULL, OPT_SEED},
	{"budget", required_argument, NULL, OPT_BUDGET},
	{"until-decided", no_argument, NULL, OPT_UNTIL_DECIDED},
	{"aa", no_argument, NULL, OPT_AA},
	{"resume", optional_argument, NULL, OPT_RESUME},
	{"peer", required_argument, NULL, OPT_PEER},
	{"results", required_argument, NULL, OPT_RESULTS},
	{"wait", required_argument, NULL, OPT_WAIT},
	{"json", no_argument, NULL, OPT_JSON},
	{"strict", no_argument, NULL, OPT_STRICT},
	{0},
};

/* What a resumed run has been planned with stands in its journal. */
static bool is_of_the_plan(int option)
{
	return option == 'P' || option == 'p' || option == 'e' || option == OPT_ONLY ||
	       option == OPT_VARIANT || option == OPT_SEED || option == OPT_AA ||
	       option == OPT_PEER;
}

/* What is one thing is not silently the last of several. */
static struct error *take_one(const char *option, const char *word, const char **place)
{
	if (*place)
		return error_hint(error_new(ERROR_USAGE, "%s %s and %s %s: a run takes one", option,
					  *place, option, word),
			"one run each, or without %s all of them", option);
	*place = word;
	return NULL;
}

static struct error *take_option(struct run_words *words, int option, int argc, char **argv)
{
	struct run_options *options = &words->options;
	struct peer_address address;
	int64_t ms;

	switch (option) {
	case 'P':
		return parse_profile(optarg, &options->plan.profile);
	case 'p':
		return choose_parameter(&words->chosen, optarg);
	case 'e':
		return take_one("--experiment", optarg, &options->plan.only_experiment);
	case OPT_ONLY:
		return take_one("--only", optarg, &options->plan.only_claim);
	case OPT_VARIANT:
		return take_one("--variant", optarg, &options->plan.only_variant);
	case OPT_SEED:
		return parse_seed(optarg, &options->plan.seed);
	case OPT_BUDGET:
		try_(parse_time("--budget", optarg, &ms));
		if (ms == 0)
			return error_hint(
				error_new(ERROR_USAGE, "--budget %s: no time at all", optarg),
				"--budget 20m");
		options->plan.budget_s = (double)ms / 1e3;
		return NULL;
	case OPT_UNTIL_DECIDED:
		options->plan.until_decided = true;
		return NULL;
	case OPT_AA:
		options->plan.aa = true;
		return NULL;
	case OPT_PEER:
		options->plan.peer = optarg;
		return peer_parse(optarg, &address);
	case OPT_RESUME:
		options->resume = optarg ? optarg : "latest";
		return NULL;
	case OPT_RESULTS:
		return choose_directory("--results", optarg, &words->results_dir);
	case OPT_WAIT:
		return parse_time("--wait", optarg, &options->wait_ms);
	case OPT_JSON:
		words->json = true;
		return NULL;
	case OPT_STRICT:
		words->strict = true;
		return NULL;
	default:
		return command_bad_option(argc, argv);
	}
}

static struct error *check_until_decided(const struct run_options *options)
{
	const struct plan_options *plan = &options->plan;

	if (plan->until_decided && plan->aa)
		return error_hint(error_new(ERROR_USAGE, "--aa compares a variant with itself: "
							 "there is no claim to decide"),
			"--aa alone");
	if (plan->until_decided && !options->resume && plan->budget_s <= 0)
		return error_hint(
			error_new(ERROR_USAGE, "--until-decided needs an end: some claims "
					       "are never decided"),
			"--until-decided --budget 1h");
	return NULL;
}

/* Names in --variant and --experiment must exist in one of the mechanisms. */
static struct error *check_names(const struct run_words *words)
{
	const struct plan_options *plan = &words->options.plan;
	bool variant = !plan->only_variant, experiment = !plan->only_experiment;
	const char *names[128];
	size_t count = 0;

	for (size_t i = 0; i < plan->mechanism_count; i++) {
		const struct mechanism *m = plan->mechanisms[i];

		variant = variant || mechanism_variant(m, plan->only_variant);
		experiment = experiment || mechanism_experiment(m, plan->only_experiment);
		for (const struct variant *v = m->variants; !variant && v->name && count < 128; v++)
			names[count++] = v->name;
		for (const struct experiment *e = m->experiments; variant && e->name && count < 128;
			e++)
			names[count++] = e->name;
	}
	if (variant && experiment)
		return NULL;
	const char *word = variant ? plan->only_experiment : plan->only_variant;
	const char *near = nearest_name(word, names, count);
	struct error *err = error_new(
		ERROR_USAGE, "there is no %s '%s'", variant ? "experiment" : "variant", word);

	return near ? error_hint(err, "--%s %s", variant ? "experiment" : "variant", near)
		    : error_hint(err, "fleetlab show MECHANISM lists them");
}

/* 0 complete, 2 a trial failed or is invalid, 3 a claim contradicted (--strict), 130 interrupted.
 */
static int status_of(const json_t *record, bool strict)
{
	const char *state = json_string_value(json_object_get(record, "state"));
	json_t *row;
	size_t i;

	if (state && strcmp(state, "interrupted") == 0)
		return 130;
	json_array_foreach (json_object_get(record, "claims"), i, row) {
		if (strict && strcmp(json_string_value(json_object_get(row, "verdict")),
				      "contradicted") == 0)
			return 3;
	}
	json_array_foreach (json_object_get(record, "trials"), i, row) {
		const char *outcome = json_string_value(json_object_get(row, "outcome"));

		if (strcmp(outcome, "ok") != 0 && strcmp(outcome, "skipped") != 0)
			return 2;
	}
	return 0;
}

static struct error *show(const struct run_words *words, json_t *record_json, const char *path)
{
	_cleanup_record_ struct record *record = NULL;
	_cleanup_free_ char *results = fs_results_words(words->results_dir);
	struct report_options options = {
		.brief = true,
		.results = results,
		.colour = command_colour(),
		.width = command_page_width(),
	};

	try_(record_from_json(record_json, &record));
	try_(report_render(record, words->json ? REPORT_JSON : REPORT_TEXT, &options, stdout));
	log_info("record: %s", path);
	return NULL;
}

static void say_how_to_go_on(const struct run_words *words, const json_t *record)
{
	_cleanup_free_ char *results = fs_results_words(words->results_dir);
	const char *id = json_string_value(json_object_get(record, "id"));
	const char *state = json_string_value(json_object_get(record, "state"));

	if (strcmp(state, "interrupted") == 0)
		log_info("interrupted; to go on: fleetlab run --resume=%s%s", id, results);
	else if (strcmp(state, "budget") == 0)
		log_info("the budget was over before all was done; to go on: fleetlab run "
			 "--resume=%s%s --budget TIME",
			id, results);
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_(run_words_deinit) struct run_words words = {
		.results_dir = fs_results_dir(),
		.options = {.plan = {.profile = PROFILE_QUICK}, .argc = argc, .argv = argv},
	};
	_cleanup_json_ json_t *record = NULL;
	_cleanup_free_ char *path = NULL;
	uint32_t random = 0;
	bool planned = false;
	int option;

	chosen_init(&words.chosen);
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		abort();
	words.options.plan.seed = random;
	while ((option = getopt_long(argc, argv, "p:e:", long_options, NULL)) != -1) {
		planned = planned || is_of_the_plan(option);
		try_(take_option(&words, option, argc, argv));
	}
	if (planned && words.options.resume)
		return error_hint(
			error_new(ERROR_USAGE, "--resume goes on with the run's own plan: no other "
					       "profile, parameters, seed or choice"),
			"fleetlab run --resume=%s", words.options.resume);
	if (words.options.resume && optind < argc)
		return error_hint(error_new(ERROR_USAGE,
					  "--resume goes on as planned: it takes no mechanism '%s'",
					  argv[optind]),
			"fleetlab run --resume, or --resume=ID");
	try_(check_until_decided(&words.options));
	for (int i = optind; i < argc; i++)
		try_(choose_mechanism(&words.chosen, argv[i], "fleetlab run %s"));
	/* Without a name: every mechanism that implements a paper. */
	if (optind == argc)
		choose_all(&words.chosen, words.options.plan.profile);
	words.options.plan.mechanisms = words.chosen.mechanisms;
	words.options.plan.mechanism_count = words.chosen.count;
	words.options.plan.overrides = words.chosen.overrides;
	words.options.results_dir = words.results_dir;
	try_(check_names(&words));
	try_(run_execute(&words.options, &record, &path));
	*exit_status = status_of(record, words.strict);
	try_(show(&words, record, path));
	say_how_to_go_on(&words, record);
	return NULL;
}

const struct command command_run = {
	.name = "run",
	.arguments = "[MECHANISM…] [options]",
	.summary = "run mechanisms against their baselines and grade the claims",
	.help = "Without a name, all mechanisms run. Each trial has a fresh fleet in namespaces\n"
		"of its own.\n"
		"\n"
		"options:\n"
		"  --profile NAME      smoke, quick (default), paper, nightly: how much\n"
		"  -p, --param N=V     set a parameter (also MECHANISM.N=V); see fleetlab show\n"
		"  --only CLAIM        only what this claim needs: C1, D2a, …\n"
		"  -e, --experiment E  only this experiment\n"
		"  --variant V         only this variant\n"
		"  --aa                A/A: a baseline, or --variant, against itself; what still\n"
		"                      differs is this host's noise\n"
		"  --budget TIME       end within this time; spare time goes to undecided claims\n"
		"  --until-decided     spare time of the budget only goes to undecided claims;\n"
		"                      ends when there are none that more boots would decide\n"
		"  --resume[=ID]       go on with an interrupted run (default: the latest), with\n"
		"                      what is left of its budget; --budget gives it more\n"
		"  --peer URI          a real second machine for variants that have two:\n"
		"                      qemu+ssh://[USER@]HOST[:PORT]/system\n"
		"  --seed N            the seed of the plan's order; printed when drawn\n"
		"  --results DIR       where records are kept (./results or $FLEETLAB_RESULTS)\n"
		"  --wait TIME         wait for another run on this host to end\n"
		"  --json              the record on standard output instead of tables\n"
		"  --strict            exit with 3 when a claim is contradicted\n"
		"\n"
		"Afterwards the published tables and the claims are printed; all that was\n"
		"measured: fleetlab report\n"
		"\n"
		"exit status: 0 complete, 1 usage or set-up error, 2 a trial failed or is\n"
		"invalid, 3 a claim is contradicted (--strict), 130 interrupted\n"
		"\n"
		"examples:\n"
		"  fleetlab run shmipc                       paper C, about two minutes\n"
		"  fleetlab run shmipc --profile paper       the paper's own sizes, cold boots\n"
		"  fleetlab run --only C1 --budget 5m        decide one claim\n"
		"  fleetlab run --until-decided --budget 1h  boots where they decide something\n"
		"  fleetlab run shmipc -p ints=1024          another transfer size\n",
	.run = run,
};
