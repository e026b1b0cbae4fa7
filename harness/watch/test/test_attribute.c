/* What was new in a night, from records as they are and as they should not be. */
#include "harness/base/test/support.h"
#include "harness/base/cleanup.h"
#include "harness/watch/attribute.h"

static json_t *record_of(const char *kernel, const char *qemu, const char *commit)
{
	return json_pack("{s:{s:{s:s, s:s}, s:{s:s}, s:{s:s, s:i}, s:{s:i, s:i}}, s:{s:s, s:s}, "
			 "s:[{s:s, s:s}]}",
		"host", "kernel", "release", kernel, "cmdline", "quiet", "qemu", "version", qemu,
		"cpu", "microcode", "0x1", "cores", 2, "knobs", "swappiness", 60,
		"ksm_pages_shared", 7, "build", "version", "0.1.0", "commit", commit, "images",
		"name", "tiny", "hash", "00ff");
}

static json_t *fields_of(const char *kernel, const char *qemu, const char *commit)
{
	_cleanup_json_ json_t *record = record_of(kernel, qemu, commit);

	return attribute_fields(record);
}

static void fields_are_flat_and_stable(void **state)
{
	_cleanup_json_ json_t *record = record_of("6.1", "7.2", "abc");
	_cleanup_json_ json_t *fields = attribute_fields(record);
	char one[33], two[33];

	(void)state;
	assert_string_equal(json_string_value(json_object_get(fields, "kernel.release")), "6.1");
	assert_string_equal(json_string_value(json_object_get(fields, "cpu.cores")), "2");
	assert_string_equal(json_string_value(json_object_get(fields, "image.tiny")), "00ff");
	assert_string_equal(json_string_value(json_object_get(fields, "build.commit")), "abc");
	assert_null(json_object_get(fields, "knobs.ksm_pages_shared"));
	attribute_fingerprint(fields, one);
	json_object_set_new(json_object_get(json_object_get(record, "host"), "knobs"),
		"ksm_pages_shared", json_integer(99));
	_cleanup_json_ json_t *later = attribute_fields(record);

	attribute_fingerprint(later, two);
	assert_string_equal(one, two);
	json_object_set_new(later, "cpu.microcode", json_string("0x2"));
	attribute_fingerprint(later, two);
	assert_string_not_equal(one, two);
}

static void a_new_kernel_comes_first(void **state)
{
	json_t *fields[4] = {fields_of("6.1", "7.2", "abc"), NULL, fields_of("6.1", "7.2", "abc"),
		fields_of("6.2", "7.2", "def")};
	_cleanup_json_ json_t *changes = attribute_changes(fields, 4, 2, 3);
	_cleanup_json_ json_t *none = attribute_changes(fields, 4, 1, 2);
	_cleanup_free_ char *text = attribute_text(changes);
	_cleanup_free_ char *nothing = attribute_text(none);
	const json_t *first = json_array_get(changes, 0);

	(void)state;
	assert_int_equal(json_array_size(changes), 2);
	assert_string_equal(json_string_value(json_object_get(first, "kind")), "kernel");
	assert_int_equal(json_integer_value(json_object_get(first, "night")), 3);
	assert_string_equal(text, "new kernel (kernel.release: 6.1 → 6.2), and 1 more");
	assert_string_equal(nothing, "nothing known was new");
	for (size_t i = 0; i < 4; i++)
		json_decref(fields[i]);
}

/* A night without fields is skipped, not "everything is new". */
static void a_night_without_a_record_is_skipped(void **state)
{
	json_t *fields[3] = {fields_of("6.1", "7.2", "abc"), NULL, fields_of("6.1", "8.0", "abc")};
	_cleanup_json_ json_t *changes = attribute_changes(fields, 3, 0, 99);
	_cleanup_free_ char *text = attribute_text(changes);

	(void)state;
	assert_int_equal(json_array_size(changes), 1);
	assert_string_equal(text, "new QEMU (qemu.version: 7.2 → 8.0)");
	json_object_del(fields[2], "qemu.version");
	_cleanup_json_ json_t *gone = attribute_changes(fields, 3, 0, 2);
	_cleanup_free_ char *gone_text = attribute_text(gone);

	assert_string_equal(gone_text, "new QEMU (qemu.version: 7.2 → absent)");
	json_decref(fields[0]);
	json_decref(fields[2]);
}

static void damaged_records_give_what_they_have(void **state)
{
	static const char *const texts[] = {"{}", "[]", "{\"host\": 3, \"build\": []}",
		"{\"host\": {\"kernel\": null}, \"images\": [{}, 4, {\"name\": 1}]}",
		"{\"build\": {\"commit\": {\"a\": 1}}, \"images\": {}}",
		"{\"host\":{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":1}}}}}}}}}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_json_ json_t *record = json_loads(texts[i], 0, NULL);

		assert_non_null(record);
		_cleanup_json_ json_t *fields = attribute_fields(record);

		assert_int_equal(json_object_size(fields), 0);
	}
	_cleanup_json_ json_t *none = attribute_fields(NULL);

	assert_int_equal(json_object_size(none), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_flat_and_stable),
		cmocka_unit_test(a_new_kernel_comes_first),
		cmocka_unit_test(a_night_without_a_record_is_skipped),
		cmocka_unit_test(damaged_records_give_what_they_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
