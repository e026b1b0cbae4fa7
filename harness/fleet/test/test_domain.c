/* Domain XML: hostile words stay words, and the template's placeholder survives to be replaced. */
#include "harness/base/test/support.h"
#include "harness/fleet/guest_spec.h"

#include <glib.h>

/* What an XML parser finds. */
struct parsed {
	GPtrArray *args;   /* values of qemu:arg */
	GHashTable *texts; /* element name → text */
	const char *element;
};

static void on_start(GMarkupParseContext *context, const gchar *element, const gchar **names,
	const gchar **values, gpointer user, GError **error)
{
	struct parsed *parsed = user;

	(void)context;
	(void)error;
	if (strcmp(element, "qemu:arg") == 0) {
		assert_string_equal(names[0], "value");
		g_ptr_array_add(parsed->args, g_strdup(values[0]));
	}
	for (size_t i = 0; names[i]; i++)
		g_hash_table_insert(parsed->texts, g_strdup_printf("%s@%s", element, names[i]),
			g_strdup(values[i]));
}

static void on_text(
	GMarkupParseContext *context, const gchar *text, gsize size, gpointer user, GError **error)
{
	struct parsed *parsed = user;

	(void)error;
	g_hash_table_insert(parsed->texts, g_strdup(g_markup_parse_context_get_element(context)),
		g_strndup(text, size));
}

static struct parsed *parse(const struct guest_spec *spec)
{
	static const GMarkupParser parser = {.start_element = on_start, .text = on_text};
	struct parsed *parsed = g_new0(struct parsed, 1);
	_cleanup_free_ char *xml = guest_xml(spec);
	GMarkupParseContext *context;
	GError *error = NULL;

	parsed->args = g_ptr_array_new_with_free_func(g_free);
	parsed->texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	context = g_markup_parse_context_new(&parser, 0, parsed, NULL);
	if (!g_markup_parse_context_parse(context, xml, -1, &error) ||
		!g_markup_parse_context_end_parse(context, &error))
		fail_msg("libvirt would not read this: %s\n%s", error->message, xml);
	g_markup_parse_context_free(context);
	return parsed;
}

static void parsed_free(struct parsed *parsed)
{
	g_ptr_array_unref(parsed->args);
	g_hash_table_unref(parsed->texts);
	g_free(parsed);
}

DEFINE_CLEANUP(parsed, struct parsed *, parsed_free)
#define _parsed_ _cleanup_(cleanup_parsed) struct parsed *

static const char *text_of(const struct parsed *parsed, const char *element)
{
	const char *text = g_hash_table_lookup(parsed->texts, element);

	return text ? text : "";
}

static bool has_arg(const struct parsed *parsed, const char *word)
{
	for (guint i = 0; i < parsed->args->len; i++) {
		if (strcmp(parsed->args->pdata[i], word) == 0)
			return true;
	}
	return false;
}

static const struct image image = {
	.kernel = (char *)"/images/vmlinux",
	.initrd = (char *)"/images/initrd",
	.command_line = (char *)"quiet",
};

static struct guest_spec plain(void)
{
	return (struct guest_spec){.name = "g0",
		.image = &image,
		.accelerator = "tcg",
		.memory_bytes = 128 << 20,
		.vcpus = 1};
}

#define HOSTILE "a'/><qemu:arg value='-S&\"]]>"

static void hostile_words_stay_words(void **state)
{
	(void)state;
	static const struct image bad_image = {
		.kernel = (char *)"/k" HOSTILE,
		.initrd = (char *)"/i" HOSTILE,
		.command_line = (char *)HOSTILE,
	};
	static const char *const args[] = {"-device", HOSTILE, NULL};
	struct guest_spec spec = plain();

	spec.name = HOSTILE;
	spec.image = &bad_image;
	spec.kernel_args = "x" HOSTILE;
	spec.disk_overlay = "/d" HOSTILE;
	spec.ram = RAM_SHARED;
	spec.ram_path = "/r" HOSTILE;
	spec.qemu_args = args;
	_parsed_ parsed = parse(&spec);

	assert_string_equal(text_of(parsed, "name"), HOSTILE);
	assert_string_equal(text_of(parsed, "kernel"), "/k" HOSTILE);
	assert_string_equal(text_of(parsed, "initrd"), "/i" HOSTILE);
	assert_string_equal(text_of(parsed, "source@file"), "/d" HOSTILE);
	assert_non_null(strstr(text_of(parsed, "cmdline"), HOSTILE " console=ttyS0"));
	assert_non_null(strstr(text_of(parsed, "cmdline"), " x" HOSTILE));
	assert_non_null(strstr(text_of(parsed, "log@file"), HOSTILE ".console"));
	assert_true(has_arg(parsed, HOSTILE));
	assert_true(has_arg(parsed,
		"memory-backend-file,id=ram0,mem-path=/r" HOSTILE ",size=134217728,share=on"));
	assert_false(has_arg(parsed, "-S"));
}

static void the_placeholder_becomes_the_name_or_stays(void **state)
{
	(void)state;
	static const char *const args[] = {
		"-x", "a=" GUEST_PLACEHOLDER ",b=" GUEST_PLACEHOLDER, NULL};
	struct guest_spec spec = plain();

	spec.qemu_args = args;
	spec.name = "g12";
	_parsed_ named = parse(&spec);

	assert_true(has_arg(named, "a=g12,b=g12"));
	spec.name = GUEST_PLACEHOLDER;
	_parsed_ template = parse(&spec);

	assert_true(has_arg(template, args[1]));
	assert_string_equal(text_of(template, "name"), GUEST_PLACEHOLDER GUEST_SEAT_PLACEHOLDER);
	assert_non_null(strstr(text_of(template, "source@path"),
		"/" GUEST_PLACEHOLDER GUEST_SEAT_PLACEHOLDER "/"));
}

static void memory_vcpus_and_accelerator_are_as_asked(void **state)
{
	(void)state;
	struct guest_spec spec = plain();
	_parsed_ tcg = parse(&spec);

	assert_string_equal(text_of(tcg, "domain@type"), "qemu");
	assert_string_equal(text_of(tcg, "memory"), "134217728");
	assert_string_equal(text_of(tcg, "vcpu@current"), "1");
	assert_string_equal(text_of(tcg, "vcpu"), "2"); /* real atomics under TCG need it */
	assert_non_null(strstr(text_of(tcg, "cmdline"), "tsc=reliable"));
	spec.accelerator = "kvm";
	spec.vcpus = 3;
	_parsed_ kvm = parse(&spec);

	assert_string_equal(text_of(kvm, "domain@type"), "kvm");
	assert_string_equal(text_of(kvm, "vcpu"), "3");
	assert_string_equal(text_of(kvm, "cpu@mode"), "host-passthrough");
	assert_null(strstr(text_of(kvm, "cmdline"), "tsc="));
}

static void ram_is_private_shared_or_copied(void **state)
{
	(void)state;
	struct guest_spec spec = plain();

	spec.ram_path = "/f";
	for (int ram = RAM_PRIVATE; ram <= RAM_COPY; ram++) {
		spec.ram = (enum guest_ram)ram;
		_parsed_ parsed = parse(&spec);

		assert_int_equal(has_arg(parsed, "memory-backend=ram0"), ram != RAM_PRIVATE);
		assert_int_equal(has_arg(parsed, "memory-backend-file,id=ram0,mem-path=/f,"
						 "size=134217728,share=on"),
			ram == RAM_SHARED);
		assert_int_equal(has_arg(parsed, "memory-backend-file,id=ram0,mem-path=/f,"
						 "size=134217728,share=off"),
			ram == RAM_COPY);
	}
}

/* QEMU clears the marks of pages written to in steps of 64 pages, and only beside a rest of such a
 * step does it tell TCG. */
static void under_tcg_ram_to_be_copied_ends_within_a_step(void **state)
{
	(void)state;
	const uint64_t step = 64 * 4096;
	struct guest_spec spec = plain();

	assert_int_equal(guest_ram_bytes(&spec), spec.memory_bytes);
	spec.movable = true;
	assert_int_not_equal(guest_ram_bytes(&spec) % step, 0);
	assert_int_equal(guest_ram_bytes(&spec) % 8192, 0); /* else QEMU rounds it up */
	_parsed_ tcg = parse(&spec);

	assert_true(has_arg(tcg, "size=131080K"));
	assert_true(has_arg(tcg, "memory-backend-ram,id=ram0,size=134225920"));
	spec.accelerator = "kvm";
	assert_int_equal(guest_ram_bytes(&spec), spec.memory_bytes);
	_parsed_ kvm = parse(&spec);

	assert_false(has_arg(kvm, "-m"));
	assert_false(has_arg(kvm, "memory-backend=ram0"));
}

static void every_nic_has_its_tap_and_address(void **state)
{
	(void)state;
	static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}, {"wan", "e1000"}};
	struct guest_spec spec = plain();
	char mac[18], other[18];

	spec.nics = nics;
	spec.nic_count = 2;
	_parsed_ parsed = parse(&spec);

	assert_true(has_arg(parsed, "tap,id=net0,ifname=g0n0,script=no,downscript=no"));
	assert_true(has_arg(parsed, "tap,id=net1,ifname=g0n1,script=no,downscript=no"));
	assert_true(has_arg(
		parsed, "e1000,id=nic1,netdev=net1,mac=52:54:01:ff:ff:ff,romfile=,addr=0x11"));
	guest_mac(0x010203, 4, mac);
	assert_string_equal(mac, "52:54:04:01:02:03");
	guest_mac(0x010204, 4, other);
	assert_string_not_equal(mac, other);
}

/* What one QEMU has open no second one can have, what belongs to the guest stays. */
static void a_seat_has_its_own_sockets_and_taps(void **state)
{
	(void)state;
	static const struct nic_spec nics[] = {{"lan", "e1000"}};
	struct guest_spec spec = plain();

	spec.nics = nics;
	spec.nic_count = 1;
	spec.mac_number = 7;
	spec.uuid = "1e731246-ebb6-4029-b851-a1243a5f6893";
	spec.data_disk = "/d.raw";
	_parsed_ first = parse(&spec);

	assert_false(has_arg(first, "-incoming"));
	spec.seat = 3;
	spec.incoming = true;
	_parsed_ moved = parse(&spec);

	assert_string_equal(text_of(moved, "name"), "g0.3");
	assert_non_null(strstr(text_of(moved, "source@path"), "/g/g0.3/console.sock"));
	assert_true(has_arg(moved, "tap,id=net0,ifname=g0n0b,script=no,downscript=no"));
	assert_true(has_arg(first, "e1000,id=nic0,netdev=net0,mac=52:54:00:00:00:07,romfile=,"
				   "addr=0x10"));
	assert_true(has_arg(moved, "e1000,id=nic0,netdev=net0,mac=52:54:00:00:00:07,romfile=,"
				   "addr=0x10"));
	assert_string_equal(text_of(moved, "log@file"), text_of(first, "log@file"));
	assert_true(has_arg(moved, spec.uuid));
	assert_string_equal(text_of(moved, "uuid"), "");
	assert_string_equal(text_of(moved, "source@file"), "/d.raw");
	assert_string_equal(text_of(moved, "target@dev"), "vda");
	assert_true(has_arg(moved, "-incoming"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_words_stay_words),
		cmocka_unit_test(the_placeholder_becomes_the_name_or_stays),
		cmocka_unit_test(memory_vcpus_and_accelerator_are_as_asked),
		cmocka_unit_test(ram_is_private_shared_or_copied),
		cmocka_unit_test(under_tcg_ram_to_be_copied_ends_within_a_step),
		cmocka_unit_test(every_nic_has_its_tap_and_address),
		cmocka_unit_test(a_seat_has_its_own_sockets_and_taps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
