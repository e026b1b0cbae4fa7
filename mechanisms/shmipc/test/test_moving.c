/* What of a region can move with its guest to another QEMU, and what cannot: on real QEMUs, which
 * get the devices that the region service says. */
#include "harness/fleet/test/qemu_pair.h"
#include "harness/fleet/shared_devices.h"
#include "harness/lab/lab.h"
#include "mechanisms/shmipc/doorbell_server.h"
#include "mechanisms/shmipc/region_service.h"

#include <glib.h>
#include <sys/mman.h>

static const struct region_spec ring = {"ring", "members", REGION_PAPER_PAGES};

/* Gives the source what the plugs (freed) say; what would be in a lab is in the scratch directory.
 */
static void plug_source(struct qemu_pair *pair, const struct plug_spec plugs[2])
{
	_cleanup_free_ char *lab = format_string("%s/regions", lab_dir());

	for (int i = 0; i < 2; i++) {
		gchar **parts = g_strsplit(plugs[i].arguments, lab, -1);
		gchar *text = g_strjoinv(scratch, parts);

		assert_ok(qmp_execute(pair->sides[0].qmp, plugs[i].command,
			json_loads(text, 0, NULL), SOON, NULL));
		g_free(text);
		g_strfreev(parts);
		free((char *)plugs[i].arguments);
	}
}

/* What firmware does: the bus behind "plug0" gets a number. */
static void number_bus(struct qemu_pair *pair)
{
	static const char *const lines[] = {"o /w 0xcf8 0x8000a018", "o /w 0xcfc 0x010100"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_ok(qmp_execute(pair->sides[0].qmp, "human-monitor-command",
			json_pack("{s:s}", "command-line", lines[i]), SOON, NULL));
}

/* The source is given the plugs, and its state, with "ring" mapped, goes to the target. */
static void moves(struct plug_spec plugs[2], const char *file)
{
	_qemu_pair_ pair = {0};
	_cleanup_json_ json_t *described = NULL;

	qemu_pair_start(&pair);
	number_bus(&pair);
	plug_source(&pair, plugs);
	assert_ok(shared_devices_describe(pair.stack, "src", SOON, &described));
	assert_int_equal(json_array_size(described), 1);
	assert_ok(shared_devices_provide(pair.stack, "dst", described, SOON));
	assert_ok(qemu_pair_migrate(&pair));
	assert_true(qemu_mapped_inode(&pair, 1, file) > 0);
	assert_int_equal(qemu_mapped_inode(&pair, 0, file), qemu_mapped_inode(&pair, 1, file));
}

static void a_region_moves(void **state)
{
	(void)state;
	struct plug_spec plugs[2];

	assert_ok(region_plugs(&ring, "members", REGION_READ_WRITE, PLUG_ALL, plugs));
	moves(plugs, "/ring");
}

/* Also of a member that is not the first: QEMU must not know that it is not. */
static void a_region_with_doorbells_moves(void **state)
{
	(void)state;
	_cleanup_free_ char *prefix = scratch_path("ring.sock");
	_cleanup_close_ int fd = memfd_create("region", MFD_CLOEXEC);
	struct doorbell_server *server;

	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_ok(doorbell_server_create(prefix, 3, fd, &server));
	for (unsigned int guest = 0; guest < 3; guest += 2) {
		struct plug_spec plugs[2];

		assert_ok(region_doorbell_plugs(&ring, "members", guest, plugs));
		assert_int_equal(plugs[0].guests, 1 << guest);
		moves(plugs, "/memfd:region");
	}
	doorbell_server_destroy(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_region_moves),
		scratch_test(a_region_with_doorbells_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
