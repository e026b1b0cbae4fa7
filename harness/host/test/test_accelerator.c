/*
 * Accelerator detection against stand-ins for QEMU that behave as real ones were seen to do (exit
 * statuses and messages are captured), and against the real one.
 */
#include "harness/base/test/scratch_cache.h"
#include "harness/base/clock.h"
#include "harness/base/process.h"
#include "harness/host/accelerator.h"
#include "harness/host/probe_guest.h"
#include "harness/host/qemu.h"

#include <unistd.h>

/* The stand-in appends a line to "boots" for each boot; the device is a plain file. Under TCG the
 * guest comes up, as it does with every QEMU that works. */
#define STAND_IN                                                                                   \
	"#!/bin/sh\n"                                                                              \
	"echo \"$*\" >>\"${0%/*}/boots\"\n"                                                        \
	"case \"$*\" in *accel=tcg*) exit 85 ;; esac\n"

#define WORKS STAND_IN "exit 85\n"
#define HANGS STAND_IN "exec sleep 600\n"
#define REFUSES                                                                                    \
	STAND_IN "echo 'qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69' >&2\n"         \
		 "echo 'qemu-system-x86_64: kvm.c:3183: Assertion failed.' >&2\n"                  \
		 "exit 134\n"
#define BROKEN "#!/bin/sh\necho 'qemu: could not load PC BIOS' >&2\nexit 1\n"

static struct error *find(const char *device, struct deadline deadline, struct accelerator *out)
{
	static char path[256];
	_cleanup_free_ char *qemu = scratch_path("qemu");

	snprintf(path, sizeof(path), "%s/%s", scratch, device);
	accelerator_relocate(path);
	return accelerator_find(qemu, NULL, deadline, out);
}

static int boots(void)
{
	_cleanup_free_ char *path = scratch_path("boots");
	_cleanup_free_ char *text = fs_read_line(path);
	int lines = text && text[0] ? 1 : 0;

	for (const char *p = text; p && *p; p++)
		lines += *p == '\n';
	return lines;
}

static void stand_in(const char *script)
{
	scratch_write("qemu", script, 0755);
	scratch_write("kvm", "", 0600);
}

static void works(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator first = {0}, second = {0};

	(void)state;
	stand_in(WORKS);
	assert_ok(find("kvm", deadline_after_ms(30000), &first));
	assert_string_equal(first.name, "kvm");
	assert_int_equal(first.kvm, KVM_WORKS);
	assert_true(first.probed_now);
	assert_int_equal(boots(), 1);

	assert_ok(find("kvm", deadline_after_ms(30000), &second));
	assert_string_equal(second.name, "kvm");
	assert_string_equal(second.reason, first.reason);
	assert_false(second.probed_now);
	assert_int_equal(boots(), 1);
}

static void hangs(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator first = {0}, second = {0};

	(void)state;
	stand_in(HANGS);
	assert_ok(find("kvm", deadline_after_ms(60000), &first));
	assert_string_equal(first.name, "tcg");
	assert_int_equal(first.kvm, KVM_HANGS);
	assert_non_null(strstr(first.reason, "was not up after 5."));
	assert_int_equal(boots(), 2);
	assert_ok(find("kvm", deadline_after_ms(60000), &second));
	assert_false(second.probed_now);
	assert_int_equal(boots(), 2);
}

static void refuses(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator found = {0};

	(void)state;
	stand_in(REFUSES);
	assert_ok(find("kvm", deadline_after_ms(30000), &found));
	assert_string_equal(found.name, "tcg");
	assert_int_equal(found.kvm, KVM_REFUSED);
	assert_string_equal(
		found.reason, "under KVM QEMU gives up: failed to set MSR 0x10a to 0x69");
}

static void device_absent_then_present(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator without = {0}, with = {0};

	(void)state;
	stand_in(WORKS);
	assert_ok(find("no-such-device", deadline_after_ms(30000), &without));
	assert_string_equal(without.name, "tcg");
	assert_int_equal(without.kvm, KVM_ABSENT);
	assert_non_null(strstr(without.reason, "there is no "));

	/* A KVM that has appeared is noticed although an answer is remembered. */
	_cleanup_free_ char *device = scratch_path("no-such-device");

	scratch_write("no-such-device", "", 0600);
	assert_ok(find("no-such-device", deadline_after_ms(30000), &with));
	assert_string_equal(with.name, "kvm");
	assert_true(with.probed_now);
}

/* Opening as an ordinary user needs a process that is one: root may open anything. */
static void not_permitted(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator found = {0};

	(void)state;
	stand_in(WORKS);
	scratch_write("kvm", "", 0000);
	assert_int_equal(chmod(scratch, 0777), 0);
	bool root = geteuid() == 0;

	if (root)
		assert_int_equal(seteuid(65534), 0);
	struct error *err = find("kvm", deadline_after_ms(30000), &found);

	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_ok(err);
	assert_string_equal(found.name, "tcg");
	assert_int_equal(found.kvm, KVM_NOT_PERMITTED);
	assert_non_null(strstr(found.reason, "may not be opened"));
}

static void changed_qemu_is_probed_again(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator first = {0}, second = {0}, third = {0};

	(void)state;
	stand_in(WORKS);
	assert_ok(find("kvm", deadline_after_ms(30000), &first));
	scratch_write("qemu", REFUSES, 0755);
	assert_ok(find("kvm", deadline_after_ms(30000), &second));
	assert_true(second.probed_now);
	assert_string_equal(second.name, "tcg");
	assert_ok(accelerator_forget());
	assert_ok(find("kvm", deadline_after_ms(30000), &third));
	assert_true(third.probed_now);
}

static void deadline_is_no_answer(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator found = {0};
	_cleanup_free_ char *answers = scratch_path("accelerator.json");

	(void)state;
	stand_in(HANGS);
	_cleanup_error_ struct error *err = find("kvm", deadline_after_ms(200), &found);

	assert_non_null(err);
	assert_int_equal(error_kind(err), ERROR_TIMEOUT);
	assert_null(found.name);
	assert_int_not_equal(access(answers, F_OK), 0);
}

static void broken_and_missing_qemu(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator found = {0};

	(void)state;
	stand_in(BROKEN);
	_cleanup_error_ struct error *broken = find("kvm", deadline_after_ms(30000), &found);

	assert_non_null(broken);
	assert_non_null(strstr(error_message(broken), "could not load PC BIOS"));
	_cleanup_error_ struct error *missing =
		accelerator_find("no-such-qemu", NULL, deadline_after_ms(1000), &found);

	assert_non_null(missing);
	assert_non_null(strstr(error_message(missing), "no-such-qemu"));
	assert_non_null(error_remedy(missing));
	assert_null(found.name);
}

/* A cache file that is garbage costs a probe, nothing else. */
static void damaged_memory(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator found = {0}, again = {0};

	(void)state;
	stand_in(WORKS);
	scratch_write("accelerator.json", "{\"qemu", 0644);
	assert_ok(find("kvm", deadline_after_ms(30000), &found));
	assert_true(found.probed_now);
	assert_ok(find("kvm", deadline_after_ms(30000), &again));
	assert_false(again.probed_now);
}

/* The guest itself, on the QEMU that is installed; whatever KVM does here, there is an answer. */
static void real_qemu(void **state)
{
	_cleanup_(accelerator_deinit) struct accelerator without = {0}, found = {0};

	(void)state;
	if (!process_in_path(QEMU_DEFAULT))
		skip();
	accelerator_relocate("/nonexistent/kvm");
	assert_ok(accelerator_find(QEMU_DEFAULT, NULL, deadline_after_ms(60000), &without));
	assert_string_equal(without.name, "tcg");
	assert_true(without.boot_seconds > 0);
	accelerator_relocate(NULL);
	assert_ok(accelerator_find(QEMU_DEFAULT, NULL, deadline_after_ms(60000), &found));
	print_message("%s: %s (kvm %s)\n", found.name, found.reason, kvm_state_name(found.kvm));
	assert_int_equal(strcmp(found.name, "kvm") == 0, found.kvm == KVM_WORKS);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_make_cache, scratch_remove)
	const struct CMUnitTest tests[] = {
		TEST(works),
		TEST(hangs),
		TEST(refuses),
		TEST(device_absent_then_present),
		TEST(not_permitted),
		TEST(changed_qemu_is_probed_again),
		TEST(deadline_is_no_answer),
		TEST(broken_and_missing_qemu),
		TEST(damaged_memory),
		TEST(real_qemu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
