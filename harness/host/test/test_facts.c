/* The fingerprint on the machine at hand: every documented field is there and agrees with what
 * other programs say. */
#include "harness/base/test/scratch_cache.h"
#include "harness/base/process.h"
#include "harness/host/facts.h"
#include "harness/host/qemu.h"
#include "harness/host/topology.h"

#include <sys/utsname.h>
#include <unistd.h>

static const char *text_at(const json_t *facts, const char *group, const char *field)
{
	return json_string_value(json_object_get(json_object_get(facts, group), field));
}

static void fields(void **state)
{
	struct accelerator accelerator = {
		.name = (char *)"tcg", .reason = (char *)"because", .kvm = KVM_HANGS};
	_cleanup_json_ json_t *facts = NULL;
	struct utsname host;
	static const char *const names[] = {"cpu", "topology", "memory", "kernel", "distribution",
		"virtualized", "accelerator", "qemu", "libvirt", "hwloc", "cgroup", "knobs",
		"mitigations"};

	(void)state;
	assert_ok(host_facts(NULL, &accelerator, deadline_after_ms(10000), &facts));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_non_null(json_object_get(facts, names[i]));
	assert_int_equal(json_object_size(facts), ARRAY_SIZE(names));
	uname(&host);
	assert_string_equal(text_at(facts, "kernel", "release"), host.release);
	assert_string_equal(text_at(facts, "accelerator", "kvm"), "hangs");
	assert_true(json_is_null(json_object_get(facts, "qemu")));
	assert_true(
		json_integer_value(json_object_get(json_object_get(facts, "cpu"), "threads")) >= 1);
	assert_true(json_integer_value(
			    json_object_get(json_object_get(facts, "memory"), "total_bytes")) ==
		    (json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
	assert_non_null(strstr(text_at(facts, "topology", "xml"), "<topology"));
}

/* A choice is stored as the chosen word, so that two records compare by equality. */
static void choices_are_words(void **state)
{
	_cleanup_json_ json_t *facts = NULL;
	const char *name;
	json_t *value;

	(void)state;
	assert_ok(host_facts(NULL, NULL, deadline_after_ms(10000), &facts));
	json_object_foreach (json_object_get(facts, "knobs"), name, value) {
		if (json_is_string(value))
			assert_null(strpbrk(json_string_value(value), "[] "));
		else
			assert_true(json_is_null(value));
	}
	assert_true(json_is_null(json_object_get(facts, "accelerator")));
}

static void meminfo(void **state)
{
	uint64_t total = 0, available = 0, untouched = 7;

	(void)state;
	assert_true(host_meminfo("MemTotal", &total));
	assert_true(host_meminfo("MemAvailable", &available));
	assert_true(available <= total);
	assert_false(host_meminfo("Mem", &untouched));
	assert_int_equal(untouched, 7);
	assert_null(host_cpuinfo("no such field"));
}

static void qemu_is_asked(void **state)
{
	_cleanup_json_ json_t *features = NULL;
	_cleanup_free_ char *version = NULL;

	(void)state;
	if (!process_in_path(QEMU_DEFAULT))
		skip();
	assert_ok(qemu_version(QEMU_DEFAULT, deadline_after_ms(20000), &version));
	assert_ok(qemu_features(QEMU_DEFAULT, deadline_after_ms(20000), &features));
	assert_string_equal(json_string_value(json_object_get(features, "version")), version);
	assert_true(qemu_has(features, "devices", "virtio-net-pci"));
	assert_true(qemu_has(features, "objects", "memory-backend-file"));
	assert_true(qemu_has(features, "machines", "q35"));
	assert_false(qemu_has(features, "devices", "no-such-device"));
	assert_false(qemu_has(features, "no-such-list", "virtio-net-pci"));
}

/* Values are looked for in enumerations alone, and a schema may be anything. */
static void a_schema_is_searched(void **state)
{
	_cleanup_json_ json_t *schema =
		json_pack("[{s:s, s:s}, {s:s, s:[s, i, s]}]", "name", "cpr-exec", "meta-type",
			"command", "name", "17", "values", "normal", 1, "cpr-reboot");

	(void)state;
	assert_true(qemu_schema_has_value(schema, "cpr-reboot"));
	assert_false(qemu_schema_has_value(schema, "cpr-exec"));
	assert_false(qemu_schema_has_value(schema, "cpr"));
	assert_false(qemu_schema_has_value(NULL, "normal"));
}

/* A program that is not QEMU is told apart. */
static void not_qemu(void **state)
{
	_cleanup_free_ char *version = NULL;
	_cleanup_json_ json_t *features = NULL;
	_cleanup_json_ json_t *facts = NULL;

	(void)state;
	_cleanup_error_ struct error *err =
		qemu_version("/bin/echo", deadline_after_ms(5000), &version);
	_cleanup_error_ struct error *err2 =
		qemu_features("/bin/echo", deadline_after_ms(5000), &features);
	_cleanup_error_ struct error *err3 =
		host_facts("no-such-qemu", NULL, deadline_after_ms(5000), &facts);

	assert_non_null(err);
	assert_non_null(err2);
	assert_non_null(err3);
	assert_null(version);
	assert_null(features);
	assert_null(facts);
	assert_non_null(error_remedy(err3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(choices_are_words),
		cmocka_unit_test(meminfo),
		cmocka_unit_test(qemu_is_asked),
		cmocka_unit_test(a_schema_is_searched),
		cmocka_unit_test(not_qemu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
