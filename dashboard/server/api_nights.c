/* The nightly watch's records: see api.h. */
#include "dashboard/server/api.h"

#include "dashboard/server/nights.h"
#include "harness/base/fs.h"
#include "harness/record/samples.h"

#include <string.h>

/* Metrics that a person should look at. */
static json_t *notable(const json_t *night)
{
	json_t *list = json_array();
	json_t *metric;
	size_t i;

	json_array_foreach (json_object_get(night, "metrics"), i, metric) {
		const json_t *verdict = json_object_get(metric, "verdict");

		if (json_is_true(json_object_get(verdict, "alert")) ||
			strcmp(json_text(verdict, "state"), "suspect") == 0 ||
			strcmp(json_text(verdict, "state"), "confirmed") == 0 ||
			strcmp(json_text(verdict, "state"), "recovered") == 0)
			json_array_append(list, metric);
	}
	return list;
}

/* Each is a file that is read and parsed for the answer. */
enum { NIGHTS_AT_ONCE = 200 };

/* The watch's own memory is nobody else's affair. */
static void drop_memory(json_t *night)
{
	json_object_del(night, "memory");
	json_object_del(json_object_get(night, "drill"), "memory");
}

static void make_brief(json_t *night)
{
	json_object_set_new(night, "notable", notable(night));
	json_object_del(night, "metrics");
	json_object_del(json_object_get(night, "drill"), "metrics");
	json_object_del(json_object_get(night, "host"), "fields");
}

struct error *api_nights_get(struct ask *ask, struct answer **answer)
{
	int root = store_root(ask->store);
	_cleanup_json_ json_t *ids = NULL;
	struct index_page page;
	json_t *shown, *nights, *id;
	size_t i;

	try_(api_page(ask, NIGHTS_AT_ONCE, &page));
	ids = nights_list(root);
	shown = api_paged(ids, page, "nights");
	nights = json_object_get(shown, "nights");
	json_array_foreach (nights, i, id) {
		_cleanup_error_ struct error *why = NULL;
		json_t *night = night_load(root, json_string_value(id), &why);

		if (night) {
			drop_memory(night);
			make_brief(night);
		} else {
			night = json_pack("{s:O, s:s, s:s}", "id", id, "state", "damaged", "reason",
				error_message(why));
		}
		json_array_set_new(nights, i, night);
	}
	*answer = answer_json(shown, ANSWER_REVALIDATE);
	return NULL;
}

struct error *api_night_get(struct ask *ask, struct answer **answer)
{
	_cleanup_json_ json_t *ids = nights_list(store_root(ask->store));
	const char *id = ask->captured[0];
	_cleanup_error_ struct error *why = NULL;
	json_t *night;
	size_t i;
	const json_t *one;
	bool known = false;

	if (strcmp(id, "latest") == 0 && json_array_size(ids) > 0)
		id = json_string_value(json_array_get(ids, 0));
	json_array_foreach (ids, i, one)
		known = known || strcmp(json_string_value(one), id) == 0;
	if (!known)
		return api_not_found(ask, error_new(ERROR_USAGE, "there is no such night"));
	night = night_load(store_root(ask->store), id, &why);
	if (!night) {
		ask->status = MHD_HTTP_INTERNAL_SERVER_ERROR; /* whatever kind it is of */
		return take_ptr(why);
	}
	drop_memory(night);
	*answer = answer_json(night, ANSWER_REVALIDATE);
	return NULL;
}
