/* Fleets of real guests: stacks, RAM of their own for clones, data disks, memory sizes. */
#include "harness/fleet/test/live.h"
#include "harness/host/proc.h"

#include <sys/stat.h>

static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};
static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};

static struct fleet_spec clones(void)
{
	return (struct fleet_spec){.image = {.kind = "tiny"},
		.count = 2,
		.memory_bytes = 128 << 20,
		.vcpus = 1,
		.start = FLEET_TEMPLATE,
		.links = links,
		.link_count = 1,
		.nics = nics,
		.nic_count = 1};
}

static bool maps_file(pid_t qemu, const char *path)
{
	_cleanup_free_ char *maps = NULL;
	struct proc_map map;

	assert_ok(proc_read_maps(qemu, &maps));
	for (const char *at = maps; proc_next_map(&at, &map);) {
		if (map.name_length == strlen(path) && memcmp(map.name, path, strlen(path)) == 0)
			return true;
	}
	return false;
}

static void see_own_memory(struct fleet *fleet)
{
	for (unsigned int i = 0; i < 2; i++) {
		_cleanup_free_ char *name = live_shell(fleet, i, "hostname");
		_cleanup_free_ char *path = format_string("%s/ram", fleet_guest_dir(fleet, i));
		struct stat file;

		assert_memory_equal(name, fleet_guest_name(fleet, i), 2);
		assert_int_equal(stat(path, &file), 0);
		assert_in_range(file.st_size, 128 << 20, (128 << 20) + GUEST_RAM_TAIL_BYTES);
		/* The template's holes are holes here too. */
		assert_in_range(file.st_blocks * 512, 1 << 20, 124 << 20);
		if (!maps_file(fleet_guest_pid(fleet, i), path))
			fail_msg("QEMU does not map %s", path);
	}
}

static void answer(struct fleet *fleet)
{
	for (unsigned int i = 0; i < 2; i++)
		free(live_shell(fleet, i, "true"));
}

static void clones_can_have_ram_of_their_own(void **state)
{
	(void)state;
	struct fleet_spec spec = clones();

	spec.ram = RAM_SHARED;
	live_run(&spec, see_own_memory);
	spec.ram_backing = RAM_BACKING_THP;
	live_run(&spec, answer);
}

static void use_disks(struct fleet *fleet)
{
	for (unsigned int i = 0; i < 2; i++) {
		_cleanup_free_ char *size = live_shell(fleet, i, "cat /sys/class/block/vda/size");
		_cleanup_free_ char *path = format_string("%s/data.raw", fleet_guest_dir(fleet, i));

		assert_int_equal(atoll(size) * 512, 64 << 20);
		free(live_shell(fleet, i, "hostname | dd of=/dev/vda conv=sync,fsync bs=512"));
		_cleanup_close_ int fd = open(path, O_RDONLY);
		char text[3] = "";

		assert_int_equal(read(fd, text, 2), 2);
		assert_string_equal(text, fleet_guest_name(fleet, i));
	}
}

static void every_guest_has_a_disk_of_its_own(void **state)
{
	(void)state;
	struct fleet_spec spec = clones();

	spec.disk_bytes = 64 << 20;
	live_run(&spec, use_disks);
}

static void use_stacks(struct fleet *fleet)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	_cleanup_free_ char *socket = format_string("%s", fleet_stack_socket(fleet, 1));
	unsigned int number;

	assert_true(fleet_stack_pid(fleet, 0) != fleet_stack_pid(fleet, 1));
	assert_ok(fleet_add_stack(fleet, LIVE_DEADLINE, &number));
	assert_int_equal(number, 2);
	assert_fails(fleet_end_stack(fleet, 0, LIVE_DEADLINE), ERROR_USAGE, "guest g0 is on it");
	assert_ok(fleet_end_stack(fleet, 1, LIVE_DEADLINE));
	assert_int_equal(fleet_stack_pid(fleet, 1), 0);
	assert_null(fleet_stack_socket(fleet, 1));
	assert_fails(stack_connect(socket, &stack), ERROR_SETUP, "cannot connect");
	assert_fails(fleet_end_stack(fleet, 1, LIVE_DEADLINE), ERROR_INTERNAL, "no stack 1");
	assert_int_equal(fleet_guest_memory(fleet, 1), 192 << 20);
	_cleanup_free_ char *small =
		live_shell(fleet, 0, "grep MemTotal /proc/meminfo | tr -dc 0-9");
	_cleanup_free_ char *large =
		live_shell(fleet, 1, "grep MemTotal /proc/meminfo | tr -dc 0-9");

	assert_in_range(atoll(large) - atoll(small), 60 << 10, 66 << 10);
}

static void stacks_come_and_go_and_guests_differ_in_size(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {128 << 20, 192 << 20};
	struct fleet_spec spec = clones();

	spec.start = FLEET_COLD;
	spec.ram = RAM_SHARED;
	spec.memory_bytes_each = sizes;
	spec.stack_count = 2;
	live_run(&spec, use_stacks);
}

static void tell_sizes(struct fleet *fleet)
{
	for (unsigned int i = 0; i < 2; i++) {
		_cleanup_free_ char *text =
			live_shell(fleet, i, "grep MemTotal /proc/meminfo | tr -dc 0-9");
		long long mib = (long long)fleet_guest_memory(fleet, i) >> 20;

		assert_in_range(atoll(text) >> 10, mib / 2, mib);
	}
}

/* Mapped privately the clone maps the template's file itself: it must be that of its size. */
static void clones_can_differ_in_size(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {128 << 20, 320 << 20};
	struct fleet_spec spec = clones();

	spec.memory_bytes_each = sizes;
	live_run(&spec, tell_sizes);
	spec.ram = RAM_SHARED;
	live_run(&spec, tell_sizes);
}

static void see_two_machines(struct fleet *fleet)
{
	const struct machine *machine = fleet_machine(fleet);
	pid_t pids[] = {fleet_stack_pid(fleet, 0), fleet_stack_pid(fleet, 1)};
	const char *const pinging = "ping -c 1 -w 10 10.77.0.253";
	struct stat own, expected[2], actual[2];
	struct cable_traffic before, after;

	assert_int_equal(machine_number(machine), 1);
	assert_int_equal(stat("/proc/self/ns/net", &own), 0);
	assert_int_equal(stat(machine_namespace(machine), &expected[1]), 0);
	expected[0] = own;
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *path = format_string("/proc/%d/ns/net", (int)pids[i]);

		assert_int_equal(stat(path, &actual[i]), 0);
		assert_int_equal(actual[i].st_ino, expected[i].st_ino);
	}
	/* A guest of the first machine reaches the second over the cable. */
	assert_ok(machine_cable(machine, "lan", &before));
	free(live_shell(fleet, 0, pinging));
	assert_ok(machine_cable(machine, "lan", &after));
	assert_true(after.frames_to_machine > before.frames_to_machine);
	assert_true(after.frames_from_machine > before.frames_from_machine);
	/* Both seats of a guest have taps in both machines. */
	const struct port_spec taken[] = {{"g1n0", "lan", machine}, {"g1n0b", "lan", NULL}};

	for (int i = 0; i < 2; i++)
		assert_fails(network_add_ports(links, 1, &taken[i], 1), ERROR_SETUP, taken[i].tap);
}

static void later_stacks_can_be_in_a_second_machine(void **state)
{
	(void)state;
	static const struct machine_spec machine = {.number = 1, .rate_kbit_s = 1000000};
	struct fleet_spec spec = clones();

	spec.stack_count = 2;
	spec.machine = &machine;
	live_run(&spec, see_two_machines);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clones_can_have_ram_of_their_own),
		cmocka_unit_test(every_guest_has_a_disk_of_its_own),
		cmocka_unit_test(clones_can_differ_in_size),
		cmocka_unit_test(stacks_come_and_go_and_guests_differ_in_size),
		cmocka_unit_test(later_stacks_can_be_in_a_second_machine),
	};

	return live_main(argc, argv, "live fleets", tests, ARRAY_SIZE(tests));
}
