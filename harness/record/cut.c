/* See cut.h. Must never cut a character in two. */
#include "harness/record/cut.h"

#include "harness/base/cleanup.h"

#include <stdbool.h>
#include <string.h>

#define ELLIPSIS "…"

/* Of one item of a list. */
#define ITEM_BYTES 256

json_t *cut_text(const json_t *text, size_t most)
{
	const char *bytes = json_string_value(text);
	size_t end = most - strlen(ELLIPSIS);

	if (!bytes)
		return NULL;
	if (json_string_length(text) <= most)
		return json_incref((json_t *)text);
	while (end > 0 && ((unsigned char)bytes[end] & 0xc0) == 0x80)
		end--;
	return json_sprintf("%.*s" ELLIPSIS, (int)end, bytes);
}

void cut_members(json_t *object, size_t most)
{
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		if (json_string_length(value) > most)
			json_object_set_new(object, name, cut_text(value, most));
	}
}

static json_t *cut_item(const json_t *item, const char *const *members)
{
	json_t *kept;

	if (!members)
		return cut_text(item, ITEM_BYTES);
	kept = json_object();
	for (; *members; members++)
		json_object_set_new(
			kept, *members, cut_text(json_object_get(item, *members), ITEM_BYTES));
	return kept;
}

json_t *cut_list(const json_t *list, const char *const *members, size_t most)
{
	json_t *shown = json_array(), *item;
	size_t i, used = 0;

	json_array_foreach (list, i, item) {
		_cleanup_json_ json_t *kept = cut_item(item, members);

		if (!kept)
			continue;
		used += 1 + json_dumpb(kept, NULL, 0,
				    JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
		if (used > most) {
			json_array_append_new(shown, json_string(ELLIPSIS));
			break;
		}
		json_array_append(shown, kept);
	}
	return shown;
}
