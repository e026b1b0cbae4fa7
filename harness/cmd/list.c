/* fleetlab list: mechanisms, claims, runs and what else has a name. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/base/nearest.h"
#include "harness/cmd/fleet_control.h"
#include "harness/record/paper.h"
#include "harness/record/record.h"
#include "mechanisms/mechanism.h"

#include <getopt.h>
#include <glob.h>
#include <string.h>
#include <unistd.h>

static struct error *names_of_mechanisms(const char *results)
{
	(void)results;
	for (size_t i = 0; mechanism_at(i); i++)
		puts(mechanism_at(i)->name);
	return NULL;
}

static struct error *names_of_claims(const char *results)
{
	(void)results;
	for (size_t i = 0; paper_id_at(i); i++) {
		const json_t *paper = NULL;
		json_t *claim;
		size_t j;

		try_(paper_load(paper_id_at(i), &paper));
		json_array_foreach (json_object_get(paper, "claims"), j, claim)
			puts(json_string_value(json_object_get(claim, "id")));
	}
	return NULL;
}

static struct error *names_of_profiles(const char *results)
{
	(void)results;
	for (int i = 0; i < PROFILE_COUNT; i++)
		puts(profile_name((enum profile)i));
	return NULL;
}

static struct error *names_of_runs(const char *results)
{
	char **paths;
	size_t count;

	try_(record_list(results, &paths, &count));
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *id = record_id_of_path(paths[i]);

		puts(id);
	}
	record_list_destroy(paths, count);
	return NULL;
}

static struct error *names_of_images(const char *results)
{
	(void)results;
	puts("tiny\ndebian");
	return NULL;
}

static struct error *names_of_fleets(const char *results)
{
	_cleanup_json_ json_t *names = NULL;
	json_t *name;
	size_t i;

	(void)results;
	try_(fleet_control_list(&names));
	json_array_foreach (names, i, name)
		puts(json_string_value(name));
	return NULL;
}

static const struct {
	const char *name;
	struct error *(*print)(const char *results);
} kinds[] = {
	{"mechanisms", names_of_mechanisms},
	{"claims", names_of_claims},
	{"profiles", names_of_profiles},
	{"runs", names_of_runs},
	{"images", names_of_images},
	{"fleets", names_of_fleets},
};

static struct error *print_names(const char *kind, const char *results)
{
	const char *names[ARRAY_SIZE(kinds)];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].name, kind) == 0)
			return kinds[i].print(results);
		names[i] = kinds[i].name;
	}
	const char *near = nearest_name(kind, names, ARRAY_SIZE(names));

	return error_hint(error_new(ERROR_USAGE, "list knows no '%s'", kind), "fleetlab list %s",
		near ? near : "mechanisms");
}

/* One line a paper: its mechanism, and whether this build has it. */
static struct error *print_papers(void)
{
	puts("paper  mechanism   here  title");
	for (size_t i = 0; paper_id_at(i); i++) {
		const json_t *paper = NULL;
		const char *name;

		try_(paper_load(paper_id_at(i), &paper));
		name = json_string_value(json_object_get(paper, "mechanism"));
		printf("%-5s  %-10s  %-4s  %s\n", paper_id_at(i), name,
			mechanism_find(name) ? "yes" : "no",
			json_string_value(json_object_get(paper, "short")));
	}
	return NULL;
}

/* Runs with a journal that have not come to the end of their plan. */
static void print_unfinished(const char *results)
{
	_cleanup_free_ char *words = fs_results_words(results);
	_cleanup_free_ char *pattern = format_string("%s/runs/*/journal.jsonl", results);
	glob_t found;

	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0, shown = 0; i < found.gl_pathc; i++) {
		char *dir = found.gl_pathv[i];

		*strrchr(dir, '/') = '\0';
		_cleanup_free_ char *complete = format_string("%s/complete", dir);

		if (access(complete, F_OK) == 0)
			continue;
		if (shown++ == 0)
			puts("\nunder way, or cut short:");
		printf("  %s   to go on: fleetlab run --resume=%s%s\n", strrchr(dir, '/') + 1,
			strrchr(dir, '/') + 1, words);
	}
	globfree(&found);
}

static struct error *print_runs(const char *results)
{
	_cleanup_free_ char *words = fs_results_words(results);
	char **paths;
	size_t count;

	try_(record_list(results, &paths, &count));
	if (count == 0)
		printf("\nno runs in %s yet: fleetlab run%s\n", results, words);
	else
		printf("\nruns in %s, the latest first:\n", results);
	for (size_t i = 0; i < count && i < 10; i++) {
		_cleanup_free_ char *id = record_id_of_path(paths[i]);

		printf("  %s\n", id);
	}
	if (count > 10)
		printf("  … and %zu more: fleetlab list runs%s\n", count - 10, words);
	record_list_destroy(paths, count);
	print_unfinished(results);
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	static const struct option options[] = {{"names", required_argument, NULL, 'n'},
		{"results", required_argument, NULL, 'r'}, {0}};
	_cleanup_free_ char *fallback = fs_results_dir();
	const char *names = NULL, *results = fallback;
	int option;

	(void)exit_status;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'n':
			names = optarg;
			break;
		case 'r':
			try_(command_check_results(optarg));
			results = optarg;
			break;
		default:
			return command_bad_option(argc, argv);
		}
	}
	if (!names && optind < argc)
		names = argv[optind++];
	if (optind < argc)
		return error_hint(error_new(ERROR_USAGE, "list: one kind at a time, not also '%s'",
					  argv[optind]),
			"fleetlab list %s", names);
	if (names)
		return print_names(names, results);
	try_(print_papers());
	return print_runs(results);
}

const struct command command_list = {
	.name = "list",
	.arguments = "[KIND] [--results DIR]",
	.summary = "list mechanisms, claims, runs, fleets",
	.help = "Without a kind: the papers with their mechanisms, and the latest runs.\n"
		"With one (mechanisms, claims, profiles, runs, images, fleets): their names,\n"
		"one a line.\n"
		"\n"
		"options:\n"
		"  --results DIR  where the records are\n"
		"\n"
		"examples:\n"
		"  fleetlab list\n"
		"  fleetlab list claims\n",
	.run = run,
};
