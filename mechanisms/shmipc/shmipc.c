/*
 * Paper C: shared-memory communication between VMs, against message passing over the virtual
 * network. This file says what is measured, on which guests; measure.c runs it, evidence.c proves
 * it.
 */
#include "mechanisms/shmipc/shmipc.h"

static const struct param params[] = {
	{"workload", PARAM_CHOICE, "", "roundtrip", 0, 0,
		"roundtrip sweep handoff pointers threads iperf3 access",
		"what the guests do; set by the experiment"},
	{"transport", PARAM_CHOICE, "", "shm", 0, 0, "shm tcp udp", "what carries the ints"},
	{"mode", PARAM_CHOICE, "", "polling", 0, 0, "polling doorbell",
		"shm: spin only, or spin for a bounded time and sleep until the doorbell rings"},
	{"nodelay", PARAM_BOOLEAN, "", "true", 0, 0, NULL,
		"tcp: TCP_NODELAY and one write; false: as a naive user writes it"},
	{"nic", PARAM_CHOICE, "", "virtio-net-pci", 0, 0, "virtio-net-pci e1000",
		"the guests' NIC"},
	{"ints", PARAM_INTEGER, "ints", "8192", 1, 1 << 20, NULL,
		"32-bit ints that go there and back"},
	{"runs", PARAM_INTEGER, "", "10", 1, 10000, NULL, "measured round trips in a trial"},
	{"warmup", PARAM_INTEGER, "", "3", 0, 1000, NULL, "round trips before the clock counts"},
	{"spin_us", PARAM_INTEGER, "us", "20", 0, 1e6, NULL,
		"doorbell: spin so long before sleeping"},
	{"region_pages", PARAM_INTEGER, "pages", "1025", 16, 65536, NULL, "size of the region"},
	{"address", PARAM_INTEGER, "", "138538465099776", 65536, 140737488355328.0, NULL,
		"where every guest maps the region (0x7e0000000000)"},
	{"memory_mib", PARAM_INTEGER, "MiB", "128", 96, 65536, NULL, "memory of each guest"},
	{"start", PARAM_CHOICE, "", "template", 0, 0, "cold template",
		"boot every guest, or clone one that has booted"},
	{"pin", PARAM_BOOLEAN, "", "true", 0, 0, NULL,
		"bind each guest to a processing unit of its own"},
	{"members", PARAM_INTEGER, "guests", "3", 2, 16, NULL,
		"threads: guests that are the application's threads"},
	{"primes_below", PARAM_INTEGER, "", "400000", 1000, 1e9, NULL, "threads: what is counted"},
	{"iperf_s", PARAM_INTEGER, "s", "2", 1, 600, NULL, "iperf3: how long"},
	{0},
};

static const struct metric metrics[] = {
	{"roundtrip", "us", BETTER_LESS, "ints there and back between two guests, verified"},
	{"roundtrip_less_syscalls", "us", BETTER_LESS,
		"less the system calls that both sides made, at the cost of an empty one"},
	{"roundtrip_less_paper", "us", BETTER_LESS,
		"less one gettimeofday an int: how the paper's 10326 us can be read"},
	{"switching_syscalls", "us", BETTER_NEITHER, "the first of these corrections"},
	{"switching_paper", "us", BETTER_NEITHER, "the second"},
	{"system_calls", "calls", BETTER_LESS, "a round trip takes, on both sides"},
	{"latency", "us", BETTER_LESS, "half of the round trip, by size"},
	{"bandwidth", "MB/s", BETTER_MORE, "payload one way, by size"},
	{"handoff", "us", BETTER_LESS, "one cache line's pointer to the other guest"},
	{"pointers_shared", "bool", BETTER_MORE,
		"a linked structure was walked by its raw pointers"},
	{"threads", "ms", BETTER_LESS, "an application whose threads are guests, result verified"},
	{"threads_alone", "ms", BETTER_LESS, "the same work by one of the guests"},
	{"access_enforced", "bool", BETTER_MORE, "outsiders see no region, readers cannot write"},
	{"throughput", "Mbit/s", BETTER_MORE, "iperf3 between the guests, for reference"},
	{0},
};

#define PRESETS(...) ((const struct preset[]){__VA_ARGS__, {0}})

static const struct variant variants[] = {
	{"shm-polling", ROLE_SUBJECT, "shared memory, both sides spin",
		PRESETS({"transport", "shm"})},
	{"shm-doorbell", ROLE_SUBJECT, "shared memory, interrupts wake a sleeper",
		PRESETS({"transport", "shm"}, {"mode", "doorbell"})},
	{"tcp-nodelay", ROLE_BASELINE, "TCP as its best users configure it, virtio-net",
		PRESETS({"transport", "tcp"})},
	{"tcp-naive", ROLE_BASELINE,
		"TCP without options, header and body written apart, virtio-net",
		PRESETS({"transport", "tcp"}, {"nodelay", "false"})},
	{"udp", ROLE_BASELINE, "datagrams of 1472 bytes with a window, virtio-net",
		PRESETS({"transport", "udp"})},
	{"tcp-e1000", ROLE_BASELINE, "TCP over an emulated e1000",
		PRESETS({"transport", "tcp"}, {"nic", "e1000"})},
	{0},
};

static const char *const all[] = {
	"shm-polling", "shm-doorbell", "tcp-nodelay", "tcp-naive", "udp", "tcp-e1000", NULL};
static const char *const sweep_variants[] = {
	"shm-polling", "shm-doorbell", "tcp-nodelay", "udp", NULL};
static const char *const shm_variants[] = {"shm-polling", "shm-doorbell", NULL};
static const char *const polling_only[] = {"shm-polling", NULL};
static const char *const network_variants[] = {"tcp-nodelay", "tcp-e1000", NULL};

/* The paper's own conditions: freshly booted guests, and many more than its 10 runs. */
static const struct preset paper_presets[] = {{"start", "cold"}, {"runs", "100"}, {0}};
static const struct preset paper_iperf[] = {{"start", "cold"}, {"iperf_s", "10"}, {0}};

static const struct experiment experiments[] = {
	{
		.name = "roundtrip",
		.title = "Table 3: 8192 ints there and back",
		.variants = all,
		.sizes =
			{
				[PROFILE_SMOKE] = {1, NULL},
				[PROFILE_QUICK] = {4, NULL},
				[PROFILE_PAPER] = {10, paper_presets},
				[PROFILE_NIGHTLY] = {5, NULL},
			},
		.trial_s = 1.2,
		.deadline_s = 120,
	},
	{
		.name = "sweep",
		.title = "latency and bandwidth by size",
		.variants = sweep_variants,
		.presets = PRESETS({"workload", "sweep"}, {"runs", "5"}, {"warmup", "1"}),
		.sizes =
			{
				[PROFILE_QUICK] = {1, NULL},
				[PROFILE_PAPER] = {5, paper_presets},
				[PROFILE_NIGHTLY] = {1, NULL},
			},
		.trial_s = 2.0,
		.deadline_s = 300,
	},
	{
		.name = "handoff",
		.title = "pointer hand-off of one cache line",
		.variants = shm_variants,
		.presets = PRESETS({"workload", "handoff"}, {"runs", "200"}),
		.sizes =
			{
				[PROFILE_QUICK] = {1, NULL},
				[PROFILE_PAPER] = {5, paper_presets},
				[PROFILE_NIGHTLY] = {2, NULL},
			},
		.trial_s = 1.2,
		.deadline_s = 120,
	},
	{
		.name = "pointers",
		.title = "pointer structures without translation",
		.variants = polling_only,
		.presets = PRESETS({"workload", "pointers"}),
		.sizes =
			{
				[PROFILE_SMOKE] = {1, NULL},
				[PROFILE_QUICK] = {3, NULL},
				[PROFILE_PAPER] = {5, paper_presets},
				[PROFILE_NIGHTLY] = {1, NULL},
			},
		.trial_s = 1.2,
		.deadline_s = 120,
	},
	{
		.name = "threads",
		.title = "an application whose threads are VMs",
		.variants = shm_variants,
		.presets = PRESETS({"workload", "threads"}, {"pin", "false"}),
		.sizes =
			{
				[PROFILE_QUICK] = {1, NULL},
				[PROFILE_PAPER] = {5, paper_presets},
				[PROFILE_NIGHTLY] = {1, NULL},
			},
		.trial_s = 1.8,
		.deadline_s = 120,
	},
	{
		.name = "access",
		.title = "who may see the region",
		.variants = polling_only,
		.presets = PRESETS({"workload", "access"}),
		.sizes =
			{
				[PROFILE_QUICK] = {1, NULL},
				[PROFILE_PAPER] = {3, NULL},
				[PROFILE_NIGHTLY] = {1, NULL},
			},
		.trial_s = 8,
		.deadline_s = 180,
	},
	{
		.name = "iperf3",
		.title = "the network's reference",
		.variants = network_variants,
		.presets = PRESETS({"workload", "iperf3"}),
		.sizes =
			{
				[PROFILE_QUICK] = {1, NULL},
				[PROFILE_PAPER] = {5, paper_iperf},
				[PROFILE_NIGHTLY] = {1, NULL},
			},
		.trial_s = 4,
		.deadline_s = 180,
	},
	{0},
};

struct region_spec shmipc_region(const struct trial *trial)
{
	return (struct region_spec){
		.name = "ring",
		.group = "members",
		.pages = (uint32_t)trial_integer(trial, "region_pages"),
	};
}

/* ---- the fleet ---- */

/* An ivshmem interrupt reaches the guest's user space by VFIO, which needs an IOMMU with interrupt
 * remapping (tried: there is no other way without a kernel module of ours). */
static const char *const doorbell_machine[] = {
	"-machine", "kernel-irqchip=split", "-device", "intel-iommu,intremap=on", NULL};

enum { ACCESS_READER = 2 };

/* Members get the region; in the access experiment guests 0 and 1 fully, guest 2 to read only,
 * guest 3 not at all. The plugs live as long as the trial. */
static struct error *plug_region(struct trial *trial, bool access, struct fleet_spec *spec)
{
	struct region_spec region = shmipc_region(trial);
	struct plug_spec *plugs = trial_keep(trial, calloc(4 + 2 * spec->count, sizeof(*plugs)));
	bool doorbell = strcmp(trial_choice(trial, "mode"), "doorbell") == 0;
	uint64_t writers = access ? 3 : PLUG_ALL;

	for (unsigned int i = 0; doorbell && i < spec->count; i++)
		try_(region_doorbell_plugs(&region, "members", i, &plugs[2 * i]));
	if (!doorbell)
		try_(region_plugs(&region, "members", REGION_READ_WRITE, writers, plugs));
	spec->plug_count = doorbell ? 2 * spec->count : 2;
	if (access) {
		try_(region_plugs(&region, "members", REGION_READ_ONLY, 1 << ACCESS_READER,
			plugs + spec->plug_count));
		spec->plug_count += 2;
		spec->count = 4;
	}
	for (size_t i = 0; i < spec->plug_count; i++)
		trial_keep(trial, (char *)plugs[i].arguments);
	spec->plugs = plugs;
	if (doorbell) {
		spec->kernel_args = "intel_iommu=on";
		spec->qemu_args = doorbell_machine;
	}
	return NULL;
}

static struct error *shmipc_fleet(struct trial *trial, struct fleet_spec *spec)
{
	static const struct link_spec links[] = {{"lan", NULL, 0, 0}};
	static const struct nic_spec virtio[] = {{"lan", "virtio-net-pci"}};
	static const struct nic_spec e1000[] = {{"lan", "e1000"}};
	static const char *const packages[] = {"iperf3"};

	*spec = (struct fleet_spec){
		.image = {.kind = "tiny", .packages = packages, .package_count = 1},
		.count = 2,
		.memory_bytes = (uint64_t)trial_integer(trial, "memory_mib") << 20,
		.vcpus = 1, /* the paper's Table 2 */
		.start = trial_choice(trial, "start")[0] == 't' ? FLEET_TEMPLATE : FLEET_COLD,
		.pin = trial_boolean(trial, "pin"),
		.links = links,
		.link_count = 1,
		.nics = strcmp(trial_choice(trial, "nic"), "e1000") == 0 ? e1000 : virtio,
		.nic_count = 1,
	};
	if (!shmipc_uses_region(trial))
		return NULL;
	if (strcmp(trial_choice(trial, "workload"), "threads") == 0)
		spec->count = (unsigned int)trial_integer(trial, "members");
	return plug_region(trial, strcmp(trial_choice(trial, "workload"), "access") == 0, spec);
}

/* ---- the other hooks ---- */

static struct error *shmipc_prepare(struct trial *trial)
{
	struct shmipc *state = trial_keep(trial, calloc(1, sizeof(*state)));
	struct region_spec spec = shmipc_region(trial);

	trial_set_state(trial, state);
	if (!shmipc_uses_region(trial))
		return NULL;
	try_(region_create(&spec, &state->region));
	if (strcmp(trial_choice(trial, "mode"), "doorbell") != 0)
		return NULL;
	return region_serve_doorbells(state->region, (size_t)trial_integer(trial, "members"));
}

/* VFIO is loaded when a guest needs it: it would only slow the boot of the others. */
static struct error *load_vfio(struct trial *trial, unsigned int guest)
{
	static const char *const modules[] = {"vfio-pci", "vfio_iommu_type1"};

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		_cleanup_(exec_result_deinit) struct exec_result result = {0};
		const char *const argv[] = {"/sbin/modprobe", modules[i], NULL};

		try_(agent_exec(fleet_agent(trial_fleet(trial), guest), argv, NULL, 0,
			trial_deadline(trial), &result));
		if (result.exit_status != 0)
			return error_new(ERROR_GUEST, "guest %s cannot load %s: %s",
				fleet_guest_name(trial_fleet(trial), guest), modules[i],
				result.errors);
	}
	return NULL;
}

/* A guest needs a moment to see what was plugged in. */
static struct error *await_device(struct trial *trial)
{
	static const char *const argv[] = {"/sbin/fleetlab-guest", "wait-device", NULL};
	bool access = strcmp(trial_choice(trial, "workload"), "access") == 0;

	unsigned int members = access ? ACCESS_READER + 1 : fleet_count(trial_fleet(trial));

	for (unsigned int i = 0; i < members; i++) {
		_cleanup_json_ json_t *result = NULL;

		try_(fleet_run_json(trial_fleet(trial), i, argv, trial_deadline(trial), &result));
	}
	return NULL;
}

static struct error *shmipc_setup(struct trial *trial)
{
	struct shmipc *state = trial_state(trial);

	if (shmipc_uses_region(trial))
		try_(await_device(trial));
	if (shmipc_uses_region(trial) && strcmp(trial_choice(trial, "mode"), "doorbell") == 0) {
		for (unsigned int i = 0; i < fleet_count(trial_fleet(trial)); i++)
			try_(load_vfio(trial, i));
	}
	return shmipc_count_traffic(trial, &state->frames_before, &state->bytes_before);
}

static void shmipc_teardown(struct trial *trial)
{
	struct shmipc *state = trial_state(trial);

	if (state)
		region_destroy(state->region);
}

const struct mechanism mechanism_shmipc = {
	.name = "shmipc",
	.paper = "C",
	.summary = "shared-memory communication between guests, against message passing",
	.params = params,
	.metrics = metrics,
	.variants = variants,
	.experiments = experiments,
	.fleet = shmipc_fleet,
	.prepare = shmipc_prepare,
	.setup = shmipc_setup,
	.measure = shmipc_measure,
	.evidence = shmipc_evidence,
	.teardown = shmipc_teardown,
};
