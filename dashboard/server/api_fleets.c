/* Running fleets, as their keepers tell: see api.h. */
#include "dashboard/server/api.h"

#include "harness/record/samples.h"

#include <string.h>

/* One row of the list: sums over the guests. */
static json_t *summary(const json_t *fleet)
{
	static const char *const fields[] = {
		"image", "accelerator", "movable", "stale", "age_s", "trouble"};
	const json_t *guests = json_object_get(fleet, "guests"), *guest;
	json_int_t alive = 0, pss = 0;
	json_t *row = json_pack("{s:O}", "name", json_object_get(fleet, "name"));
	size_t i;

	json_array_foreach (guests, i, guest) {
		alive += json_is_true(json_object_get(guest, "alive"));
		pss += json_integer_value(json_object_get(guest, "pss_bytes"));
	}
	if (guests)
		json_object_update_new(row,
			json_pack("{s:I, s:I, s:I}", "guests", (json_int_t)json_array_size(guests),
				"alive", alive, "pss_bytes", pss));
	for (size_t f = 0; f < ARRAY_SIZE(fields); f++)
		json_object_set(row, fields[f], json_object_get(fleet, fields[f]));
	return row;
}

static struct error *asked_just_now(void)
{
	return error_hint(
		error_new(ERROR_TIMEOUT, "the fleets are being asked just now"), "ask again");
}

struct error *api_fleets_get(struct ask *ask, struct answer **answer)
{
	bool under_way;
	_cleanup_json_ json_t *fleets = fleets_now(ask->fleets, &under_way);
	json_t *rows, *fleet;
	size_t i;

	if (under_way && json_array_size(fleets) == 0)
		return asked_just_now();
	rows = json_array();
	json_array_foreach (fleets, i, fleet)
		json_array_append_new(rows, summary(fleet));
	*answer = answer_json(json_pack("{s:o}", "fleets", rows), ANSWER_REVALIDATE);
	return NULL;
}

struct error *api_fleet_get(struct ask *ask, struct answer **answer)
{
	bool under_way;
	_cleanup_json_ json_t *fleets = fleets_now(ask->fleets, &under_way);
	json_t *fleet;
	size_t i;

	json_array_foreach (fleets, i, fleet) {
		if (strcmp(json_text(fleet, "name"), ask->captured[0]) != 0)
			continue;
		if (!json_object_get(fleet, "guests"))
			return error_new(ERROR_TIMEOUT, "fleet '%s': %s", ask->captured[0],
				json_text(fleet, "trouble"));
		*answer = answer_json(json_incref(fleet), ANSWER_REVALIDATE);
		return NULL;
	}
	if (under_way)
		return asked_just_now();
	return api_not_found(ask,
		error_hint(error_new(ERROR_USAGE, "no fleet '%s' is running", ask->captured[0]),
			"fleetlab fleet list"));
}
