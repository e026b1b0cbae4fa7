/* fleetlab show: what a mechanism measures, with which parameters, or what a claim says. */
#include "harness/cmd/command.h"
#include "harness/base/nearest.h"
#include "harness/record/paper.h"
#include "mechanisms/mechanism.h"

#include <getopt.h>
#include <string.h>

static const char *better_text(enum better better)
{
	return better == BETTER_LESS   ? ", less is better"
	       : better == BETTER_MORE ? ", more is better"
				       : "";
}

static void print_params(const struct mechanism *mechanism)
{
	puts("\nparameters (-p name=value):");
	for (const struct param *p = mechanism->params; p->name; p++) {
		char range[96];

		if (p->type == PARAM_CHOICE)
			snprintf(range, sizeof(range), "%s", p->choices);
		else if (p->type == PARAM_BOOLEAN)
			snprintf(range, sizeof(range), "true false");
		else
			snprintf(range, sizeof(range), "%.15g … %.15g", p->min, p->max);
		printf("  %-18s %s%s%s\n  %-18s default %s, range %s\n", p->name, p->help,
			p->unit[0] ? ", in " : "", p->unit, "", p->initial, range);
	}
}

static void print_experiments(const struct mechanism *mechanism)
{
	puts("\nexperiments:");
	for (const struct experiment *e = mechanism->experiments; e->name; e++) {
		printf("  %-18s %s\n  %-18s variants:", e->name, e->title, "");
		for (size_t i = 0; e->variants[i]; i++)
			printf(" %s", e->variants[i]);
		printf("\n  %-18s blocks:", "");
		for (int p = 0; p < PROFILE_COUNT; p++)
			printf(" %s %d%s", profile_name((enum profile)p), e->sizes[p].blocks,
				p + 1 < PROFILE_COUNT ? "," : "\n");
	}
}

static struct error *print_claims(const char *paper_id)
{
	const json_t *paper = NULL;
	json_t *claim;
	size_t i;

	try_(paper_load(paper_id, &paper));
	printf("\nclaims of paper %s, %s:\n", paper_id,
		json_string_value(json_object_get(paper, "short")));
	json_array_foreach (json_object_get(paper, "claims"), i, claim)
		printf("  %-5s %s\n", json_string_value(json_object_get(claim, "id")),
			json_string_value(json_object_get(claim, "text")));
	return NULL;
}

static struct error *show_mechanism(const struct mechanism *mechanism)
{
	printf("%s: %s\n\nvariants:\n", mechanism->name, mechanism->summary);
	for (const struct variant *v = mechanism->variants; v->name; v++)
		printf("  %-18s %-8s  %s\n", v->name, role_name(v->role), v->help);
	puts("\nmetrics:");
	for (const struct metric *m = mechanism->metrics; m->name; m++)
		printf("  %-23s  %s\n  %-23s  in %s%s\n", m->name, m->help, "", m->unit,
			better_text(m->better));
	print_params(mechanism);
	print_experiments(mechanism);
	return print_claims(mechanism->paper);
}

static struct error *show_claim(const char *id)
{
	const json_t *paper = NULL;
	const char *paper_id;
	json_t *claim;

	try_(paper_find_claim(id, &paper_id));
	try_(paper_load(paper_id, &paper));
	claim = paper_claim(paper, id);
	const char *mechanism = json_string_value(json_object_get(paper, "mechanism"));

	printf("%s (paper %s, %s): %s\n", json_string_value(json_object_get(claim, "id")), paper_id,
		json_string_value(json_object_get(claim, "source")),
		json_string_value(json_object_get(claim, "text")));
	printf("conditions: %s\n", json_string_value(json_object_get(claim, "conditions")));
	if (mechanism_find(mechanism))
		printf("decide it:  fleetlab run %s --only %s\n", mechanism,
			json_string_value(json_object_get(claim, "id")));
	else
		printf("mechanism %s is not in this build\n", mechanism);
	puts("how it is graded:");
	return json_dumpf(json_object_get(claim, "tests"), stdout, JSON_INDENT(2)) < 0 ||
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
