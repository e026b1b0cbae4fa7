/*
 * What tests of labs share: bodies that run in a lab of their own, on a host that is watched. Tests
 * are lab_test()s of a group whose set-up is enter_own_host. Needs root. Include first.
 */
#pragma once

#include "harness/base/test/support.h"
#include "harness/base/process.h"
#include "harness/lab/lab.h"

#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define SOON deadline_after_ms(TEST_TIMEOUT_MS)

/* What the host shows of labs: its mounts and its network devices. */
struct host_view {
	char *mounts, *devices;
};

static inline void look(struct host_view *view)
{
	struct if_nameindex *devices = if_nameindex();
	size_t size;
	FILE *names = open_memstream(&view->devices, &size);

	assert_non_null(devices);
	for (struct if_nameindex *device = devices; device->if_name; device++)
		fprintf(names, "%s ", device->if_name);
	if_freenameindex(devices);
	fclose(names);
	assert_ok(fs_read("/proc/self/mountinfo", 1 << 20, &view->mounts, NULL));
}

static inline int before(void **state)
{
	struct host_view *view = calloc(1, sizeof(*view));

	if (scratch_make(state) < 0)
		return -1;
	look(view);
	*state = view;
	return 0;
}

/* Every test ends with this: the host looks as it did. */
static inline int after(void **state)
{
	struct host_view *was = *state;
	struct host_view is;

	look(&is);
	assert_string_equal(is.mounts, was->mounts);
	assert_string_equal(is.devices, was->devices);
	free(is.mounts);
	free(is.devices);
	free(was->mounts);
	free(was->devices);
	free(was);
	return scratch_remove(state);
}

#define skip_without_root()                                                                        \
	do {                                                                                       \
		(void)state;                                                                       \
		if (geteuid() != 0) {                                                              \
			print_message("skipped: a lab needs root\n");                              \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

static inline int run_body(lab_body *body, void *context, bool mask_kvm)
{
	struct lab_options options = {
		.name = "test-lab", .mask_kvm = mask_kvm, .body = body, .context = context};
	_cleanup_(lab_kill) struct lab lab = {.alive_fd = -1};
	int status;

	assert_ok(lab_open(&options, &lab));
	assert_true(lab_wait(&lab, SOON, &status));
	assert_true(lab_wait(&lab, deadline_after_ms(0), &status)); /* again: harmless */
	lab_kill(&lab);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Bodies return the line of the check that failed, or 0. */
#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return __LINE__ % 256 ? __LINE__ % 256 : 255;                              \
	} while (0)

/* The same for an error, which is told. */
#define check_ok(expr)                                                                             \
	do {                                                                                       \
		_cleanup_error_ struct error *_failed = (expr);                                    \
		if (_failed)                                                                       \
			print_error("%s\n", error_message(_failed));                               \
		check(!_failed);                                                                   \
	} while (0)

/* The host of these labs has mounts and a network of its own, that nobody else changes; what leaked
 * out of a lab would show: mounts made there propagate to their peers. */
static inline int enter_own_host(void **state)
{
	const char *const device[] = {"ip", "link", "add", "name", "host0", "type", "bridge", NULL};

	(void)state;
	if (geteuid() != 0)
		return 0;
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
		return -1;
	struct error *err = process_check(device, NULL, SOON, NULL);

	error_destroy(err);
	return err ? -1 : 0;
}

#define lab_test(f) cmocka_unit_test_setup_teardown(f, before, after)
