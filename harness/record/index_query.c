/* What the index is asked: see index.h. */
#include "harness/record/index_internal.h"

#include "harness/record/paper.h"
#include "harness/record/samples.h"

#include <limits.h>
#include <string.h>

/* What index_filter selects; the runs are called "runs". */
#define WHERE                                                                                      \
	" (:host IS NULL OR runs.host = (SELECT host FROM hosts WHERE hash = :host))"              \
	" AND (:profile IS NULL OR runs.profile = :profile)"                                       \
	" AND (:commit IS NULL OR runs.\"commit\" = :commit)"                                      \
	" AND (:mechanism IS NULL OR EXISTS (SELECT 1 FROM json_each(runs.mechanisms) AS name"     \
	" WHERE name.value = :mechanism))"                                                         \
	" AND (:since_s IS NULL OR runs.started_s >= :since_s)"                                    \
	" AND (:until_s IS NULL OR runs.started_s < :until_s)"

#define RUN_COLUMNS                                                                                \
	"runs.id AS id, runs.path AS path, runs.place AS place, runs.started AS started,"          \
	" runs.started_s AS started_s, runs.finished AS finished, runs.state AS state,"            \
	" runs.complete AS \"?complete\", runs.synthetic AS \"?synthetic\","                       \
	" runs.altered AS \"?altered\", runs.notes AS \"{notes\", runs.version AS version,"        \
	" runs.\"commit\" AS \"commit\", runs.profile AS profile, runs.seed AS seed,"              \
	" runs.mechanisms AS \"{mechanisms\", runs.command AS \"{command\","                       \
	" runs.images AS \"{images\", runs.planned AS planned, runs.ok AS ok,"                     \
	" runs.failed AS failed, runs.invalid AS invalid, runs.skipped AS skipped,"                \
	" runs.wall_s AS wall_s, runs.disk_bytes AS disk_bytes, hosts.hash AS host,"               \
	" f.hash AS fingerprint, f.kernel AS kernel, f.microcode AS microcode, f.qemu AS qemu,"    \
	" f.libvirt AS libvirt, f.cpu AS cpu, f.accelerator AS accelerator"

#define RUN_TABLES                                                                                 \
	" FROM runs JOIN hosts ON hosts.host = runs.host"                                          \
	" JOIN fingerprints AS f ON f.fingerprint = runs.fingerprint"

static void set_string(json_t *values, const char *key, const char *text)
{
	if (text)
		json_object_set_new(values, key, json_string(text));
}

static json_t *filter_values(const struct index_filter *filter, struct index_page page)
{
	size_t limit = page.limit == 0 ? INDEX_PAGE : page.limit;
	size_t offset = page.offset > LONG_MAX ? LONG_MAX : page.offset;
	json_t *values = json_pack("{s:I, s:I}", "offset", (json_int_t)offset, "limit",
		(json_int_t)(limit > INDEX_PAGE_MAX ? INDEX_PAGE_MAX : limit));

	if (!filter)
		return values;
	set_string(values, "host", filter->host);
	set_string(values, "mechanism", filter->mechanism);
	set_string(values, "profile", filter->profile);
	set_string(values, "commit", filter->commit);
	if (filter->since_s)
		json_object_set_new(values, "since_s", json_integer(filter->since_s));
	if (filter->until_s)
		json_object_set_new(values, "until_s", json_integer(filter->until_s));
	return values;
}

/* {"total", "offset", NAME: rows} */
static struct error *paged(struct index *index, const char *count_sql, const char *rows_sql,
	const json_t *values, const char *name, json_t **answer)
{
	_cleanup_json_ json_t *total = NULL;
	_cleanup_json_ json_t *rows = NULL;

	try_(index_query_one(index, count_sql, values, &total));
	try_(index_query(index, rows_sql, values, &rows));
	*answer = json_pack("{s:O, s:O, s:O}", "total", json_object_get(total, "total"), "offset",
		json_object_get(values, "offset"), name, rows);
	return NULL;
}

struct error *index_generation(struct index *index, int64_t *generation)
{
	_cleanup_json_ json_t *row = NULL;

	try_(index_query_one(index, "SELECT value FROM meta WHERE key = 'generation'", NULL, &row));
	*generation = json_integer_value(json_object_get(row, "value"));
	return NULL;
}

struct error *index_totals(struct index *index, json_t **totals)
{
	return index_query_one(index,
		"SELECT count(*) AS runs, coalesce(sum(complete), 0) AS complete,"
		" (SELECT count(*) FROM files WHERE status <> 'ok') AS refused,"
		" min(started) AS first, max(started) AS last,"
		" coalesce(max(synthetic), 0) AS \"?synthetic\" FROM runs",
		NULL, totals);
}

struct error *index_runs(struct index *index, const struct index_filter *filter,
	struct index_page page, json_t **runs)
{
	_cleanup_json_ json_t *values = filter_values(filter, page);

	return paged(index, "SELECT count(*) AS total FROM runs WHERE" WHERE,
		"SELECT " RUN_COLUMNS RUN_TABLES " WHERE" WHERE
		" ORDER BY runs.started_s DESC, runs.run DESC LIMIT :limit OFFSET :offset",
		values, "runs", runs);
}

struct error *index_run(struct index *index, const char *id, json_t **run)
{
	_cleanup_json_ json_t *values = json_object();
	_cleanup_json_ json_t *outcomes = NULL;
	_cleanup_json_ json_t *found = NULL;

	set_string(values, "id", id);
	try_(index_query_one(
		index, "SELECT " RUN_COLUMNS RUN_TABLES " WHERE runs.id = :id", values, &found));
	if (found) {
		try_(index_query(index,
			"SELECT mechanism, experiment, variant, outcome, trials FROM outcomes"
			" WHERE run = (SELECT run FROM runs WHERE id = :id)",
			values, &outcomes));
		json_object_set(found, "outcomes", outcomes);
	}
	*run = take_ptr(found);
	return NULL;
}

/* The ids of a paper's claims, as JSON text; caller frees. */
static char *claims_of(const json_t *paper)
{
	_cleanup_json_ json_t *ids = json_array();
	const json_t *claim;
	size_t i;

	json_array_foreach (json_object_get(paper, "claims"), i, claim)
		json_array_append(ids, json_object_get(claim, "id"));
	return json_dumps(ids, JSON_COMPACT);
}

/* The join is crossed so that it begins with the few runs, however many verdicts there are. */
struct error *index_fullest_run(struct index *index, const char *paper_id, json_t **run)
{
	const struct index_page among = {.limit = INDEX_FULLEST_AMONG};
	_cleanup_json_ json_t *values = NULL;
	_cleanup_free_ char *claims = NULL;
	struct index_filter filter = {0};
	const json_t *paper = NULL;

	try_(paper_load(paper_id, &paper));
	filter.mechanism = json_text(paper, "mechanism");
	values = filter_values(&filter, among);
	claims = claims_of(paper);
	set_string(values, "claims", claims);
	return index_query_one(index,
		"SELECT latest.id AS run, count(*) AS graded"
		" FROM (SELECT id, run, started_s FROM runs WHERE" WHERE
		" ORDER BY started_s DESC, run DESC LIMIT :limit) AS latest"
		" CROSS JOIN claims AS c ON c.started_s = latest.started_s AND c.run = latest.run"
		" WHERE c.claim IN (SELECT value FROM json_each(:claims))"
		" AND c.verdict <> 'not-run'"
		" GROUP BY latest.run ORDER BY graded DESC, latest.started_s DESC, latest.run DESC"
		" LIMIT 1",
		values, run);
}

/* The two latest verdicts of a claim. */
static struct error *overview_of(
	struct index *index, const char *claim, const char *paper, const char *host, json_t *answer)
{
	_cleanup_json_ json_t *values = json_object();
	_cleanup_json_ json_t *rows = NULL;
	_cleanup_json_ json_t *row = json_pack("{s:s, s:s}", "claim", claim, "paper", paper);
	json_t *latest, *before;

	set_string(values, "claim", claim);
	set_string(values, "host", host);
	try_(index_query(index,
		"SELECT runs.id AS run, runs.started AS started, c.verdict AS verdict,"
		" reasons.value AS reason, c.kind AS kind, c.measured AS measured, c.low AS low,"
		" c.high AS high, c.unit AS unit, c.published AS published,"
		" c.published_low AS published_low, c.published_high AS published_high, "
		"c.comparable AS \"?comparable\","
		" hosts.hash AS host FROM claims AS c JOIN runs ON runs.run = c.run"
		" JOIN hosts ON hosts.host = runs.host"
		" LEFT JOIN texts AS reasons ON reasons.text = c.reason"
		" WHERE c.claim = :claim AND c.verdict <> 'not-run'"
		" AND (:host IS NULL OR hosts.hash = :host)"
		" ORDER BY c.started_s DESC, c.run DESC LIMIT 2",
		values, &rows));
	latest = json_array_get(rows, 0);
	before = json_array_get(rows, 1);
	if (latest)
		json_object_set(row, "latest", latest);
	if (before)
		json_object_set(row, "before", before);
	json_object_set_new(row, "changed",
		json_boolean(before && strcmp(json_text(latest, "verdict"),
					       json_text(before, "verdict")) != 0));
	json_array_append(answer, row);
	return NULL;
}

struct error *index_overview(struct index *index, const char *host, json_t **claims)
{
	_cleanup_json_ json_t *answer = json_array();

	for (size_t i = 0; paper_id_at(i); i++) {
		const json_t *paper = NULL;
		json_t *claim;
		size_t c;

		try_(paper_load(paper_id_at(i), &paper));
		json_array_foreach (json_object_get(paper, "claims"), c, claim)
			try_(overview_of(
				index, json_text(claim, "id"), paper_id_at(i), host, answer));
	}
	*claims = take_ptr(answer);
	return NULL;
}

struct error *index_claim_history(struct index *index, const char *claim,
	const struct index_filter *filter, struct index_page page, json_t **history)
{
	_cleanup_json_ json_t *values = filter_values(filter, page);

	set_string(values, "claim", claim);
	return paged(index,
		"SELECT count(*) AS total FROM claims AS c JOIN runs ON runs.run = c.run"
		" WHERE c.claim = :claim AND" WHERE,
		"SELECT runs.id AS run, runs.started AS started, c.started_s AS started_s,"
		" c.verdict AS verdict, reasons.value AS reason, c.kind AS kind,"
		" c.measured AS measured, c.low AS low, c.high AS high, c.unit AS unit,"
		" c.pairs AS pairs, c.published AS published, c.published_low AS published_low,"
		" c.published_high AS published_high, c.comparable AS \"?comparable\","
		" differences.value AS comparable_reason, evidence.value AS evidence,"
		" c.wall_s AS wall_s, c.disk_bytes AS disk_bytes, hosts.hash AS host,"
		" f.hash AS fingerprint, runs.\"commit\" AS \"commit\", runs.profile AS profile"
		" FROM claims AS c JOIN runs ON runs.run = c.run"
		" JOIN hosts ON hosts.host = runs.host"
		" JOIN fingerprints AS f ON f.fingerprint = runs.fingerprint"
		" LEFT JOIN texts AS reasons ON reasons.text = c.reason"
		" LEFT JOIN texts AS differences ON differences.text = c.comparable_reason"
		" LEFT JOIN texts AS evidence ON evidence.text = c.evidence"
		" WHERE c.claim = :claim AND" WHERE
		" ORDER BY c.started_s DESC, c.run DESC LIMIT :limit OFFSET :offset",
		values, "verdicts", history);
}

struct error *index_series(struct index *index, const char *mechanism, json_t **series)
{
	_cleanup_json_ json_t *values = json_object();

	set_string(values, "mechanism", mechanism);
	return index_query(index,
		"SELECT mechanism, experiment, variant, metric, at, unit FROM series"
		" WHERE (:mechanism IS NULL OR mechanism = :mechanism)"
		" AND EXISTS (SELECT 1 FROM metrics WHERE metrics.series = series.series)"
		" ORDER BY mechanism, experiment, variant, metric, at, unit",
		values, series);
}

/* The series with that name; NULL when there is none. */
static struct error *find_series(
	struct index *index, const struct index_series_name *name, json_t **series)
{
	_cleanup_json_ json_t *values = json_object();

	set_string(values, "mechanism", name->mechanism);
	set_string(values, "experiment", name->experiment);
	set_string(values, "variant", name->variant);
	set_string(values, "metric", name->metric);
	set_string(values, "at", name->at ? name->at : "");
	set_string(values, "unit", name->unit);
	return index_query_one(index,
		"SELECT series, unit FROM series WHERE mechanism = :mechanism"
		" AND experiment = :experiment AND variant = :variant AND metric = :metric"
		" AND at = :at AND (:unit IS NULL OR unit = :unit) LIMIT 1",
		values, series);
}

struct error *index_trend(struct index *index, const struct index_series_name *name,
	const struct index_filter *filter, struct index_page page, json_t **trend)
{
	_cleanup_json_ json_t *values = filter_values(filter, page);
	_cleanup_json_ json_t *series = NULL;

	try_(find_series(index, name, &series));
	json_object_set(values, "series", json_object_get(series, "series"));
	try_(paged(index,
		"SELECT count(*) AS total FROM metrics AS m JOIN runs ON runs.run = m.run"
		" WHERE m.series = :series AND" WHERE,
		"SELECT runs.id AS run, m.started_s AS started_s, m.median AS median, m.low AS low,"
		" m.high AS high, m.n AS n, m.settings AS settings, runs.profile AS profile,"
		" runs.\"commit\" AS \"commit\", hosts.hash AS host, f.hash AS fingerprint,"
		" f.kernel AS kernel, f.microcode AS microcode, f.qemu AS qemu"
		" FROM metrics AS m JOIN runs ON runs.run = m.run"
		" JOIN hosts ON hosts.host = runs.host"
		" JOIN fingerprints AS f ON f.fingerprint = runs.fingerprint"
		" WHERE m.series = :series AND" WHERE
		" ORDER BY m.started_s, m.run LIMIT :limit OFFSET :offset",
		values, "points", trend));
	json_object_set(*trend, "unit", json_object_get(series, "unit"));
	return NULL;
}

static struct error *fingerprints_of(struct index *index, const char *host, json_t **fingerprints)
{
	_cleanup_json_ json_t *values = json_object();

	set_string(values, "host", host);
	return index_query(index,
		"SELECT f.hash AS fingerprint, f.fields AS \"{fields\", f.kernel AS kernel,"
		" f.microcode AS microcode, f.cpu AS cpu, f.qemu AS qemu, f.libvirt AS libvirt,"
		" f.accelerator AS accelerator, f.accelerator_reason AS accelerator_reason,"
		" f.distribution AS distribution, count(*) AS runs, min(runs.started) AS first,"
		" max(runs.started) AS last FROM runs"
		" JOIN fingerprints AS f ON f.fingerprint = runs.fingerprint"
		" WHERE runs.host = (SELECT host FROM hosts WHERE hash = :host)"
		" GROUP BY runs.fingerprint ORDER BY min(runs.started_s)",
		values, fingerprints);
}

struct error *index_hosts(struct index *index, json_t **hosts)
{
	_cleanup_json_ json_t *rows = NULL;
	json_t *row;
	size_t i;

	try_(index_query(index,
		"SELECT hosts.hash AS host, hosts.fields AS \"{fields\", count(*) AS runs,"
		" min(runs.started) AS first, max(runs.started) AS last FROM runs"
		" JOIN hosts ON hosts.host = runs.host GROUP BY runs.host"
		" ORDER BY max(runs.started_s) DESC",
		NULL, &rows));
	json_array_foreach (rows, i, row) {
		json_t *fingerprints;

		try_(fingerprints_of(index, json_text(row, "host"), &fingerprints));
		json_object_set_new(row, "fingerprints", fingerprints);
	}
	*hosts = take_ptr(rows);
	return NULL;
}

struct error *index_refused(struct index *index, struct index_page page, json_t **files)
{
	_cleanup_json_ json_t *values = filter_values(NULL, page);

	return paged(index, "SELECT count(*) AS total FROM files WHERE status <> 'ok'",
		"SELECT path, status, reason, bytes FROM files WHERE status <> 'ok'"
		" ORDER BY path LIMIT :limit OFFSET :offset",
		values, "files", files);
}
