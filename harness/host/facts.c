/* The fingerprint of this host: see facts.h. Must never guess: what cannot be read is null. */
#include "harness/host/facts.h"
#include "harness/base/fs.h"
#include "harness/host/qemu.h"
#include "harness/host/topology.h"

#include <cpuid.h>
#include <dirent.h>
#include <libvirt/libvirt.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

/* The value of "FIELD : value" or "FIELD: value" in a file of such lines; caller frees. */
static char *field_of(const char *path, const char *field)
{
	_cleanup_free_ char *text = NULL;
	size_t length = strlen(field);
	struct error *err = fs_read(path, 16 << 20, &text, NULL);
	char *save = NULL;

	if (err) {
		error_destroy(err);
		return NULL;
	}
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, field, length) != 0)
			continue;
		const char *rest = line + length + strspn(line + length, " \t");

		if (*rest == ':')
			return format_string("%s", rest + 1 + strspn(rest + 1, " \t"));
	}
	return NULL;
}

char *host_cpuinfo(const char *field)
{
	return field_of("/proc/cpuinfo", field);
}

bool host_meminfo(const char *field, uint64_t *bytes)
{
	_cleanup_free_ char *value = field_of("/proc/meminfo", field);

	if (!value)
		return false;
	*bytes = strtoull(value, NULL, 10) * (strstr(value, "kB") ? 1024 : 1);
	return true;
}

/* Takes the string over; NULL becomes null. */
static json_t *string_or_null(char *text)
{
	json_t *value = text ? json_string(text) : NULL;

	free(text);
	return value ? value : json_null();
}

static json_t *memory_field(const char *field)
{
	uint64_t bytes;

	return host_meminfo(field, &bytes) ? json_integer((json_int_t)bytes) : json_null();
}

/* "always [madvise] never" → "madvise"; other text stays. Takes it over, may return NULL. */
static char *chosen(char *text)
{
	char *open = text ? strchr(text, '[') : NULL;
	char *close = open ? strchr(open, ']') : NULL;

	if (!close)
		return text;
	*close = '\0';
	memmove(text, open + 1, strlen(open + 1) + 1);
	return text;
}

static char *turbo(void)
{
	_cleanup_free_ char *boost = fs_read_line("/sys/devices/system/cpu/cpufreq/boost");
	_cleanup_free_ char *no_turbo =
		fs_read_line("/sys/devices/system/cpu/intel_pstate/no_turbo");

	if (boost)
		return format_string("%s", strcmp(boost, "1") == 0 ? "on" : "off");
	if (no_turbo)
		return format_string("%s", strcmp(no_turbo, "0") == 0 ? "on" : "off");
	return NULL;
}

static json_t *cpu_facts(const json_t *topology)
{
	json_t *cores = json_object_get(topology, "cores");
	json_t *threads = json_object_get(topology, "threads");

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:O, s:O, s:O, s:b, s:o, s:o}", "model",
		string_or_null(host_cpuinfo("model name")), "vendor",
		string_or_null(host_cpuinfo("vendor_id")), "family",
		string_or_null(host_cpuinfo("cpu family")), "model_number",
		string_or_null(host_cpuinfo("model")), "stepping",
		string_or_null(host_cpuinfo("stepping")), "microcode",
		string_or_null(host_cpuinfo("microcode")), "packages",
		json_object_get(topology, "packages"), "cores", cores, "threads", threads, "smt",
		json_integer_value(threads) > json_integer_value(cores), "governor",
		string_or_null(
			fs_read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
		"turbo", string_or_null(turbo()));
}

/* The words of the kernel's command line that decide about speed, in order. The others are nobody's
 * business: records travel, and a command line may hold paths, addresses and keys. */
static json_t *kernel_parameters(void)
{
	static const char *const kept[] = {"mitigations", "isolcpus", "nohz_full", "rcu_nocbs",
		"idle", "processor.", "intel_idle.", "intel_pstate", "amd_pstate", "cpuidle",
		"hugepages", "hugepagesz", "default_hugepagesz", "transparent_hugepage",
		"numa_balancing", "nosmt", "maxcpus", "mem", "swiotlb", "iommu", "intel_iommu",
		"amd_iommu", "clocksource", "tsc", "preempt", "skew_tick", "psi", "swapaccount",
		"cgroup", "systemd.unified", "kvm"};
	_cleanup_free_ char *line = fs_read_line("/proc/cmdline");
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	size_t size;
	FILE *out;

	if (!line)
		return json_null();
	out = open_memstream(&text, &size);
	if (!out)
		abort();
	for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (strcmp(word, "--") == 0)
			break; /* the rest is for init */
		for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
			if (strncmp(word, kept[i], strlen(kept[i])) == 0) {
				fprintf(out, "%s%s", ftell(out) > 0 ? " " : "", word);
				break;
			}
		}
	}
	fclose(out);
	return json_string(text);
}

static json_t *kernel_facts(void)
{
	struct utsname name;

	uname(&name);
	return json_pack("{s:s, s:s, s:o, s:s}", "release", name.release, "version", name.version,
		"cmdline", kernel_parameters(), "machine", name.machine);
}

static char *distribution(void)
{
	_cleanup_free_ char *text = fs_read_line("/etc/os-release");
	char *line = text ? strstr(text, "PRETTY_NAME=") : NULL;

	if (!line)
		return NULL;
	line += strlen("PRETTY_NAME=");
	line += *line == '"';
	line[strcspn(line, "\"\n")] = '\0';
	return format_string("%s", line);
}

/* The hypervisor's signature from CPUID leaf 0x40000000, empty on bare metal. */
static void hypervisor_signature(char *signature)
{
	unsigned a, b, c, d;

	signature[0] = '\0';
	__cpuid(1, a, b, c, d);
	if (!(c & (1u << 31)))
		return;
	__cpuid(0x40000000, a, b, c, d);
	memcpy(signature, &b, 4);
	memcpy(signature + 4, &c, 4);
	memcpy(signature + 8, &d, 4);
	signature[12] = '\0';
	for (char *p = signature; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
}

static json_t *virtualization_facts(void)
{
	char signature[13];
	_cleanup_free_ char *product = fs_read_line("/sys/class/dmi/id/product_name");

	hypervisor_signature(signature);
	if (!signature[0])
		return json_pack("{s:b, s:n}", "is", 0, "how");
	_cleanup_free_ char *how =
		format_string("%s%s%s", signature, product ? ", " : "", product ? product : "");

	return json_pack("{s:b, s:s}", "is", 1, "how", how);
}

static json_t *knob_facts(void)
{
	static const struct {
		const char *name, *path;
	} knobs[] = {
		{"ksm_run", "/sys/kernel/mm/ksm/run"},
		{"ksm_pages_to_scan", "/sys/kernel/mm/ksm/pages_to_scan"},
		{"ksm_sleep_millisecs", "/sys/kernel/mm/ksm/sleep_millisecs"},
		{"ksm_pages_shared", "/sys/kernel/mm/ksm/pages_shared"},
		{"ksm_use_zero_pages", "/sys/kernel/mm/ksm/use_zero_pages"},
		{"thp_enabled", "/sys/kernel/mm/transparent_hugepage/enabled"},
		{"thp_shmem_enabled", "/sys/kernel/mm/transparent_hugepage/shmem_enabled"},
		{"thp_defrag", "/sys/kernel/mm/transparent_hugepage/defrag"},
		{"swappiness", "/proc/sys/vm/swappiness"},
		{"overcommit_memory", "/proc/sys/vm/overcommit_memory"},
		{"max_map_count", "/proc/sys/vm/max_map_count"},
		{"numa_balancing", "/proc/sys/kernel/numa_balancing"},
	};
	json_t *facts = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++)
		json_object_set_new(
			facts, knobs[i].name, string_or_null(chosen(fs_read_line(knobs[i].path))));
	return facts;
}

static void close_directory(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static json_t *mitigation_facts(void)
{
	static const char place[] = "/sys/devices/system/cpu/vulnerabilities";
	_cleanup_(close_directory) DIR *dir = opendir(place);
	json_t *facts = json_object();
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		_cleanup_free_ char *path = format_string("%s/%s", place, entry->d_name);

		json_object_set_new(facts, entry->d_name, string_or_null(fs_read_line(path)));
	}
	return facts;
}

static bool has_magic(const char *path, long magic)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == magic;
}

const char *host_cgroup_version(void)
{
	if (has_magic("/sys/fs/cgroup", CGROUP2_SUPER_MAGIC))
		return "v2";
	if (has_magic("/sys/fs/cgroup/unified", CGROUP2_SUPER_MAGIC))
		return "hybrid";
	return has_magic("/sys/fs/cgroup/memory", CGROUP_SUPER_MAGIC) ? "v1" : "none";
}

static char *libvirt_version(void)
{
	unsigned long version = 0;

	if (virGetVersion(&version, NULL, NULL) < 0)
		return NULL;
	return format_string(
		"%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

static json_t *accelerator_facts(const struct accelerator *accelerator)
{
	if (!accelerator)
		return json_null();
	return json_pack("{s:s, s:s, s:s}", "name", accelerator->name, "reason",
		accelerator->reason, "kvm", kvm_state_name(accelerator->kvm));
}

static struct error *qemu_facts(const char *qemu, struct deadline deadline, json_t **facts)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *version = NULL;

	if (!qemu) {
		*facts = json_null();
		return NULL;
	}
	try_(qemu_find(qemu, &path));
	try_(qemu_version(path, deadline, &version));
	*facts = json_pack("{s:s, s:s}", "path", path, "version", version);
	return NULL;
}

struct error *host_facts(const char *qemu, const struct accelerator *accelerator,
	struct deadline deadline, json_t **facts)
{
	_cleanup_json_ json_t *topology = NULL;
	_cleanup_json_ json_t *qemu_field = NULL;

	try_(host_topology(&topology));
	try_(qemu_facts(qemu, deadline, &qemu_field));
	json_t *all = json_pack(
		"{s:o, s:O, s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:O, s:{s:o}, s:{s:o}, "
		"s:s, s:o, s:o}",
		"cpu", cpu_facts(topology), "topology", topology, "memory", "total_bytes",
		memory_field("MemTotal"), "swap_bytes", memory_field("SwapTotal"),
		"huge_page_bytes", memory_field("Hugepagesize"), "kernel", kernel_facts(),
		"distribution", string_or_null(distribution()), "virtualized",
		virtualization_facts(), "accelerator", accelerator_facts(accelerator), "qemu",
		qemu_field, "libvirt", "version", string_or_null(libvirt_version()), "hwloc",
		"version", string_or_null(host_hwloc_version()), "cgroup", host_cgroup_version(),
		"knobs", knob_facts(), "mitigations", mitigation_facts());
	if (!all)
		return error_new(ERROR_INTERNAL, "cannot assemble the facts of this host");
	*facts = all;
	return NULL;
}

const char *host_facts_differ(const json_t *a, const json_t *b)
{
	static const struct {
		const char *object, *field;
	} fields[] = {
		{"accelerator", "name"},
		{"qemu", "version"},
		{"kernel", "release"},
		{"cpu", "model"},
		{"cpu", "microcode"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const json_t *one =
			json_object_get(json_object_get(a, fields[i].object), fields[i].field);
		const json_t *two =
			json_object_get(json_object_get(b, fields[i].object), fields[i].field);

		if (one != two && !json_equal(one, two))
			return fields[i].object;
	}
	return NULL;
}
