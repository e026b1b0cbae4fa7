/* Running fleets, as their keepers tell: see api.h. */
#include "dashboard/server/api.h"

#include "harness/cmd/fleet_control.h"
#include "harness/record/samples.h"

#include <string.h>
#include <unistd.h>

/* A keeper that moves its guests answers late; a page asks again. */
#define KEEPER_MS 4000

static struct error *status_of(const char *name, json_t **status)
{
	_cleanup_(jsonline_deinit) struct jsonline connection = {.fd = -1};
	struct error *err;

	try_(fleet_control_connect(name, &connection));
	err = fleet_control_request(&connection, json_pack("{s:s}", "op", "status"),
		deadline_after_ms(KEEPER_MS), status);
	close(connection.fd);
	return err;
}

/* One row of the list: sums over the guests. */
static json_t *summary(const char *name, const json_t *status)
{
	static const char *const fields[] = {"image", "accelerator", "movable"};
	const json_t *guests = json_object_get(status, "guests"), *guest;
	json_int_t alive = 0, pss = 0;
	json_t *row;
	size_t i;

	json_array_foreach (guests, i, guest) {
		alive += json_is_true(json_object_get(guest, "alive"));
		pss += json_integer_value(json_object_get(guest, "pss_bytes"));
	}
	row = json_pack("{s:s, s:I, s:I, s:I}", "name", name, "guests",
		(json_int_t)json_array_size(guests), "alive", alive, "pss_bytes", pss);
	for (size_t f = 0; f < ARRAY_SIZE(fields); f++)
		json_object_set(row, fields[f], json_object_get(status, fields[f]));
	return row;
}

struct error *api_fleets_get(struct ask *ask, struct answer **answer)
{
	_cleanup_json_ json_t *names = NULL;
	json_t *fleets = json_array();
	const json_t *name;
	size_t i;

	(void)ask;
	try_(fleet_control_list(&names));
	json_array_foreach (names, i, name) {
		_cleanup_json_ json_t *status = NULL;
		_cleanup_error_ struct error *err = status_of(json_string_value(name), &status);

		json_array_append_new(fleets,
			err ? json_pack("{s:O, s:s}", "name", name, "trouble", error_message(err))
			    : summary(json_string_value(name), status));
	}
	*answer = answer_json(json_pack("{s:o}", "fleets", fleets), ANSWER_REVALIDATE);
	return NULL;
}

struct error *api_fleet_get(struct ask *ask, struct answer **answer)
{
	const char *name = ask->captured[0];
	json_t *status;
	struct error *err = request_is_name(name) ? status_of(name, &status)
						  : error_new(ERROR_USAGE, "that is no fleet");

	if (err && error_kind(err) == ERROR_USAGE)
		return api_not_found(ask, err);
	if (err)
		return err;
	json_object_set_new(status, "name", json_string(name));
	*answer = answer_json(status, ANSWER_REVALIDATE);
	return NULL;
}
