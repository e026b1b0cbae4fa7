/* Topologies out of records: hwloc's own, and what somebody made up. */
#include "dashboard/server/topology.h"
#include "harness/base/test/support.h"
#include "harness/host/topology.h"
#include "harness/record/samples.h"

#define HEAD                                                                                       \
	"<?xml version=\"1.0\"?><!DOCTYPE topology SYSTEM \"hwloc2.dtd\"><topology "               \
	"version=\"2.0\">"

static void assert_refused(const char *xml)
{
	json_t *tree = NULL;

	if (topology_parse(xml, &tree))
		fail_msg("taken: %.80s", xml);
	assert_null(tree);
}

static void test_this_host_is_read(void **state)
{
	_cleanup_json_ json_t *topology = NULL;
	_cleanup_json_ json_t *tree = NULL;

	(void)state;
	assert_ok(host_topology(&topology));
	assert_true(topology_parse(json_text(topology, "xml"), &tree));
	assert_string_equal(json_text(tree, "type"), "Machine");
	assert_true(json_array_size(json_object_get(tree, "children")) > 0);
}

static void test_places_and_sizes(void **state)
{
	_cleanup_json_ json_t *tree = NULL;
	const json_t *package;

	(void)state;
	assert_true(topology_parse(HEAD
		"<object type=\"Machine\" os_index=\"0\"><info name=\"x\" value=\"&lt;\"/>"
		"<object type=\"Package\" os_index=\"1\">"
		"<object type=\"NUMANode\" os_index=\"0\" local_memory=\"4096\"/>"
		"<object type=\"L3Cache\" cache_size=\"1024\" depth=\"3\"/>"
		"<object type=\"PCIDev\"><object type=\"OSDev\" name=\"eth0\"/></object>"
		"</object></object></topology>",
		&tree));
	package = json_array_get(json_object_get(tree, "children"), 0);
	assert_int_equal(json_number(package, "index", -1), 1);
	assert_int_equal(json_array_size(json_object_get(package, "children")), 1);
	assert_int_equal(
		json_number(json_array_get(json_object_get(package, "memory"), 0), "bytes", -1),
		4096);
	assert_int_equal(
		json_number(json_array_get(json_object_get(package, "children"), 0), "level", -1),
		3);
}

static void test_what_hwloc_does_not_write(void **state)
{
	(void)state;
	assert_refused("");
	assert_refused("no xml");
	assert_refused("<topology>");
	assert_refused("<topology></topology>");
	assert_refused(HEAD "<object></object></topology>");
	assert_refused(HEAD "<object type=\"Machine\"></topology>");
	assert_refused(HEAD "<object type=\"A\"/><object type=\"B\"/></topology>");
	/* entities of its own: neither expanded nor fetched */
	assert_refused("<!DOCTYPE t [<!ENTITY a \"b\"><!ENTITY c SYSTEM \"/etc/passwd\">]>"
		       "<topology><object type=\"&c;\"/></topology>");
	assert_refused(HEAD "<object type=\"Machine\" name=\"&a;\"/></topology>");
}

static void test_depth_and_number_are_bounded(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	for (int i = 0; i < 100000; i++)
		fputs("<object type=\"Core\">", out);
	fclose(out);
	assert_refused(text);
	free(text);
	out = open_memstream(&text, &size);
	fputs("<object type=\"Machine\">", out);
	for (int i = 0; i < TOPOLOGY_OBJECTS; i++)
		fputs("<object type=\"PU\"/>", out);
	fputs("</object>", out);
	fclose(out);
	assert_refused(text);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_this_host_is_read),
		cmocka_unit_test(test_places_and_sizes),
		cmocka_unit_test(test_what_hwloc_does_not_write),
		cmocka_unit_test(test_depth_and_number_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
