/* What fleet the nested topology stands on: see nested.h. Pure; must not touch the lab. */
#include "harness/base/fs.h"
#include "harness/fleet/nested_internal.h"
#include "harness/lab/lab.h"

#include <stdarg.h>
#include <string.h>

#define MIB (1ULL << 20)

enum {
	/* A DAX namespace keeps 2 MiB for itself and begins and ends at multiples of 16 MiB. */
	REGION_STEP_MIB = 16,
	CHANNEL_REGION_MIB = 48,
	SLOT_DRIVES = 0x19, /* beside guest_spec.h's */
};

char *nested_region_path(unsigned int region)
{
	return format_string("%s/nvdimm%u", lab_dir(), region);
}

uint64_t nested_region_bytes(const struct nested_plan *plan, unsigned int region)
{
	const uint64_t step = REGION_STEP_MIB * MIB;

	if (region >= plan->spec.count)
		return CHANNEL_REGION_MIB * MIB;
	return (plan->spec.memory_bytes[region] + step - 1) / step * step + step;
}

static void __attribute__((format(printf, 3, 4)))
add_option(struct nested_plan *plan, const char *option, const char *format, ...)
{
	size_t count = plan->qemu_arg_count;
	va_list args;

	plan->qemu_args = reallocarray(plan->qemu_args, count + 3, sizeof(char *));
	if (!plan->qemu_args)
		abort();
	plan->qemu_args[count] = format_string("%s", option);
	va_start(args, format);
	if (vasprintf(&plan->qemu_args[count + 1], format, args) < 0)
		abort();
	va_end(args);
	plan->qemu_args[count + 2] = NULL;
	plan->qemu_arg_count = count + 2;
}

/* What the setup script in the L1 guest copies: by these serial numbers. They are read once, while
 * the template is made. */
static void add_drive(struct nested_plan *plan, const char *name, unsigned int number)
{
	add_option(plan, "-drive", "if=none,id=%s,format=raw,readonly=on,file=%s/l1-%s", name,
		lab_dir(), name);
	add_option(plan, "-device", "virtio-blk-pci,drive=%s,serial=%s,addr=%#x", name, name,
		SLOT_DRIVES + number);
}

static void add_machine(struct nested_plan *plan)
{
	unsigned int regions = plan->spec.count + 1;
	uint64_t most = plan->spec.outer_memory_bytes;

	/* The last -cpu counts; under TCG "max" has SVM, under KVM it is what the host has. */
	add_option(plan, "-cpu", "max");
	add_option(plan, "-machine", "nvdimm=on");
	for (unsigned int i = 0; i < regions; i++) {
		_cleanup_free_ char *path = nested_region_path(i);
		unsigned long long bytes = nested_region_bytes(plan, i);

		/* Every NVDIMM has a GiB to begin at. */
		most += (bytes / (1024 * MIB) + 1) * 1024 * MIB;
		add_option(plan, "-object",
			"memory-backend-file,id=nvdimm%u,share=on,mem-path=%s,size=%llu", i, path,
			bytes);
	}
	add_option(plan, "-m", "slots=%u,maxmem=%llu", regions, (unsigned long long)most);
	for (unsigned int i = 0; i < regions; i++)
		add_option(plan, "-device", "nvdimm,id=dimm%u,memdev=nvdimm%u", i, i);
	add_drive(plan, "program", 0);
	add_drive(plan, "kernel", 1);
	add_drive(plan, "initrd", 2);
}

static void add_links(struct nested_plan *plan)
{
	static const struct link_spec links[NESTED_NICS] = {
		[NESTED_NIC_MOVE] = {.name = "move", .address = "10.77.0.254/24"},
		[NESTED_NIC_MANAGE] = {.name = "manage", .address = "10.77.1.254/24"},
		[NESTED_NIC_LAN] = {.name = "lan", .address = "10.77.2.254/24"},
	};

	for (size_t i = 0; i < NESTED_NICS; i++) {
		plan->links[i] = links[i];
		plan->nics[i] = (struct nic_spec){.link = links[i].name, .model = "virtio-net-pci"};
	}
	if (plan->spec.move_nic)
		plan->nics[NESTED_NIC_MOVE].model = plan->spec.move_nic;
	plan->guest_nic = (struct nic_spec){.link = "lan",
		.model = plan->spec.guest_nic ? plan->spec.guest_nic : "virtio-net-pci"};
}

struct nested_plan *nested_plan_create(const struct nested_spec *spec)
{
	struct nested_plan *plan = calloc(1, sizeof(*plan));

	if (!plan || spec->count > NESTED_GUESTS_MAX)
		abort();
	plan->spec = *spec;
	if (!plan->spec.vcpus)
		plan->spec.vcpus = 1;
	if (!plan->spec.outer_vcpus)
		plan->spec.outer_vcpus = 1;
	if (!plan->spec.outer_memory_bytes)
		plan->spec.outer_memory_bytes = 1024 * MIB;
	add_links(plan);
	add_machine(plan);
	plan->inner_image = spec->guest_image;
	if (!plan->inner_image.kind)
		plan->inner_image.kind = "tiny";
	plan->key = format_string("nested %u %s", plan->spec.vcpus, plan->guest_nic.model);
	plan->extra = (struct fleet_extra){
		.prepare = nested_prepare,
		.ripen = nested_ripen,
		.saved = nested_saved,
		.image = &plan->inner_image,
		.key = plan->key,
		.context = plan,
	};
	for (unsigned int i = 0; i <= spec->count; i++)
		plan->extra.kept_bytes += nested_region_bytes(plan, i);
	plan->inner = (struct fleet_spec){
		.image = plan->inner_image,
		.count = spec->count,
		.memory_bytes_each = plan->spec.memory_bytes,
		.vcpus = plan->spec.vcpus,
		.ram = RAM_SHARED,
		.links = plan->links,
		.link_count = NESTED_NICS,
		.nics = &plan->guest_nic,
		.nic_count = 1,
	};
	return plan;
}

void nested_plan_destroy(struct nested_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->qemu_arg_count; i++)
		free(plan->qemu_args[i]);
	free(plan->qemu_args);
	free(plan->key);
	free(plan);
}

void nested_fleet_spec(struct nested_plan *plan, struct fleet_spec *spec)
{
	*spec = (struct fleet_spec){
		.image = {.kind = "hypervisor"},
		.count = NESTED_STACKS,
		.memory_bytes = plan->spec.outer_memory_bytes,
		.vcpus = plan->spec.outer_vcpus,
		.start = FLEET_TEMPLATE,
		.ram = RAM_PRIVATE,
		.links = plan->links,
		.link_count = NESTED_NICS,
		.nics = plan->nics,
		.nic_count = NESTED_NICS,
		.qemu_args = (const char *const *)plan->qemu_args,
		.extra = &plan->extra,
	};
}

struct nested_host nested_host(const struct fleet *outer, unsigned int stack)
{
	static const char *const addresses[NESTED_STACKS] = {"10.77.1.1", "10.77.1.2"};

	return (struct nested_host){addresses[stack], fleet_guest_pid(outer, stack)};
}

const char *nested_move_address(unsigned int stack)
{
	static const char *const addresses[NESTED_STACKS] = {"10.77.0.1", "10.77.0.2"};

	return addresses[stack];
}
