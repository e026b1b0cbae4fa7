/* The template of the L1 guests: one in which the L2 guests have booted and stand still. See
 * nested.h; these are the hooks of fleet_extra. */
#include "harness/base/embedded.h"
#include "harness/base/fs.h"
#include "harness/fleet/nested_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* The template's own management address; a clone gets another. */
#define TEMPLATE_ADDRESS "10.77.1.200"

/* ---- files ---- */

static struct error *copy_range(int from, off_t from_at, int to, off_t to_at, off_t bytes)
{
	while (bytes > 0) {
		char buffer[256 << 10];
		size_t want = bytes < (off_t)sizeof(buffer) ? (size_t)bytes : sizeof(buffer);
		ssize_t n = pread(from, buffer, want, from_at);

		if (n > 0)
			n = pwrite(to, buffer, (size_t)n, to_at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_errno(n < 0 ? errno : EIO, "cannot copy an NVDIMM's content");
		from_at += n;
		to_at += n;
		bytes -= n;
	}
	return NULL;
}

/* Copies the data of [from_at, from_at + bytes) and leaves holes as they are. */
static struct error *copy_sparse_range(int from, off_t from_at, int to, off_t to_at, off_t bytes)
{
	off_t end = from_at + bytes;
	off_t at = from_at;

	while (at < end) {
		off_t data = lseek(from, at, SEEK_DATA);
		off_t hole;

		if (data >= end || (data < 0 && errno == ENXIO))
			return NULL;
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return error_errno(errno, "cannot find the data of an NVDIMM");
		if (hole > end)
			hole = end;
		try_(copy_range(from, data, to, to_at + (data - from_at), hole - data));
		at = hole;
	}
	return NULL;
}

/* Makes the i-th NVDIMM's file, empty or with the template's content. */
static struct error *make_region(
	const struct nested_plan *plan, unsigned int region, int kept_fd, off_t kept_at)
{
	_cleanup_free_ char *path = nested_region_path(region);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t bytes = (off_t)nested_region_bytes(plan, region);

	if (fd < 0 || ftruncate(fd, bytes) < 0)
		return error_errno(errno, "cannot make the NVDIMM %s", path);
	return kept_fd < 0 ? NULL : copy_sparse_range(kept_fd, kept_at, fd, 0, bytes);
}

/* A file of the lab by which a drive of L1 guests is known: the same path in every lab. */
static struct error *provide(const char *name, const char *file)
{
	_cleanup_free_ char *path = format_string("%s/l1-%s", lab_dir(), name);

	if (symlink(file, path) < 0)
		return error_errno(errno, "cannot provide %s to L1 guests", file);
	return NULL;
}

/* The program's file may be replaced by a newer build while we run, so it is copied. */
static struct error *provide_program(const struct nested_plan *plan)
{
	_cleanup_free_ char *path = format_string("%s/l1-program", lab_dir());
	_cleanup_free_ char *content = NULL;
	size_t size;

	try_(fs_read(plan->spec.program ? plan->spec.program : "/proc/self/exe", 256 << 20,
		&content, &size));
	return fs_write_atomic(path, content, size);
}

struct error *nested_prepare(const struct fleet_host *host, void *context)
{
	const struct nested_plan *plan = context;
	/* A template's memory has content once it has an argument vector. */
	int kept_fd = host->template->argv ? host->template->kept_fd : -1;
	off_t at = 0;

	for (unsigned int i = 0; i <= plan->spec.count; i++) {
		try_(make_region(plan, i, kept_fd, at));
		at += (off_t)nested_region_bytes(plan, i);
	}
	try_(provide_program(plan));
	try_(provide("kernel", host->inner_image->kernel));
	return provide("initrd", host->inner_image->initrd);
}

struct error *nested_saved(const struct fleet_host *host, void *context)
{
	const struct nested_plan *plan = context;
	off_t at = 0;

	for (unsigned int i = 0; i <= plan->spec.count; i++) {
		_cleanup_free_ char *path = nested_region_path(i);
		_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
		off_t bytes = (off_t)nested_region_bytes(plan, i);

		if (fd < 0)
			return error_errno(errno, "cannot open the NVDIMM %s", path);
		try_(copy_sparse_range(fd, 0, host->template->kept_fd, at, bytes));
		at += bytes;
	}
	return NULL;
}

/* ---- the guest that becomes the template ---- */

static struct error *run_in(struct agent *agent, const char *const argv[], const void *input,
	size_t input_size, struct deadline deadline)
{
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	try_(agent_exec(agent, argv, input, input_size, deadline, &result));
	if (result.exit_status == 0)
		return NULL;
	return error_new(ERROR_GUEST, "cannot make an L1 host of a guest: status %d: %.500s",
		result.exit_status, result.errors);
}

static struct error *set_up(const struct nested_plan *plan, struct fleet *outer)
{
	const struct embedded_file *script = embedded_find("tiny-init/l1-setup");
	_cleanup_free_ char *port = format_string("%d", NESTED_STACK_PORT);
	static const char *const address[] = {
		"ip", "addr", "add", TEMPLATE_ADDRESS "/24", "dev", "eth1", NULL};
	const char *argv[7 + NESTED_GUESTS_MAX] = {"/bin/sh", "-s", port, "eth1", "eth2"};
	struct agent *agent = outer->guests[0].agent;
	char names[NESTED_GUESTS_MAX][12];
	struct error *err;

	if (!script)
		return error_new(ERROR_INTERNAL, "this fleetlab was built without l1-setup");
	for (unsigned int i = 0; i < plan->spec.count; i++) {
		snprintf(names[i], sizeof(names[i]), "n%u", i);
		argv[5 + i] = names[i];
	}
	err = run_in(agent, argv, script->data, script->size, outer->deadline);
	if (err)
		return error_hint(err,
			"nested guests need virtualization extensions in their hosts: TCG has "
			"them; for KVM, load kvm_intel or kvm_amd with nested=1");
	return run_in(agent, address, NULL, 0, outer->deadline);
}

static struct error *stand_still(struct fleet *inner, const struct guest *guest)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	try_(stacks_connect(inner, 0, &stack));
	return stack_request(stack,
		json_pack("{s:s, s:s, s:s}", "op", "qmp", "name", guest->seat, "command", "stop"),
		inner->deadline, NULL);
}

/* Nobody may be connected to what shall run in clones as well. It must run still: a QEMU whose
 * guest stands does not notice the end of a connection. */
static struct error *part(struct fleet *inner, struct guest *guest)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	agent_close(take_ptr(guest->agent));
	cleanup_close(&guest->control_fd);
	guest->control_fd = -1;
	try_(stacks_connect(inner, 0, &stack));
	return stack_request(stack, json_pack("{s:s}", "op", "idle"), inner->deadline, NULL);
}

static struct error *boot_inner(struct fleet *inner, struct guest *guest)
{
	struct guest_spec spec = guest_spec_of(inner, guest);

	try_(start_cold(inner, guest, &spec));
	try_(meet(inner, guest));
	try_(leave_waiting(inner, guest));
	try_(part(inner, guest));
	return stand_still(inner, guest);
}

struct error *nested_ripen(struct fleet *outer, void *context)
{
	static const char *const tidy[] = {"/bin/sh", "-c",
		"ip addr del " TEMPLATE_ADDRESS "/24 dev eth1; rm /run/nested/kernel "
		"/run/nested/initrd",
		NULL};
	const struct nested_plan *plan = context;
	const struct nested_host host = {TEMPLATE_ADDRESS, fleet_guest_pid(outer, 0)};
	_cleanup_(cleanup_fleet) struct fleet *inner = NULL;

	try_(set_up(plan, outer));
	try_(nested_inner_fleet(plan, FLEET_COLD, &host, 1, outer->deadline, &inner));
	for (unsigned int i = 0; i < inner->count; i++) {
		struct error *err = boot_inner(inner, &inner->guests[i]);

		if (err)
			return error_prefix(err, "L2 guest %s", inner->guests[i].name);
	}
	return run_in(outer->guests[0].agent, tidy, NULL, 0, outer->deadline);
}
