/*
 * shm-members: who is in a region, as its member table says. Looks only; joins nothing.
 */
#include "workloads/guest/shm_common.h"

#include "workloads/guest/json.h"
#include "workloads/shm/region.h"

static const char *state_name(uint32_t state)
{
	switch (state) {
	case MEMBER_ABSENT:
		return "absent";
	case MEMBER_STARTING:
		return "starting";
	case MEMBER_PRESENT:
		return "present";
	case MEMBER_LEFT:
		return "left";
	default:
		return "invalid";
	}
}

void command_shm_members(int argc, char **argv)
{
	struct shm_options options = SHM_DEFAULTS;
	const struct option_row rows[] = {SHM_ROWS(&options), {0}};
	struct region *region;

	options_parse(rows, argc, argv);
	options.read_only = true;
	region = shm_begin(&options);
	json_number("region_generation", atomic_load(&region->header->generation));
	json_open("members", '[');
	for (unsigned int i = 0; i < REGION_MEMBERS; i++) {
		struct region_member *member = &region->header->members[i];

		if (!atomic_load(&member->generation))
			continue;
		json_open(NULL, '{');
		json_number("member", i);
		json_text("state", state_name(atomic_load(&member->state)));
		json_number("generation", atomic_load(&member->generation));
		json_number("heartbeat", atomic_load(&member->heartbeat));
		json_signed("doorbell", (int64_t)atomic_load(&member->bell) - 1);
		json_close('}');
	}
	json_close(']');
	json_print();
}
