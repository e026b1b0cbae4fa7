/* What is known of running fleets: see fleets.h. */
#include "dashboard/server/fleets.h"

#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/cmd/fleet_ask.h"

#include <glib.h>
#include <pthread.h>
#include <string.h>

/* A keeper that moves its guests answers late; a page asks again. */
#define KEEPERS_MS 1500
/* A page asks every second. */
#define FRESH_S 3.0

struct fleet_entry {
	json_t *status; /* that its keeper told last; NULL: it never answered */
	int64_t at_ns;	/* when that was */
	char *trouble;	/* of the last time it was asked; NULL: it answered */
	bool heard;	/* of, in this round */
};

struct fleets {
	pthread_mutex_t asking; /* whoever waits for keepers has it; nobody waits for it */
	pthread_mutex_t lock;	/* of the entries */
	GHashTable *entries;	/* by name */
};

static void destroy_entry(void *data)
{
	struct fleet_entry *entry = data;

	json_decref(entry->status);
	free(entry->trouble);
	free(entry);
}

struct fleets *fleets_create(void)
{
	struct fleets *fleets = calloc(1, sizeof(*fleets));

	if (!fleets)
		abort();
	pthread_mutex_init(&fleets->asking, NULL);
	pthread_mutex_init(&fleets->lock, NULL);
	fleets->entries = g_hash_table_new_full(g_str_hash, g_str_equal, free, destroy_entry);
	return fleets;
}

void fleets_destroy(struct fleets *fleets)
{
	if (!fleets)
		return;
	g_hash_table_destroy(fleets->entries);
	pthread_mutex_destroy(&fleets->asking);
	pthread_mutex_destroy(&fleets->lock);
	free(fleets);
}

/* ---- asking ---- */

static struct fleet_entry *entry_of(struct fleets *fleets, const char *name)
{
	struct fleet_entry *entry = g_hash_table_lookup(fleets->entries, name);

	if (entry)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		abort();
	g_hash_table_insert(fleets->entries, format_string("%s", name), entry);
	return entry;
}

static void take(const char *name, json_t *status, const struct error *why, void *context)
{
	struct fleets *fleets = context;

	pthread_mutex_lock(&fleets->lock);
	struct fleet_entry *entry = entry_of(fleets, name);

	entry->heard = true;
	free(entry->trouble);
	entry->trouble = why ? format_string("%s", error_message(why)) : NULL;
	if (status) {
		json_decref(entry->status);
		entry->status = json_incref(status);
		entry->at_ns = clock_now_ns();
	}
	pthread_mutex_unlock(&fleets->lock);
}

static gboolean has_ended(void *name, void *data, void *context)
{
	struct fleet_entry *entry = data;
	bool heard = entry->heard;

	(void)name;
	(void)context;
	entry->heard = false;
	return !heard;
}

/* Asks all keepers; false: another thread is about it. */
static bool refresh(struct fleets *fleets)
{
	if (pthread_mutex_trylock(&fleets->asking) != 0)
		return false;
	fleet_ask_all(deadline_after_ms(KEEPERS_MS), take, fleets);
	pthread_mutex_lock(&fleets->lock);
	g_hash_table_foreach_remove(fleets->entries, has_ended, NULL);
	pthread_mutex_unlock(&fleets->lock);
	pthread_mutex_unlock(&fleets->asking);
	return true;
}

/* ---- telling ---- */

static json_t *row_of(const char *name, const struct fleet_entry *entry)
{
	double age_s = clock_seconds(entry->at_ns, clock_now_ns());
	json_t *row = entry->status ? json_copy(entry->status) : json_object();

	json_object_set_new(row, "name", json_string(name));
	if (entry->trouble)
		json_object_set_new(row, "trouble", json_string(entry->trouble));
	if (entry->status && (entry->trouble || age_s > FRESH_S)) {
		json_object_set_new(row, "stale", json_true());
		json_object_set_new(row, "age_s", json_real(age_s));
	}
	return row;
}

json_t *fleets_now(struct fleets *fleets, bool *under_way)
{
	json_t *rows = json_array();

	*under_way = !refresh(fleets);
	pthread_mutex_lock(&fleets->lock);
	GList *names = g_list_sort(g_hash_table_get_keys(fleets->entries), (GCompareFunc)strcmp);

	for (const GList *at = names; at; at = at->next)
		json_array_append_new(
			rows, row_of(at->data, g_hash_table_lookup(fleets->entries, at->data)));
	g_list_free(names);
	pthread_mutex_unlock(&fleets->lock);
	return rows;
}
