/* fleetlab import: merges the records of another host. */
#include "harness/base/fs.h"
#include "harness/cmd/command.h"
#include "harness/record/import.h"
#include "harness/record/samples.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>

struct words {
	const char *results, *source;
	bool json;
};

static struct error *parse(int argc, char **argv, struct words *words)
{
	static const struct option options[] = {
		{"results", required_argument, NULL, 'r'},
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			words->results = optarg;
			break;
		case 'j':
			words->json = true;
			break;
		default:
			return command_bad_option(argc, argv);
		}
	}
	if (argc - optind != 1)
		return error_hint(error_new(ERROR_USAGE, "import wants a file or a directory"),
			"fleetlab import --help");
	words->source = argv[optind];
	return NULL;
}

/* A reason may quote the file that was refused: nothing of it reaches the terminal as it is. */
static void put_line(const char *text)
{
	for (const char *p = text; *p; p++)
		putchar(iscntrl((unsigned char)*p) ? '?' : *p);
	putchar('\n');
}

static void print_text(const json_t *report)
{
	const json_t *imported = json_object_get(report, "imported"), *item, *note;
	const json_t *refused = json_object_get(report, "refused");
	size_t i, n;

	printf("%zu imported, %zu here already, %zu refused\n", json_array_size(imported),
		json_array_size(json_object_get(report, "same")), json_array_size(refused));
	json_array_foreach (imported, i, item) {
		printf("  %s, with %.0f files\n", json_text(item, "id"),
			json_number(item, "files", 0));
		json_array_foreach (json_object_get(item, "notes"), n, note) {
			printf("    note: ");
			put_line(json_string_value(note));
		}
	}
	json_array_foreach (refused, i, item) {
		printf("  refused: ");
		put_line(json_text(item, "file"));
		printf("    ");
		put_line(json_text(item, "reason"));
	}
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_free_ char *fallback = fs_results_dir();
	struct words words = {.results = fallback};
	_cleanup_json_ json_t *report = NULL;

	try_(parse(argc, argv, &words));
	try_(import_records(words.results, words.source, &report));
	if (words.json) {
		json_dumpf(report, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_text(report);
	}
	*exit_status = json_array_size(json_object_get(report, "refused")) ? 2 : 0;
	return NULL;
}

const struct command command_import = {
	.name = "import",
	.arguments = "DIR | FILE",
	.summary = "merge records of another host",
	.help = "Takes a results directory, one record, or an archive made by fleetlab export.\n"
		"Records are checked, their verdicts computed again; journals and logs come\n"
		"along. A record that is here already is left alone; one with the same id and\n"
		"another content, or changed after it was written, is refused.\n"
		"Exit status: 0, or 2 when something was refused.\n"
		"\n"
		"options:\n"
		"  --results DIR  where the records are kept\n"
		"  --json         machine-readable\n"
		"\n"
		"examples:\n"
		"  fleetlab import /mnt/otherhost/results\n"
		"  fleetlab import 20260131T201512Z-3f9a1c.tar.zst\n",
	.run = run,
};
