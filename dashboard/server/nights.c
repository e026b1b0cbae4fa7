/* Records of nights: see nights.h. They are hostile input: bounded, and checked when read. */
#include "dashboard/server/nights.h"

#include "dashboard/server/request.h"
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/record/schema.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

/* That many files are listed; a hundred years. */
#define NIGHTS_MAX 40000
/* Nights whose A/A figures make the band: as many as the watch looks at together. */
#define NOISE_NIGHTS 60

DEFINE_CLEANUP(dir, DIR *, closedir)

static int newest_first(const void *a, const void *b)
{
	return strcmp(*(char *const *)b, *(char *const *)a);
}

/* "ID" of "ID.json"; NULL for other names. Caller frees. */
static char *id_of(const char *name)
{
	size_t length = strlen(name);
	char *id;

	if (length <= 5 || strcmp(name + length - 5, ".json") != 0)
		return NULL;
	id = format_string("%.*s", (int)length - 5, name);
	if (request_is_name(id))
		return id;
	free(id);
	return NULL;
}

/* NULL when there is none. */
static DIR *open_nights(int root)
{
	int fd = openat(root, "nightly", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 ? fdopendir(fd) : NULL;
}

json_t *nights_list(int root)
{
	_cleanup_(cleanup_dir) DIR *dir = open_nights(root);
	GPtrArray *ids = g_ptr_array_new_with_free_func(free);
	json_t *list = json_array();
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) && ids->len < NIGHTS_MAX) {
		char *id = id_of(entry->d_name);

		if (id)
			g_ptr_array_add(ids, id);
	}
	if (ids->len)
		g_ptr_array_sort(ids, newest_first);
	for (guint i = 0; i < ids->len; i++)
		json_array_append_new(list, json_string(ids->pdata[i]));
	g_ptr_array_free(ids, TRUE);
	return list;
}

uint64_t nights_stamp(int root)
{
	_cleanup_(cleanup_dir) DIR *dir = open_nights(root);
	const struct dirent *entry;
	uint64_t stamp = 0;
	struct stat status;

	for (size_t i = 0; dir && i < NIGHTS_MAX && (entry = readdir(dir)); i++) {
		if (fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		const uint64_t fields[] = {XXH64(entry->d_name, strlen(entry->d_name), 0),
			status.st_ino, (uint64_t)status.st_size, (uint64_t)status.st_mtim.tv_sec,
			(uint64_t)status.st_mtim.tv_nsec};

		if (entry->d_name[0] != '.')
			stamp += XXH64(fields, sizeof(fields), 0); /* whatever their order */
	}
	return stamp;
}

json_t *night_load(int root, const char *id, struct error **why)
{
	_cleanup_free_ char *path = format_string("nightly/%s.json", id);
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *night = NULL;
	json_error_t syntax;
	size_t size;

	*why = fs_read_beneath(root, path, NIGHT_MAX_BYTES, &text, &size, NULL);
	if (*why)
		return NULL;
	night = json_loadb(text, size, JSON_REJECT_DUPLICATES, &syntax);
	if (!night)
		*why = error_new(ERROR_SETUP, "%s: line %d: %s", path, syntax.line, syntax.text);
	else if ((*why = schema_check("night", night)))
		*why = error_prefix(*why, "%s", path);
	else if (strcmp(json_text(night, "id"), id) != 0)
		*why = error_new(ERROR_SETUP, "%s is the record of another night", path);
	return *why ? NULL : take_ptr(night);
}

/* ---- the A/A noise ---- */

static bool is_series(const json_t *metric, const json_t *series)
{
	static const char *const keys[] = {"mechanism", "experiment", "variant", "metric"};
	const json_t *at = json_object_get(metric, "at"), *wanted = json_object_get(series, "at");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(json_text(metric, keys[i]), json_text(series, keys[i])) != 0)
			return false;
	}
	return json_object_size(at) == json_object_size(wanted) && json_has_part(at, wanted);
}

/* The A/A figure of the series in a night; NaN when it has none. */
static double aa_of(int root, const char *id, const json_t *series)
{
	struct error *why;
	_cleanup_json_ json_t *night = night_load(root, id, &why);
	const json_t *metric;
	size_t i;

	error_destroy(why);
	json_array_foreach (json_object_get(night, "metrics"), i, metric) {
		double aa = json_number(metric, "aa", NAN);

		if (is_series(metric, series) && aa > 0 && isfinite(aa))
			return aa;
	}
	return NAN;
}

json_t *nights_noise(int root, const json_t *series)
{
	_cleanup_json_ json_t *ids = nights_list(root);
	double figures[NOISE_NIGHTS];
	size_t count = 0;

	for (size_t i = 0; i < NOISE_NIGHTS && i < json_array_size(ids); i++) {
		double aa = aa_of(root, json_string_value(json_array_get(ids, i)), series);

		if (isfinite(aa))
			figures[count++] = aa;
	}
	if (count < NIGHTS_OF_NOISE)
		return NULL;
	gsl_sort(figures, 1, count);
	return json_pack("{s:f, s:f, s:I}", "ratio_low",
		gsl_stats_quantile_from_sorted_data(figures, 1, count, 0.05), "ratio_high",
		gsl_stats_quantile_from_sorted_data(figures, 1, count, 0.95), "nights",
		(json_int_t)count);
}
