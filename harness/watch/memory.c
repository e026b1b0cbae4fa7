/* Keeping the watch's memory: see memory.h. */
#include "harness/watch/memory.h"

#include "harness/base/cleanup.h"

#include <math.h>

static json_t *save_left_out(const struct watch_memory *memory)
{
	json_t *list = json_array();

	for (size_t i = 0; i < memory->left_out_count; i++)
		json_array_append_new(
			list, json_pack("{s:I, s:I}", "from", (json_int_t)memory->left_out[i].from,
				      "until", (json_int_t)memory->left_out[i].until));
	return list;
}

json_t *watch_memory_save(const struct watch_memory *memory)
{
	json_t *saved = json_object();

	if (memory->level_night)
		json_object_set_new(saved, "level_night", json_integer(memory->level_night));
	if (memory->left_out_count)
		json_object_set_new(saved, "left_out", save_left_out(memory));
	if (memory->changed)
		json_object_set_new(saved, "changed",
			json_pack("{s:I, s:f, s:f, s:f, s:f}", "night",
				(json_int_t)memory->changed_night, "before", memory->before,
				"after", memory->after, "usual_low", memory->usual.low,
				"usual_high", memory->usual.high));
	if (memory->pending)
		json_object_set_new(saved, "pending",
			json_pack("{s:I, s:I, s:I, s:b}", "nights", (json_int_t)memory->pending,
				"first", (json_int_t)memory->pending_night, "last",
				(json_int_t)memory->pending_last, "up", (int)memory->pending_up));
	if (memory->dismissed)
		json_object_set_new(
			saved, "dismissed_night", json_integer(memory->dismissed_night));
	return saved;
}

static bool positive(const json_t *object, const char *key, double *value)
{
	*value = json_number_value(json_object_get(object, key));
	return isfinite(*value) && *value > 0;
}

static bool load_night(const json_t *object, const char *key, int64_t *night)
{
	*night = json_integer_value(json_object_get(object, key));
	return json_is_integer(json_object_get(object, key));
}

static bool load_changed(const json_t *changed, struct watch_memory *memory)
{
	memory->usual.level = 0.9;
	return load_night(changed, "night", &memory->changed_night) &&
	       positive(changed, "before", &memory->before) &&
	       positive(changed, "after", &memory->after) &&
	       positive(changed, "usual_low", &memory->usual.low) &&
	       positive(changed, "usual_high", &memory->usual.high) &&
	       memory->usual.low <= memory->usual.high;
}

static bool load_left_out(const json_t *list, struct watch_memory *memory)
{
	const json_t *one;
	size_t i;

	if (json_array_size(list) == 0 || json_array_size(list) > WATCH_LEFT_OUT)
		return false;
	json_array_foreach (list, i, one) {
		struct watch_nights *nights = &memory->left_out[i];

		if (!load_night(one, "from", &nights->from) ||
			!load_night(one, "until", &nights->until) || nights->from > nights->until ||
			(i && nights->from <= nights[-1].from))
			return false;
	}
	memory->left_out_count = i;
	return true;
}

static bool load_pending(const json_t *pending, struct watch_memory *memory)
{
	json_int_t nights = json_integer_value(json_object_get(pending, "nights"));

	memory->pending = nights > 0 ? (size_t)nights : 0;
	memory->pending_up = json_is_true(json_object_get(pending, "up"));
	return nights > 0 && load_night(pending, "first", &memory->pending_night) &&
	       load_night(pending, "last", &memory->pending_last) &&
	       memory->pending_night <= memory->pending_last;
}

static bool load(const json_t *saved, struct watch_memory *memory)
{
	const json_t *changed = json_object_get(saved, "changed");
	const json_t *pending = json_object_get(saved, "pending");
	const json_t *left_out = json_object_get(saved, "left_out");

	if (!json_is_object(saved) || (changed && !load_changed(changed, memory)) ||
		(pending && !load_pending(pending, memory)) ||
		(left_out && !load_left_out(left_out, memory)) ||
		(json_object_get(saved, "level_night") &&
			!load_night(saved, "level_night", &memory->level_night)))
		return false;
	memory->changed = changed;
	memory->dismissed = json_object_get(saved, "dismissed_night");
	return !memory->dismissed || load_night(saved, "dismissed_night", &memory->dismissed_night);
}

bool watch_memory_load(const json_t *saved, struct watch_memory *memory)
{
	struct watch_memory loaded = {0};
	bool fine = load(saved, &loaded);

	*memory = fine ? loaded : (struct watch_memory){0};
	return fine;
}
