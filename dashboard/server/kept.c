/* Answers that are kept: see kept.h. */
#include "dashboard/server/kept.h"

#include "harness/base/fs.h"

#include <glib.h>
#include <pthread.h>

struct entry {
	char *target;
	struct answer *answer;
	size_t bytes;
};

struct kept {
	pthread_mutex_t lock;
	size_t most_bytes, bytes;
	int64_t generation; /* of all of them */
	GHashTable *places; /* GList of `entries`, by target */
	GQueue entries;	    /* the last used first */
};

static void drop(struct kept *kept, GList *place)
{
	struct entry *entry = place->data;

	g_hash_table_remove(kept->places, entry->target);
	g_queue_delete_link(&kept->entries, place);
	kept->bytes -= entry->bytes;
	answer_unref(entry->answer);
	free(entry->target);
	free(entry);
}

static void drop_all(struct kept *kept)
{
	while (kept->entries.tail)
		drop(kept, kept->entries.tail);
}

struct kept *kept_create(size_t most_bytes)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		abort();
	kept->most_bytes = most_bytes;
	kept->places = g_hash_table_new(g_str_hash, g_str_equal);
	g_queue_init(&kept->entries);
	pthread_mutex_init(&kept->lock, NULL);
	return kept;
}

void kept_destroy(struct kept *kept)
{
	if (!kept)
		return;
	drop_all(kept);
	g_hash_table_destroy(kept->places);
	pthread_mutex_destroy(&kept->lock);
	free(kept);
}

struct answer *kept_find(struct kept *kept, const char *target, int64_t generation)
{
	struct answer *answer = NULL;

	pthread_mutex_lock(&kept->lock);
	GList *place =
		kept->generation == generation ? g_hash_table_lookup(kept->places, target) : NULL;

	if (place) {
		g_queue_unlink(&kept->entries, place);
		g_queue_push_head_link(&kept->entries, place);
		answer = answer_ref(((struct entry *)place->data)->answer);
	}
	pthread_mutex_unlock(&kept->lock);
	return answer;
}

void kept_put(struct kept *kept, const char *target, int64_t generation, struct answer *answer)
{
	struct entry *entry;
	/* the compressed form comes later, and is not larger */
	size_t bytes = 2 * answer_size(answer) + sizeof(*entry);

	pthread_mutex_lock(&kept->lock);
	if (generation > kept->generation) {
		drop_all(kept);
		kept->generation = generation;
	}
	if (generation == kept->generation && bytes <= kept->most_bytes &&
		!g_hash_table_lookup(kept->places, target)) {
		while (kept->bytes + bytes > kept->most_bytes)
			drop(kept, kept->entries.tail);
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			abort();
		*entry = (struct entry){format_string("%s", target), answer_ref(answer), bytes};
		g_queue_push_head(&kept->entries, entry);
		g_hash_table_insert(kept->places, entry->target, kept->entries.head);
		kept->bytes += bytes;
	}
	pthread_mutex_unlock(&kept->lock);
}
