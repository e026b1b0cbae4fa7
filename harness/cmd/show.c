/* fleetlab show: what a mechanism measures, with which parameters, or what a claim says. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/base/nearest.h"
#include "harness/engine/plan.h"
#include "harness/record/paper.h"
#include "harness/report/line.h"
#include "mechanisms/mechanism.h"

#include <getopt.h>
#include <string.h>

/* Where the text about a thing begins, behind its name. */
#define TEXT_COLUMN 21

/* "  NAME               TEXT", the text wrapped. */
static void print_item(const struct page *page, const char *name, const char *text)
{
	page_wrap(page, 2, TEXT_COLUMN, "%-*s %s", TEXT_COLUMN - 3, name, text);
}

static void print_metrics(const struct page *page, const struct metric *metrics)
{
	static const char *const better[] = {[BETTER_LESS] = "less is better",
		[BETTER_MORE] = "more is better",
		[BETTER_NEITHER] = ""};

	puts("\nmetrics:");
	for (const struct metric *m = metrics; m->name; m++) {
		const char *which = better[m->better];
		const char *unit = m->unit[0] ? m->unit : "no unit";
		_cleanup_free_ char *text =
			format_string("%s (%s%s%s)", m->help, unit, which[0] ? ", " : "", which);

		print_item(page, m->name, text);
	}
}

static void print_params(const struct page *page, const struct param *params)
{
	puts("\nparameters (-p name=value):");
	for (const struct param *p = params; p->name; p++) {
		_cleanup_free_ char *range =
			p->type == PARAM_CHOICE ? format_string("one of %s", p->choices)
			: p->type == PARAM_BOOLEAN
				? format_string("true or false")
				: format_string("%.15g to %.15g", p->min, p->max);
		_cleanup_free_ char *text = format_string("%s%s%s; %s, default %s", p->help,
			p->unit[0] ? "; in " : "", p->unit, range, p->initial);

		print_item(page, p->name, text);
	}
}

static char *variants_of(const struct experiment *experiment)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	fputs("variants:", out);
	for (size_t i = 0; experiment->variants[i]; i++)
		fprintf(out, " %s", experiment->variants[i]);
	fputs("; blocks:", out);
	for (int p = 0; p < PROFILE_COUNT; p++)
		fprintf(out, "%s %d %s", p ? "," : "", experiment->sizes[p].blocks,
			profile_name((enum profile)p));
	if (fclose(out) != 0)
		abort();
	return text;
}

static void print_experiments(const struct page *page, const struct experiment *experiments)
{
	puts("\nexperiments:");
	for (const struct experiment *e = experiments; e->name; e++) {
		_cleanup_free_ char *variants = variants_of(e);

		print_item(page, e->name, e->title);
		page_wrap(page, TEXT_COLUMN, TEXT_COLUMN, "%s", variants);
	}
}

static struct error *print_claims(const struct page *page, const char *paper_id)
{
	const json_t *paper = NULL;
	json_t *claim;
	size_t i;

	try_(paper_load(paper_id, &paper));
	printf("\nclaims of paper %s, %s:\n", paper_id,
		json_string_value(json_object_get(paper, "short")));
	json_array_foreach (json_object_get(paper, "claims"), i, claim)
		page_wrap(page, 2, 8, "%-5s %s", json_string_value(json_object_get(claim, "id")),
			json_string_value(json_object_get(claim, "text")));
	return NULL;
}

static struct error *show_mechanism(const struct mechanism *mechanism)
{
	const struct page page = {stdout, command_page_width(), false};

	page_wrap(&page, 0, 2, "%s: %s", mechanism->name, mechanism->summary);
	puts("\nvariants:");
	for (const struct variant *v = mechanism->variants; v->name; v++) {
		_cleanup_free_ char *text = format_string("%-8s  %s", role_name(v->role), v->help);

		print_item(&page, v->name, text);
	}
	print_metrics(&page, mechanism->metrics);
	print_params(&page, mechanism->params);
	print_experiments(&page, mechanism->experiments);
	return print_claims(&page, mechanism->paper);
}

/* The command that decides a claim: with a profile only where the usual one would not. */
static void print_how_to_decide(const char *name, const json_t *claim)
{
	const struct mechanism *mechanism = mechanism_find(name);
	const char *without = plan_claim_without_result(claim);
	enum profile profile = PROFILE_QUICK;

	if (!mechanism)
		printf("mechanism %s is not in this build\n", name);
	else if (without || !plan_profile_of_claim(mechanism, claim, &profile))
		printf("nothing decides it: %s\n", without ? without : "no profile has it");
	else
		printf("decide it:  fleetlab run %s --only %s%s%s\n", name,
			json_string_value(json_object_get(claim, "id")),
			profile == PROFILE_QUICK ? "" : " --profile ",
			profile == PROFILE_QUICK ? "" : profile_name(profile));
}

static struct error *show_claim(const char *id)
{
	const json_t *paper = NULL;
	const char *paper_id;
	json_t *claim;

	try_(paper_find_claim(id, &paper_id));
	try_(paper_load(paper_id, &paper));
	claim = paper_claim(paper, id);
	printf("%s (paper %s, %s): %s\n", json_string_value(json_object_get(claim, "id")), paper_id,
		json_string_value(json_object_get(claim, "source")),
		json_string_value(json_object_get(claim, "text")));
	printf("conditions: %s\n", json_string_value(json_object_get(claim, "conditions")));
	print_how_to_decide(json_string_value(json_object_get(paper, "mechanism")), claim);
	puts("how it is graded:");
	return json_dumpf(json_object_get(claim, "tests"), stdout,
		       JSON_INDENT(2) | JSON_REAL_PRECISION(12)) < 0 ||
			       putchar('\n') == EOF
		       ? error_new(ERROR_SETUP, "cannot write the claim's tests")
		       : NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	static const struct option options[] = {{0}};
	const struct mechanism *mechanism;
	const char *names[64];
	size_t count = 0;

	(void)exit_status;
	if (getopt_long(argc, argv, "", options, NULL) != -1)
		return command_bad_option(argc, argv);
	if (optind + 1 != argc)
		return error_hint(
			error_new(ERROR_USAGE, "show: which mechanism or claim?"), "fleetlab list");
	mechanism = mechanism_find(argv[optind]);
	if (mechanism)
		return show_mechanism(mechanism);
	/* A claim's id begins with one capital letter and a digit: C1, D2a. */
	if (strlen(argv[optind]) <= 4 && strpbrk(argv[optind], "0123456789"))
		return show_claim(argv[optind]);
	for (; mechanism_at(count) && count < ARRAY_SIZE(names); count++)
		names[count] = mechanism_at(count)->name;
	const char *near = nearest_name(argv[optind], names, count);
	struct error *err =
		error_new(ERROR_USAGE, "there is no mechanism or claim '%s'", argv[optind]);

	return near ? error_hint(err, "fleetlab show %s", near) : error_hint(err, "fleetlab list");
}

const struct command command_show = {
	.name = "show",
	.arguments = "MECHANISM | CLAIM",
	.summary = "show a mechanism's variants, parameters and experiments, or a claim",
	.help = "examples:\n"
		"  fleetlab show shmipc\n"
		"  fleetlab show C1\n",
	.run = run,
};
