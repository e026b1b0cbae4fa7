/* Shared by the shm-… commands: see shm_common.h. */
#include "workloads/guest/shm_common.h"

#include <stdlib.h>
#include <string.h>

#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

#define POLLING_SPIN_NS 1000000
#define DOORBELL_SPIN_NS 20000

static struct region *opened;
static uint64_t deadline;

static void close_opened(void)
{
	region_close(opened);
	opened = NULL;
}

bool shm_wants_doorbell(const struct shm_options *options)
{
	if (!options->mode || strcmp(options->mode, "polling") == 0)
		return false;
	if (strcmp(options->mode, "doorbell") != 0)
		die("--mode: '%s' is neither polling nor doorbell", options->mode);
	return true;
}

struct region *shm_begin(struct shm_options *options)
{
	bool doorbell = shm_wants_doorbell(options);
	struct region_options wanted = {
		.file = options->file,
		.device = (unsigned int)options->device,
		.address = options->address,
		.pages = (uint32_t)options->pages,
		.member = (unsigned int)options->member,
		.read_only = options->read_only,
		.doorbell = doorbell,
		.spin_ns = options->spin_ns,
		.peer_timeout_ms = options->peer_timeout_ms,
		.deadline_ms = options->deadline_ms,
	};

	if (wanted.spin_ns == UINT64_MAX)
		wanted.spin_ns = doorbell ? DOORBELL_SPIN_NS : POLLING_SPIN_NS;
	background_start(&options->background);
	deadline = deadline_in_ms(options->deadline_ms);
	shm_check(region_open(&wanted, &opened));
	atexit(close_opened);
	background_ready(&options->background, 0);
	json_text("region", opened->name);
	json_hex("address", (uintptr_t)opened->header);
	json_number("pages", opened->bytes / REGION_PAGE);
	json_bool("writable", opened->writable);
	json_text("mode", doorbell ? "doorbell" : "polling");
	json_number("spin_ns", wanted.spin_ns);
	json_bool("atomics", opened->atomics);
	json_number("member", opened->member);
	json_number("generation", opened->generation);
	return opened;
}

void shm_report(const struct region *region)
{
	json_number("sleeps", region->sleeps);
	json_number("rings", region->rings);
	json_number("unrung_wakeups", region->unrung_wakeups);
}

uint64_t shm_deadline(void)
{
	return deadline;
}

void shm_check(enum shm_status status)
{
	if (status != SHM_OK)
		die("%s", shm_message());
}
