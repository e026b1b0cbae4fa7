/* The way back of guests that run on the target already, when others of their transaction do not: a
 * move of its own. See move.h. */
#include "harness/fleet/move_internal.h"

/* How long it may take. */
#define BACK_MS 60000

struct error *move_back(const struct move_item *items, const size_t *indices, size_t count,
	const struct move_options *options, struct move_report *reports)
{
	_cleanup_free_ struct move_item *reversed = calloc(count + 1, sizeof(*reversed));
	_cleanup_free_ struct move_report *back = calloc(count + 1, sizeof(*back));
	struct move_options quiet = *options;
	struct error *err;

	if (!reversed || !back)
		abort();
	quiet.on_step = NULL;
	quiet.one_by_one = false;
	quiet.deadline = deadline_after_ms(BACK_MS);
	if (quiet.method == MOVE_POSTCOPY)
		quiet.method = MOVE_PRECOPY;
	for (size_t i = 0; i < count; i++) {
		const struct move_item *item = &items[indices[i]];

		if (!item->receive_back)
			return error_new(ERROR_GUEST,
				"guest %s runs on the target, and there is no way back for it",
				item->guest);
		reversed[i] = (struct move_item){
			.guest = item->guest,
			.source_socket = item->target_socket,
			.target_socket = item->source_socket,
			.source_name = item->target_name,
			.target_name = item->back_name,
			.receive = item->receive_back,
			.target_uri = item->back_uri,
			.source_uri = item->back_uri,
		};
	}
	err = move_run(reversed, count, &quiet, back);
	for (size_t i = 0; i < count; i++) {
		struct move_report *report = &reports[indices[i]];

		report->moved = !back[i].moved;
		report->brought_back = back[i].moved;
		report->lost = back[i].lost;
		report->back_pid = back[i].target_pid;
	}
	return err;
}
