/* Counters of memory controllers, on made-up devices: what they are is told by files as sysfs has
 * them, and what counts is the kernel's own clock event, which every host has. */
#include "harness/base/test/support.h"
#include "harness/base/clock.h"
#include "harness/host/memory_counters.h"

static char *write_file(const char *dir, const char *name, const char *text)
{
	char *path = format_string("%s/%s", dir, name);

	assert_ok(fs_write_atomic(path, text, strlen(text)));
	return path;
}

/* A device with one pair of events; `event` is how both are told. */
static void make_device(const char *root, const char *name, const char *first, const char *second,
	const char *event, const char *unit)
{
	const char *const events[] = {first, second};
	_cleanup_free_ char *dir = format_string("%s/%s", root, name);
	_cleanup_free_ char *formats = format_string("%s/format", dir);
	_cleanup_free_ char *own = format_string("%s/events", dir);

	assert_ok(fs_make_dirs(formats));
	assert_ok(fs_make_dirs(own));
	free(write_file(dir, "type", "1\n")); /* the kernel's own events */
	free(write_file(formats, "event", "config:0-7\n"));
	free(write_file(formats, "umask", "config:8-15\n"));
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *scale = format_string("%s.scale", events[i]);
		_cleanup_free_ char *unit_file = format_string("%s.unit", events[i]);

		free(write_file(own, events[i], event));
		free(write_file(own, scale, "6.103515625e-5\n"));
		free(write_file(own, unit_file, unit));
	}
}

static bool counts(const char *root)
{
	_cleanup_(cleanup_memory_counters) struct memory_counters *counters = NULL;
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);
	double first, later;

	memory_counters_relocate(root);
	assert_ok(memory_counters_open(&counters));
	memory_counters_relocate(NULL);
	if (!counters)
		return false;
	assert_ok(memory_counters_read(counters, &first));
	do
		assert_ok(memory_counters_read(counters, &later));
	while (later <= first && !deadline_passed(deadline));
	assert_true(later > first);
	return true;
}

static void may_count(void)
{
	_cleanup_(cleanup_memory_counters) struct memory_counters *counters = NULL;
	_cleanup_free_ char *root = scratch_path("allowed");

	make_device(root, "imc", "data_reads", "data_writes", "event=0\n", "MiB\n");
	memory_counters_relocate(root);
	_cleanup_error_ struct error *refused = memory_counters_open(&counters);

	memory_counters_relocate(NULL);
	if (refused) {
		print_message("skipped: %s\n", error_message(refused));
		skip();
	}
}

static void both_kinds_of_events_are_found(void **state)
{
	_cleanup_free_ char *server = scratch_path("server");
	_cleanup_free_ char *other = scratch_path("other");

	(void)state;
	may_count();
	make_device(server, "uncore_imc_0", "cas_count_read", "cas_count_write",
		"event=0x00,umask=0x0\n", "MiB\n");
	assert_true(counts(server));
	make_device(other, "uncore_imc", "data_reads", "data_writes", "event=0x0\n", "MiB\n");
	assert_true(counts(other));
}

static void what_is_none_is_passed_over(void **state)
{
	static const struct {
		const char *name, *first, *second, *event, *unit;
	} devices[] = {
		{"half", "cas_count_read", "clockticks", "event=0x0\n", "MiB\n"},
		{"unit", "data_reads", "data_writes", "event=0x0\n", "Joules\n"},
		{"field", "data_reads", "data_writes", "event=0x0,edge=1\n", "MiB\n"},
		{"range", "data_reads", "data_writes", "event=0x100\n", "MiB\n"},
	};
	_cleanup_free_ char *none = scratch_path("none");

	(void)state;
	assert_false(counts(none));
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		_cleanup_free_ char *root = scratch_path(devices[i].name);

		make_device(root, "pmu", devices[i].first, devices[i].second, devices[i].event,
			devices[i].unit);
		assert_false(counts(root));
	}
}

static void what_cannot_be_opened_is_told(void **state)
{
	struct memory_counters *counters = NULL;
	_cleanup_free_ char *root = scratch_path("refused");
	_cleanup_free_ char *device = format_string("%s/imc", root);

	(void)state;
	make_device(root, "imc", "data_reads", "data_writes", "event=0x0\n", "MiB\n");
	free(write_file(device, "cpumask", "65535\n"));
	memory_counters_relocate(root);
	assert_fails(memory_counters_open(&counters), ERROR_SETUP, "by imc");
	free(write_file(device, "cpumask", "x\n"));
	assert_fails(memory_counters_open(&counters), ERROR_SETUP, "cpumask of imc");
	memory_counters_relocate(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(both_kinds_of_events_are_found),
		scratch_test(what_is_none_is_passed_over),
		scratch_test(what_cannot_be_opened_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
