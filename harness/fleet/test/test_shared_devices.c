/* Shared-memory devices are the same, and at the same addresses, in the QEMU that a guest moves to.
 * On real QEMUs; no guest runs in them, so the test programs the device as a guest would. */
#include "harness/fleet/test/qemu_pair.h"
#include "harness/fleet/shared_devices.h"

#include <fcntl.h>

#define ADDRESS INT64_C(0x120000000) /* where Linux puts it */
#define REGION "/objects/region-ring/region-ring[0]"

/* What a guest with one region, in port `slot` behind bus `bus`, would be described as. */
static json_t *wanted(const char *port, int slot, int bus, json_int_t address, const char *master)
{
	_cleanup_free_ char *path = scratch_path("ring");

	return json_pack("[{s:{s:s,s:s,s:s,s:s,s:s,s:s}, s:s, s:{s:s,s:s,s:s,s:I,s:b,s:b},"
			 " s:[{s:i,s:i,s:i,s:i}], s:i, s:i, s:i, s:s, s:I}]",
		"device", "id", "ring", "bus", port, "addr", "0.0", "driver", "ivshmem-plain",
		"master", master, "memdev", "region-ring", "command", "object-add", "backend", "id",
		"region-ring", "qom-type", "memory-backend-file", "mem-path", path, "size",
		(json_int_t)1 << 20, "share", 1, "readonly", 0, "ports", "bus", 0, "slot", slot,
		"function", 0, "numbers", bus << 8 | bus << 16, "bus", bus, "slot", 0, "function",
		0, "memory", REGION, "address", address);
}

/* Consumes the description of what the source has. */
static void moves(json_t *description)
{
	_qemu_pair_ pair = {0};
	_cleanup_json_ json_t *made = description;
	_cleanup_json_ json_t *described = NULL;
	json_int_t address =
		json_integer_value(json_object_get(json_array_get(made, 0), "address"));

	qemu_pair_start(&pair);
	assert_ok(shared_devices_provide(pair.stack, "src", made, SOON));
	assert_ok(shared_devices_describe(pair.stack, "src", SOON, &described));
	if (!json_equal(described, made))
		fail_msg("%s", json_dumps(described, JSON_INDENT(1)));
	assert_ok(shared_devices_provide(pair.stack, "dst", described, SOON));
	assert_ok(qemu_pair_migrate(&pair));
	assert_int_equal(qemu_property(&pair, 1, REGION, "addr"), address);
	assert_true(qemu_mapped_inode(&pair, 0, "/ring") > 0);
	assert_int_equal(
		qemu_mapped_inode(&pair, 0, "/ring"), qemu_mapped_inode(&pair, 1, "/ring"));
}

static void a_region_lies_where_it_was(void **state)
{
	(void)state;
	moves(wanted("plug0", 0x14, 1, ADDRESS, "on"));
}

static void bus_numbers_are_the_guests(void **state)
{
	(void)state;
	moves(wanted("plug1", 0x15, 7, 0x3f0000000, "on"));
}

static void a_reader_stays_a_reader(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("ring");
	json_t *made = wanted("plug0", 0x14, 1, ADDRESS, "on");
	json_t *backend = json_object_get(json_array_get(made, 0), "backend");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	/* The service has made it; QEMU itself cannot where it may only read. */
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	json_object_set_new(backend, "readonly", json_true());
	moves(made);
}

/* Plugged in, but the guest has not looked yet. */
static void a_region_without_an_address_moves(void **state)
{
	(void)state;
	moves(wanted("plug0", 0x14, 1, 0, "on"));
}

/* The reason for all this; when a QEMU takes it, shared_devices.c can go. */
static void qemu_refuses_a_region_elsewhere(void **state)
{
	(void)state;
	_qemu_pair_ pair = {0};
	_cleanup_json_ json_t *here = wanted("plug0", 0x14, 1, ADDRESS, "on");
	_cleanup_json_ json_t *there = wanted("plug0", 0x14, 1, 2 * ADDRESS, "on");

	qemu_pair_start(&pair);
	assert_ok(shared_devices_provide(pair.stack, "src", here, SOON));
	assert_ok(shared_devices_provide(pair.stack, "dst", there, SOON));
	assert_fails(qemu_pair_migrate(&pair), ERROR_GUEST, "QEMU of ");
}

/* Bus numbers by which the device cannot be reached. */
static void a_region_that_cannot_be_placed_is_an_error(void **state)
{
	(void)state;
	_qemu_pair_ pair = {0};
	_cleanup_json_ json_t *odd = wanted("plug0", 0x14, 1, ADDRESS, "on");
	json_t *port = json_array_get(json_object_get(json_array_get(odd, 0), "ports"), 0);

	json_object_set_new(port, "numbers", json_integer(0));
	qemu_pair_start(&pair);
	assert_fails(shared_devices_provide(pair.stack, "dst", odd, SOON), ERROR_GUEST,
		"lies at 0 in the target, at 0x120000000");
}

static void what_qemu_would_not_move_is_refused_at_once(void **state)
{
	(void)state;
	_qemu_pair_ pair = {0};
	_cleanup_json_ json_t *made = wanted("plug0", 0x14, 1, ADDRESS, "off");
	json_t *described = NULL;

	qemu_pair_start(&pair);
	assert_ok(shared_devices_provide(pair.stack, "src", made, SOON));
	assert_fails(shared_devices_describe(pair.stack, "src", SOON, &described), ERROR_USAGE,
		"plug it in with master=on");
	assert_null(described);
}

static void most_guests_have_none(void **state)
{
	(void)state;
	_qemu_pair_ pair = {0};
	_cleanup_json_ json_t *described = NULL;

	qemu_pair_start(&pair);
	assert_ok(shared_devices_describe(pair.stack, "src", SOON, &described));
	assert_int_equal(json_array_size(described), 0);
	assert_ok(shared_devices_provide(pair.stack, "dst", described, SOON));
	assert_ok(qemu_pair_migrate(&pair));
}

static void an_incomplete_description_is_refused(void **state)
{
	(void)state;
	_cleanup_json_ json_t *nothing = json_pack("[{}]");

	assert_fails(
		shared_devices_provide(NULL, "dst", nothing, SOON), ERROR_INTERNAL, "incomplete");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_region_lies_where_it_was),
		scratch_test(bus_numbers_are_the_guests),
		scratch_test(a_reader_stays_a_reader),
		scratch_test(a_region_without_an_address_moves),
		scratch_test(qemu_refuses_a_region_elsewhere),
		scratch_test(a_region_that_cannot_be_placed_is_an_error),
		scratch_test(what_qemu_would_not_move_is_refused_at_once),
		scratch_test(most_guests_have_none),
		scratch_test(an_incomplete_description_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
