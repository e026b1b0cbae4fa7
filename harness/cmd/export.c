/* fleetlab export: one archive with all that is needed to examine a run's claims. */
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/cmd/command.h"
#include "harness/image/image.h"
#include "harness/record/archive.h"
#include "harness/record/samples.h"
#include "harness/report/artifact.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <glib.h>
#include <string.h>
#include <time.h>

#define LARGEST_FILE ((size_t)512 << 20)

struct export
{
	struct record *record;
	const char *id; /* borrowed */
	char *beside;	/* directory with the journal and the logs */
	char *file;	/* what is written */
	struct archive_writer *writer;
	FILE *sums; /* SHA256SUMS so far */
	char *sums_text;
	size_t sums_size;
	json_t *images;
	json_t *logs;
	time_t when; /* the run's: times of export would make equal archives differ */
	bool journal;
};

static void export_deinit(struct export *export)
{
	archive_writer_destroy(export->writer);
	record_destroy(export->record);
	if (export->sums)
		fclose(export->sums);
	free(export->sums_text);
	free(export->beside);
	free(export->file);
	json_decref(export->images);
	json_decref(export->logs);
}

static struct error *add(struct export *export, const char *name, const void *data, size_t size)
{
	_cleanup_free_ char *inside = format_string("%s/%s", export->id, name);
	char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, size);

	if (export->sums)
		fprintf(export->sums, "%s  %s\n", sum, name);
	g_free(sum);
	return archive_add(export->writer, inside, data, size, export->when);
}

static struct error *add_file(struct export *export, const char *name, const char *path)
{
	_cleanup_free_ char *data = NULL;
	size_t size;

	try_(fs_read_regular(path, LARGEST_FILE, &data, &size, NULL));
	return add(export, name, data, size);
}

static struct error *add_json(struct export *export, const char *name, const json_t *json)
{
	_cleanup_free_ char *text = json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS);

	return add(export, name, text ? text : "", text ? strlen(text) : 0);
}

/* ---- what there is ---- */

/* nftw(3) has no context. */
static struct export *visiting;

static int visit(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	const char *name = path + strlen(visiting->beside) + 1;

	(void)status;
	if (kind != FTW_F || place->level > 2)
		return 0;
	if (strcmp(name, "journal.jsonl") == 0)
		visiting->journal = true;
	else if (strcmp(name, "complete") != 0 && archive_name_is_plain(name))
		json_array_append_new(visiting->logs, json_string(name));
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that equal runs give equal archives. */
static struct error *find_logs(struct export *export)
{
	_cleanup_json_ json_t *sorted = json_array();
	_cleanup_free_ const char **names = NULL;
	size_t count;

	export->logs = json_array();
	visiting = export;
	if (nftw(export->beside, visit, 16, FTW_PHYS) < 0 && errno != ENOENT)
		return error_errno(errno, "cannot read %s", export->beside);
	count = json_array_size(export->logs);
	names = calloc(count + 1, sizeof(*names));
	if (!names)
		abort();
	for (size_t i = 0; i < count; i++)
		names[i] = json_string_value(json_array_get(export->logs, i));
	qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(sorted, json_string(names[i]));
	json_decref(export->logs);
	export->logs = take_ptr(sorted);
	return NULL;
}

static void find_manifest(json_t *image, const struct image_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *hash = list->items[i].hash;

		if (strcmp(hash, json_text(image, "hash")) != 0)
			continue;
		json_object_set_new(
			image, "bytes", json_integer((json_int_t)list->items[i].size_bytes));
		json_object_set_new(
			image, "manifest", json_sprintf("images/%s.json", list->items[i].hash));
		return;
	}
}

static struct error *find_images(struct export *export)
{
	_cleanup_(image_list_deinit) struct image_list list = {0};
	json_t *image;
	size_t i;

	export->images = json_deep_copy(json_object_get(export->record->json, "images"));
	if (!export->images)
		export->images = json_array();
	try_(image_list(&list));
	json_array_foreach (export->images, i, image)
		find_manifest(image, &list);
	return NULL;
}

/* ---- writing ---- */

static struct error *add_manifests(struct export *export)
{
	_cleanup_(image_list_deinit) struct image_list list = {0};
	const json_t *image;
	size_t i;

	try_(image_list(&list));
	json_array_foreach (export->images, i, image) {
		const char *name = json_text(image, "manifest");

		for (size_t k = 0; *name && k < list.count; k++) {
			if (strcmp(list.items[k].hash, json_text(image, "hash")) != 0)
				continue;
			try_(add_json(export, name, list.items[k].manifest));
			break;
		}
	}
	return NULL;
}

static struct error *add_readme(struct export *export)
{
	const char *slash = strrchr(export->file, '/');
	const struct artifact artifact = {
		.record = export->record,
		.archive = slash ? slash + 1 : export->file,
		.images = export->images,
		.logs = json_array_size(export->logs),
		.journal = export->journal,
	};
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct error *err;

	if (!out)
		return error_errno(errno, "cannot hold the README");
	err = artifact_readme(&artifact, out);
	if (fclose(out) != 0 && !err)
		err = error_errno(errno, "cannot hold the README");
	return err ? err : add(export, "README.md", text, size);
}

static struct error *add_sums(struct export *export)
{
	FILE *sums = take_ptr(export->sums);

	if (fclose(sums) != 0)
		return error_errno(errno, "cannot hold the checksums");
	return add(export, "SHA256SUMS", export->sums_text, export->sums_size);
}

static struct error *add_all(struct export *export)
{
	const json_t *name;
	size_t i;

	try_(add_readme(export));
	try_(add_file(export, "record.json", export->record->path));
	try_(add_manifests(export));
	if (export->journal) {
		_cleanup_free_ char *path = format_string("%s/journal.jsonl", export->beside);

		try_(add_file(export, "journal.jsonl", path));
	}
	json_array_foreach (export->logs, i, name) {
		_cleanup_free_ char *path =
			format_string("%s/%s", export->beside, json_string_value(name));

		try_(add_file(export, json_string_value(name), path));
	}
	return add_sums(export);
}

static struct error *open_record(struct export *export, const char *what, const char *results)
{
	_cleanup_free_ char *path = NULL;
	const char *started;
	struct tm tm = {0};

	try_(record_find(results, what, &path));
	try_(record_load(path, &export->record));
	export->id = json_text(export->record->json, "id");
	export->beside = format_string("%.*s%s",
		(int)(strrchr(path, '/') ? strrchr(path, '/') + 1 - path : 0), path, export->id);
	started = json_text(export->record->json, "started");
	if (strptime(started, "%Y-%m-%dT%H:%M:%SZ", &tm))
		export->when = timegm(&tm);
	return NULL;
}

static struct error *parse(int argc, char **argv, const char **results)
{
	try_(command_take_results(argc, argv, results));
	if (argc - optind < 1 || argc - optind > 2)
		return error_hint(
			error_new(ERROR_USAGE, "export wants a run, and may be given a file"),
			"fleetlab export latest");
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_(export_deinit) struct export export = {0};
	_cleanup_free_ char *fallback = fs_results_dir();
	const char *results = fallback;
	struct stat status;

	(void)exit_status;
	try_(parse(argc, argv, &results));
	try_(open_record(&export, argv[optind], results));
	export.file = argc - optind == 2 ? format_string("%s", argv[optind + 1])
					 : format_string("%s.tar.zst", export.id);
	if (export.record->altered)
		log_warning("this record was changed after it was written; fleetlab import will "
			    "refuse it");
	try_(find_logs(&export));
	try_(find_images(&export));
	export.sums = open_memstream(&export.sums_text, &export.sums_size);
	if (!export.sums)
		return error_errno(errno, "cannot hold the checksums");
	try_(archive_create(export.file, &export.writer));
	try_(add_all(&export));
	try_(archive_finish(export.writer));
	if (stat(export.file, &status) == 0)
		printf("%s: %.1f MB; README.md in it says how to examine each claim\n", export.file,
			(double)status.st_size / 1e6);
	return NULL;
}

const struct command command_export = {
	.name = "export",
	.arguments = "RUN [FILE]",
	.summary = "write all that is needed to examine a run's claims to an archive",
	.help = "RUN: an id, the beginning of one, latest, or a file. The archive has the\n"
		"record, its journal, the trials' logs, the manifests of the guest images, and\n"
		"a README.md with one command for each claim, its time and its disk.\n"
		"FILE ends in .tar.zst (the default: RUN.tar.zst) or .tar.gz.\n"
		"\n"
		"options:\n"
		"  --results DIR  where the records are\n"
		"\n"
		"examples:\n"
		"  fleetlab export latest\n"
		"  fleetlab export 20260131T201512Z-3f9a1c /tmp/claims.tar.gz\n",
	.run = run,
};
