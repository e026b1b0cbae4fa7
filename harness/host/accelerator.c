/* Which accelerator QEMU can really use here: see accelerator.h. */
#include "harness/host/accelerator.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/host/facts.h"
#include "harness/host/probe_guest.h"
#include "harness/host/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* How long a probe may take under KVM, where it needs a tenth of a second. */
#define KVM_PATIENCE_MS 5000
/* A host on which TCG needs this much for its 0.1 s is too busy to call KVM hung for good. */
#define BUSY_SECONDS 1.5

static const char *kvm_device = "/dev/kvm";

static const char *const state_names[] = {
	[KVM_ABSENT] = "absent",
	[KVM_NOT_PERMITTED] = "not-permitted",
	[KVM_REFUSED] = "refused",
	[KVM_HANGS] = "hangs",
	[KVM_WORKS] = "works",
};

/* What one probe boot came to. */
struct boot {
	bool up, hung;
	double seconds;
	char *complaint; /* QEMU's, when it ended by itself without the guest being up */
};

static void boot_deinit(struct boot *boot)
{
	free(boot->complaint);
}

void accelerator_deinit(struct accelerator *accelerator)
{
	free(accelerator->name);
	free(accelerator->reason);
	*accelerator = (struct accelerator){0};
}

const char *kvm_state_name(enum kvm_state state)
{
	return state_names[state];
}

void accelerator_relocate(const char *device)
{
	kvm_device = device ? device : "/dev/kvm";
}

/* KVM_WORKS here means only that the device can be opened. */
static enum kvm_state look_at_device(void)
{
	_cleanup_close_ int fd = open(kvm_device, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return KVM_WORKS;
	return errno == EACCES || errno == EPERM ? KVM_NOT_PERMITTED : KVM_ABSENT;
}

/* The line of QEMU's stderr that says most: the first with "error" or "failed", else the last. */
static char *complaint_of(const struct process_result *result)
{
	_cleanup_free_ char *copy = format_string("%s", result->errors);
	const char *best = NULL;
	char *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		best = line;
		if (strstr(line, "error") || strstr(line, "failed"))
			break;
	}
	if (!best)
		return format_string("QEMU ended with status %d", result->exit_status);
	/* "qemu-system-x86_64: error: what": the program is known from the context */
	const char *colon = strncmp(best, "qemu", 4) == 0 ? strstr(best, ": ") : NULL;

	best = colon ? colon + 2 : best;
	return format_string("%s", strncmp(best, "error: ", 7) == 0 ? best + 7 : best);
}

static struct error *open_probe_image(int *fd)
{
	size_t size = (size_t)(probe_guest_image_end - probe_guest_image);
	_cleanup_close_ int image = memfd_create("fleetlab-probe", MFD_CLOEXEC);

	if (image < 0)
		return error_errno(errno, "cannot create memory for the probe guest");
	try_(fs_write_all(image, probe_guest_image, size, "the probe guest"));
	*fd = take_fd(&image);
	return NULL;
}

/* Boots the probe once. Fails only when QEMU cannot be started at all. */
static struct error *boot_probe(const char *qemu, const char *kernel_path, bool kvm,
	struct deadline deadline, struct boot *boot)
{
	_cleanup_(process_result_deinit) struct process_result result = {0};
	_cleanup_close_ int image = -1;
	_cleanup_free_ char *kernel = NULL;
	int64_t start = clock_now_ns();
	struct error *err;

	if (kernel_path) {
		kernel = format_string("%s", kernel_path);
	} else {
		try_(open_probe_image(&image));
		kernel = format_string("/proc/%d/fd/%d", (int)getpid(), image);
	}
	const char *const argv[] = {qemu, "-nodefaults", "-no-user-config", "-display", "none",
		"-machine", kvm ? "pc,accel=kvm" : "pc,accel=tcg", "-cpu", kvm ? "host" : "max",
		"-m", "256", "-serial", "stdio", "-no-reboot", "-device",
		"isa-debug-exit,iobase=0xf4,iosize=1", "-kernel", kernel, "-append",
		"console=ttyS0 panic=-1", NULL};

	err = process_run(argv, NULL, 4 << 20, deadline, &result);
	boot->seconds = clock_seconds(start, clock_now_ns());
	if (err && error_kind(err) != ERROR_TIMEOUT)
		return err;
	boot->hung = err != NULL;
	error_destroy(err);
	if (boot->hung)
		return NULL;
	boot->up = kernel_path ? strstr(result.output, "Linux version") != NULL
			       : result.exit_status == PROBE_GUEST_EXIT;
	if (!boot->up)
		boot->complaint = complaint_of(&result);
	return NULL;
}

/* Under TCG the probe must come up, or QEMU itself is broken. */
static struct error *boot_under_tcg(
	const char *qemu, const char *kernel_path, struct deadline deadline, double *seconds)
{
	_cleanup_(boot_deinit) struct boot boot = {0};

	try_(boot_probe(qemu, kernel_path, false, deadline, &boot));
	if (boot.hung)
		return error_hint(error_new(ERROR_TIMEOUT,
					  "%s did not boot a probe guest under TCG in %.1f s", qemu,
					  boot.seconds),
			"try again when the host is less busy: fleetlab doctor");
	if (!boot.up)
		return error_hint(
			error_new(ERROR_SETUP, "%s cannot boot a probe guest under TCG: %s", qemu,
				boot.complaint),
			"reinstall QEMU: apt-get install --reinstall qemu-system-x86");
	*seconds = boot.seconds;
	return NULL;
}

static char *tcg_reason(enum kvm_state state, const struct boot *kvm, double tcg_seconds)
{
	switch (state) {
	case KVM_ABSENT:
		return format_string("there is no %s", kvm_device);
	case KVM_NOT_PERMITTED:
		return format_string("%s may not be opened by this user", kvm_device);
	case KVM_REFUSED:
		return format_string("under KVM QEMU gives up: %s", kvm->complaint);
	default:
		return format_string("under KVM a probe guest was not up after %.1f s, under TCG "
				     "it was after %.1f s",
			kvm->seconds, tcg_seconds);
	}
}

/* Boots as often as needed. `*remember` is whether the answer will hold tomorrow. */
static struct error *probe(const char *qemu, const char *kernel_path, struct deadline deadline,
	struct accelerator *out, bool *remember)
{
	_cleanup_(boot_deinit) struct boot kvm = {0};
	enum kvm_state state = look_at_device();
	double tcg_seconds = 0;

	if (state == KVM_WORKS) {
		struct deadline patience =
			deadline_min(deadline, deadline_after_ms(KVM_PATIENCE_MS));

		try_(boot_probe(qemu, kernel_path, true, patience, &kvm));
		if (kvm.hung && deadline_passed(deadline))
			return error_new(ERROR_TIMEOUT,
				"%.1f s were not enough to find the accelerator", kvm.seconds);
		state = kvm.hung ? KVM_HANGS : kvm.up ? KVM_WORKS : KVM_REFUSED;
	}
	if (state != KVM_WORKS)
		try_(boot_under_tcg(qemu, kernel_path, deadline, &tcg_seconds));
	*remember = state != KVM_HANGS || tcg_seconds < BUSY_SECONDS || kernel_path;
	*out = (struct accelerator){
		.name = format_string("%s", state == KVM_WORKS ? "kvm" : "tcg"),
		.reason = state == KVM_WORKS
				  ? format_string("a probe guest was up in %.1f s", kvm.seconds)
				  : tcg_reason(state, &kvm, tcg_seconds),
		.kvm = state,
		.boot_seconds = state == KVM_WORKS ? kvm.seconds : tcg_seconds,
		.probed_now = true,
	};
	return NULL;
}

/* All that the answer depends on, and the device's state: a KVM that appears asks for a new boot.
 */
static char *answer_key(const char *qemu, const char *kernel_path)
{
	_cleanup_free_ char *program = fs_identity(qemu);
	_cleanup_free_ char *kernel = kernel_path ? fs_identity(kernel_path) : NULL;
	_cleanup_free_ char *microcode = host_cpuinfo("microcode");
	_cleanup_free_ char *model = host_cpuinfo("model name");
	struct utsname host;

	uname(&host);
	return format_string("qemu %s; host %s %s; cpu %s %s; probe %s; %s %s", program,
		host.release, host.version, model ? model : "?", microcode ? microcode : "?",
		kernel ? kernel : "built-in", kvm_device, state_names[look_at_device()]);
}

static char *answers_path(void)
{
	_cleanup_free_ char *cache = fs_cache_dir();

	return format_string("%s/accelerator.json", cache);
}

static bool recall(const char *key, struct accelerator *out)
{
	_cleanup_free_ char *path = answers_path();
	_cleanup_json_ json_t *answers = json_load_file(path, 0, NULL);
	const char *name, *reason, *kvm;
	double seconds;

	if (json_unpack(json_object_get(answers, key), "{s:s, s:s, s:s, s:F}", "name", &name,
		    "reason", &reason, "kvm", &kvm, "boot_seconds", &seconds) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
		if (strcmp(state_names[i], kvm) != 0)
			continue;
		*out = (struct accelerator){
			.name = format_string("%s", name),
			.reason = format_string("%s", reason),
			.kvm = (enum kvm_state)i,
			.boot_seconds = seconds,
		};
		return true;
	}
	return false;
}

/* Keeps one answer: the one for how things are now. A lost one costs a probe, so failing to write
 * is no error. */
static void remember_answer(const char *key, const struct accelerator *answer)
{
	_cleanup_free_ char *path = answers_path();
	_cleanup_free_ char *cache = fs_cache_dir();
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *answers = json_load_file(path, 0, NULL);

	if (!json_is_object(answers) || json_object_size(answers) >= 32) {
		json_decref(answers);
		answers = json_object();
	}
	json_object_set_new(answers, key,
		json_pack("{s:s, s:s, s:s, s:f}", "name", answer->name, "reason", answer->reason,
			"kvm", state_names[answer->kvm], "boot_seconds", answer->boot_seconds));
	text = json_dumps(answers, JSON_INDENT(1) | JSON_SORT_KEYS);
	error_destroy(fs_make_dirs(cache));
	if (text)
		error_destroy(fs_write_atomic(path, text, strlen(text)));
}

struct error *accelerator_find(const char *qemu, const char *kernel_path, struct deadline deadline,
	struct accelerator *out)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *key = NULL;
	bool remember = false;

	try_(qemu_find(qemu, &path));
	key = answer_key(path, kernel_path);
	if (recall(key, out))
		return NULL;
	try_(probe(path, kernel_path, deadline, out, &remember));
	if (remember)
		remember_answer(key, out);
	return NULL;
}

struct error *accelerator_forget(void)
{
	_cleanup_free_ char *path = answers_path();

	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(errno, "cannot remove %s", path);
	return NULL;
}
