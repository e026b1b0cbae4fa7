/* The checks of `fleetlab doctor`: see doctor_checks.h. None may change anything on the host. */
#include "harness/cmd/doctor_checks.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/host/accelerator.h"
#include "harness/host/facts.h"
#include "harness/host/knobs.h"
#include "harness/host/lock.h"
#include "harness/host/qemu.h"
#include "harness/image/image.h"

#include <dlfcn.h>
#include <grp.h>
#include <libgen.h>
#include <libvirt/libvirt.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

/* The quick profile's largest fleet, eight guests of 128 MiB, with 100 MiB for each QEMU. */
#define QUICK_MEMORY_BYTES (8ULL * 228 << 20)
/* The tiny image, the packages it is made of and what is unpacked on the way. */
#define IMAGE_BYTES (1ULL << 30)
/* Records and journals of many runs. */
#define RESULTS_BYTES (100ULL << 20)

#define WITH_DEPS "ci/with-deps true installs it"

void check_value(struct check_result *result, enum check_status status, const char *format, ...)
{
	va_list args;

	result->status = status;
	free(result->value);
	va_start(args, format);
	if (vasprintf(&result->value, format, args) < 0)
		abort();
	va_end(args);
}

void check_remedy(struct check_result *result, const char *format, ...)
{
	va_list args;

	free(result->remedy);
	va_start(args, format);
	if (vasprintf(&result->remedy, format, args) < 0)
		abort();
	va_end(args);
}

void check_error(struct check_result *result, enum check_status status, struct error *err)
{
	const char *remedy = error_remedy(err);

	check_value(result, status, "%s", error_message(err));
	check_remedy(result, "%s", remedy ? remedy : "see the message");
	error_destroy(err);
}

void check_append(char **list, const char *word)
{
	char *longer = *list ? format_string("%s, %s", *list, word) : format_string("%s", word);

	free(*list);
	*list = longer;
}

static void check_accelerator(const struct check_context *context, struct check_result *result)
{
	_cleanup_(accelerator_deinit) struct accelerator found = {0};
	struct error *err = accelerator_find(context->qemu, NULL, context->deadline, &found);

	if (err) {
		check_error(result, CHECK_FAIL, err);
		return;
	}
	if (found.kvm == KVM_WORKS) {
		check_value(result, CHECK_OK, "kvm: %s", found.reason);
		return;
	}
	check_value(result, CHECK_WARN, "tcg, because %s", found.reason);
	if (found.kvm == KVM_NOT_PERMITTED)
		check_remedy(result, "run as root, or join the group of /dev/kvm");
	else
		check_remedy(result,
			"ratios and shapes are graded under TCG too; absolute times want KVM");
}

static void check_qemu(const struct check_context *context, struct check_result *result)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *version = NULL;
	struct error *err = qemu_usable(context->qemu, context->deadline, &path, &version);

	if (err) {
		check_error(result, CHECK_FAIL, err);
		return;
	}
	check_value(result, CHECK_OK, "%s, %s", version, path);
}

/* What QEMU must have, and for what; what the quick profile needs comes first. */
static const struct {
	const char *list, *name, *use;
	bool quick;
} features[] = {
	{"objects", "memory-backend-file", "guest RAM in a file", true},
	{"objects", "memory-backend-memfd", "guest RAM without a file", true},
	{"migration", "x-ignore-shared", "clones and zero-copy migration", true},
	{"devices", "virtio-net-pci", "network", true},
	{"devices", "virtserialport", "guest agent", true},
	{"devices", "ivshmem-plain", "shared memory", true},
	{"devices", "ivshmem-doorbell", "shared memory with interrupts", false},
	{"devices", "intel-iommu", "interrupts to user space in guests", false},
	{"devices", "nvdimm", "nested zero-copy migration", false},
	{"devices", "virtio-balloon-pci", "ballooning", false},
	{"devices", "e1000", "emulated NIC as a baseline", false},
};

static void check_features(const struct check_context *context, struct check_result *result)
{
	_cleanup_json_ json_t *known = NULL;
	_cleanup_free_ char *missing = NULL;
	enum check_status status = CHECK_WARN;
	struct error *err = qemu_features(context->qemu, context->deadline, &known);

	if (err) {
		check_error(result, CHECK_FAIL, err);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (qemu_has(known, features[i].list, features[i].name))
			continue;
		_cleanup_free_ char *word =
			format_string("%s (%s)", features[i].name, features[i].use);

		check_append(&missing, word);
		if (features[i].quick)
			status = CHECK_FAIL;
	}
	if (!missing) {
		check_value(result, CHECK_OK,
			"all %zu: ivshmem, intel-iommu, nvdimm, x-ignore-shared, …",
			ARRAY_SIZE(features));
		return;
	}
	check_value(result, status, "missing: %s", missing);
	check_remedy(result, "a QEMU built with them is needed: qemu-system-x86 of Debian has all");
}

/* The module stands beside the library: LIBDIR/libvirt/connection-driver/. */
static bool has_qemu_driver(void)
{
	Dl_info info;
	_cleanup_free_ char *library = NULL;

	if (!dladdr((void *)virGetVersion, &info) || !info.dli_fname)
		return false;
	library = realpath(info.dli_fname, NULL);
	if (!library)
		return false;
	_cleanup_free_ char *module = format_string(
		"%s/libvirt/connection-driver/libvirt_driver_qemu.so", dirname(library));

	return access(module, R_OK) == 0;
}

static void check_libvirt(const struct check_context *context, struct check_result *result)
{
	unsigned long version = 0;

	(void)context;
	if (virGetVersion(&version, NULL, NULL) < 0 || version < 6001000) {
		check_value(
			result, CHECK_FAIL, "library %lu: no embedded driver before 6.1", version);
		check_remedy(result, "Debian 12 has 9.0: apt-get install libvirt0");
	} else if (!has_qemu_driver()) {
		check_value(result, CHECK_FAIL, "the QEMU driver module is missing");
		check_remedy(result, "package libvirt-daemon-driver-qemu: " WITH_DEPS);
	} else if (!getpwnam("libvirt-qemu") || !getgrnam("libvirt-qemu")) {
		check_value(result, CHECK_FAIL, "there is no user and group libvirt-qemu");
		check_remedy(
			result, "ci/with-deps true adds them (libvirt-daemon-system does too)");
	} else {
		check_value(result, CHECK_OK, "%lu.%lu.%lu, QEMU driver, user libvirt-qemu",
			version / 1000000, version / 1000 % 1000, version % 1000);
	}
}

static void check_tools(const struct check_context *context, struct check_result *result)
{
	static const char *const tools[] = {"ip", "tc", "unshare", "apt-get", "dpkg-deb",
		"mmdebstrap", "mkfs.ext4", "qemu-img", "cpio", "tar", "xz", "zstd", "depmod",
		"modprobe", "busybox"};
	_cleanup_free_ char *missing = NULL;

	(void)context;
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		if (!process_in_path(tools[i]))
			check_append(&missing, tools[i]);
	}
	if (!missing) {
		check_value(result, CHECK_OK, "all %zu that images and labs are made with",
			ARRAY_SIZE(tools));
		return;
	}
	check_value(result, CHECK_FAIL, "missing: %s", missing);
	check_remedy(result, "ci/with-deps true installs them (is /usr/sbin in PATH?)");
}

static void check_memory(const struct check_context *context, struct check_result *result)
{
	uint64_t available = 0;

	(void)context;
	if (!host_meminfo("MemAvailable", &available)) {
		check_value(result, CHECK_WARN, "/proc/meminfo does not tell");
		check_remedy(result, "is /proc mounted?");
		return;
	}
	check_value(result, available >= QUICK_MEMORY_BYTES ? CHECK_OK : CHECK_FAIL,
		"%.1f GiB available; the quick profile needs %.1f GiB",
		(double)available / (1 << 30), (double)QUICK_MEMORY_BYTES / (1 << 30));
	check_remedy(result, "end what uses memory, or use --profile smoke");
}

/* True when files can be made at `path` or in its nearest existing parent. */
static bool is_writable(const char *path)
{
	_cleanup_free_ char *copy = format_string("%s", path);

	while (access(copy, F_OK) < 0) {
		char *parent = strrchr(copy, '/');

		if (!parent)
			return access(".", W_OK) == 0;
		parent[parent == copy ? 1 : 0] = '\0';
	}
	return access(copy, W_OK | X_OK) == 0;
}

static void check_place(const char *path, uint64_t need, const char *variable,
	enum check_status when_short, struct check_result *result)
{
	uint64_t bytes = 0;
	struct error *err = fs_free_bytes(path, &bytes);

	if (err) {
		check_error(result, CHECK_FAIL, err);
	} else if (!is_writable(path)) {
		check_value(result, CHECK_FAIL, "%s is not writable", path);
		check_remedy(result, "set %s to a directory of yours", variable);
	} else if (bytes < need) {
		check_value(result, when_short, "%s: %.1f GiB free, %.1f GiB wanted", path,
			(double)bytes / (1 << 30), (double)need / (1 << 30));
		check_remedy(result, "make room, or set %s to another place", variable);
	} else {
		check_value(result, CHECK_OK, "%s: %.1f GiB free", path, (double)bytes / (1 << 30));
	}
}

static bool list_images(struct image_list *list, struct check_result *result)
{
	struct error *err = image_list(list);

	if (err)
		check_error(result, CHECK_WARN, err);
	return !err;
}

static bool has_image(const struct image_list *list, const char *kind)
{
	for (size_t i = 0; i < list->count; i++) {
		if (!list->items[i].layer && strcmp(list->items[i].kind, kind) == 0)
			return true;
	}
	return false;
}

/* Room for building is only needed while something is to be built. */
static void check_cache(const struct check_context *context, struct check_result *result)
{
	_cleanup_free_ char *path = fs_cache_dir();
	_cleanup_(image_list_deinit) struct image_list list = {0};

	(void)context;
	if (list_images(&list, result))
		check_place(path, IMAGE_BYTES, "FLEETLAB_CACHE",
			has_image(&list, "tiny") ? CHECK_WARN : CHECK_FAIL, result);
}

static void check_results(const struct check_context *context, struct check_result *result)
{
	_cleanup_free_ char *path = fs_results_dir();

	(void)context;
	check_place(path, RESULTS_BYTES, "FLEETLAB_RESULTS", CHECK_FAIL, result);
}

static void check_images(const struct check_context *context, struct check_result *result)
{
	_cleanup_(image_list_deinit) struct image_list list = {0};
	_cleanup_free_ char *present = NULL;

	(void)context;
	if (!list_images(&list, result))
		return;
	for (size_t i = 0; i < list.count; i++) {
		const struct image_summary *image = &list.items[i];
		_cleanup_free_ char *word = format_string(
			"%s (%llu MiB)", image->name, (unsigned long long)image->size_bytes >> 20);

		if (!image->layer)
			check_append(&present, word);
	}
	check_value(result, has_image(&list, "tiny") ? CHECK_OK : CHECK_WARN, "%s",
		present ? present : "none yet");
	check_remedy(result, "built when first needed; now: fleetlab image build tiny");
}

/* Appends each borrowed knob; true when one has been left by the dead. */
static bool append_knobs(const json_t *entries, char **list)
{
	bool stale = false;
	json_t *entry;
	size_t i;

	json_array_foreach (entries, i, entry) {
		bool alive = json_is_true(json_object_get(entry, "alive"));
		_cleanup_free_ char *word =
			format_string("%s %s", json_string_value(json_object_get(entry, "path")),
				alive ? "borrowed" : "not given back");

		check_append(list, word);
		stale |= !alive;
	}
	return stale;
}

static void check_leftovers(const struct check_context *context, struct check_result *result)
{
	_cleanup_json_ json_t *holder = NULL;
	_cleanup_json_ json_t *knobs = NULL;
	_cleanup_free_ char *found = NULL;
	struct error *err = host_lock_holder(&holder);

	(void)context;
	if (!err)
		err = knobs_list(&knobs);
	if (err) {
		check_error(result, CHECK_WARN, err);
		return;
	}
	if (holder)
		check_append(&found, json_string_value(json_object_get(holder, "what")));
	bool stale = append_knobs(knobs, &found);

	if (!found) {
		check_value(result, CHECK_OK, "nothing left over, no run going on");
		return;
	}
	check_value(result, CHECK_WARN, "%s", found);
	check_remedy(result, stale ? "fleetlab gc" : "a run is going on: --wait waits for it");
}

const struct check doctor_checks[] = {
	{"privileges", check_privileges},
	{"accelerator", check_accelerator},
	{"qemu", check_qemu},
	{"qemu features", check_features},
	{"libvirt", check_libvirt},
	{"namespaces", check_namespaces},
	{"network", check_network},
	{"shaping", check_shaping},
	{"tools", check_tools},
	{"ksm", check_ksm},
	{"cgroup", check_cgroup},
	{"topology", check_topology},
	{"memory", check_memory},
	{"cache", check_cache},
	{"results", check_results},
	{"images", check_images},
	{"leftovers", check_leftovers},
};
const size_t doctor_check_count = ARRAY_SIZE(doctor_checks);
