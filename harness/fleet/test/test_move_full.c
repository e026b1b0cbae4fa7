/* Moves where the lab's memory files have no room: copies are refused before anything has happened,
 * and when the room goes while pages arrive the guest goes on where it was. */
#include "harness/fleet/test/moving.h"

#include <sys/mount.h>
#include <sys/statvfs.h>

#define MIB ((uint64_t)1 << 20)

/* The lab's file system has this much room from now on. */
static void leave_room(uint64_t bytes)
{
	_cleanup_free_ char *options = NULL;
	struct statvfs now;

	assert_int_equal(statvfs(lab_dir(), &now), 0);
	options = format_string("size=%llu",
		(unsigned long long)((now.f_blocks - now.f_bfree) * now.f_frsize + bytes));
	assert_int_equal(mount(NULL, lab_dir(), NULL, MS_REMOUNT, options), 0);
}

/* So that the running guest itself never needs a page more. */
static void complete_ram(const struct fleet *fleet, unsigned int guest)
{
	_cleanup_close_ int fd = open(fleet->guests[guest].ram_path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, (off_t)fleet_guest_memory(fleet, guest)), 0);
}

static void assert_on(struct fleet *fleet, unsigned int stack)
{
	assert_int_equal(fleet_guest_stack(fleet, 0), stack);
	assert_one_qemu(fleet, 0);
	assert_marked(fleet, 0);
}

struct hog {
	bool ate;
};

/* Takes the room that preflight has seen. */
static void eat_room(void *context, enum move_step step, const char *guest, pid_t mover)
{
	struct hog *hog = context;

	(void)guest;
	(void)mover;
	if (step != MOVE_TRANSFER)
		return;
	leave_room(4 * MIB);
	hog->ate = true;
}

static struct error *move(
	struct fleet *fleet, enum move_method method, struct hog *hog, struct move_report *report)
{
	const struct move_options options = {.method = method,
		.deadline = deadline_after_ms(30000),
		.on_step = hog ? eat_room : NULL,
		.context = hog};

	return fleet_move(
		fleet, (unsigned int[]){0}, 1, 1 - fleet_guest_stack(fleet, 0), &options, report);
}

static void move_without_room(struct fleet *fleet)
{
	struct hog hog = {false};
	struct move_report report = {0};

	mark_guest(fleet, 0);
	complete_ram(fleet, 0);
	leave_room(64 * MIB);
	assert_fails(move(fleet, MOVE_PRECOPY, NULL, &report), ERROR_SETUP,
		"no room for copies of the guests' memory: they need 128 MiB");
	assert_on(fleet, 0);
	leave_room(256 * MIB);
	assert_fails(move(fleet, MOVE_PRECOPY, &hog, &report), ERROR_GUEST,
		"the guest runs on its old stack again");
	assert_true(hog.ate);
	assert_false(report.moved || report.lost);
	assert_on(fleet, 0);
	/* What copies nothing needs no room. */
	leave_room(MIB);
	assert_ok(move(fleet, MOVE_ZEROCOPY, NULL, &report));
	assert_on(fleet, 1);
	leave_room(256 * MIB);
	assert_ok(move(fleet, MOVE_PRECOPY, NULL, &report));
	assert_on(fleet, 0);
}

static void a_guest_stays_where_there_is_no_room_for_its_copy(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, move_without_room);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_stays_where_there_is_no_room_for_its_copy),
	};

	return live_main(argc, argv, "full", tests, ARRAY_SIZE(tests));
}
