/*
 * Paper D: guests move to a second virtualization system of the same host without their memory
 * being copied, against the ways that copy it. This file says what is moved and between which
 * systems; a topology (flat.c, …) has the systems, observe.c watches a move, evidence.c proves it.
 */
#include "mechanisms/zerocopy/zerocopy.h"
#include "harness/base/log.h"
#include "harness/fleet/ram.h"
#include "harness/host/memory_counters.h"
#include "harness/host/qemu.h"
#include "workloads/host/sshd.h"
#include "workloads/host/web.h"

enum { QEMU_TIMEOUT_MS = 20000, PROVIDE_TIMEOUT_MS = 120000 };

static const struct param params[] = {
	{"workload", PARAM_CHOICE, "", "idle", 0, 0, "idle dirty pages stack throughput web",
		"what is moved and what runs in it; set by the experiment"},
	{"topology", PARAM_CHOICE, "", "flat", 0, 0, "flat machines nested",
		"where the two stacks are: side by side on one host, on two machines, or each in a "
		"guest of its own"},
	{"method", PARAM_CHOICE, "", "zerocopy", 0, 0, "zerocopy precopy postcopy cpr",
		"how a guest's memory gets there"},
	{"nic", PARAM_CHOICE, "", "virtio-net-pci", 0, 0, "virtio-net-pci e1000",
		"nested: NIC between the two systems"},
	{"link_mbit", PARAM_INTEGER, "Mbit/s", "1000", 1, 1e5, NULL,
		"machines: the shaped cable between them"},
	{"backing", PARAM_CHOICE, "", "shmem", 0, 0, "shmem thp huge",
		"pages of the guests' RAM: small, transparent huge, or huge ones that the host has "
		"reserved"},
	{"populate", PARAM_BOOLEAN, "", "true", 0, 0, NULL,
		"zerocopy: fill the target's page tables while the source still runs"},
	{"digest_all", PARAM_BOOLEAN, "", "false", 0, 0, NULL,
		"zerocopy: before a guest runs on, compare every page that holds data instead of a "
		"sample"},
	{"memory_least_mib", PARAM_INTEGER, "MiB", "128", 96, 65536, NULL,
		"idle: memory of the smallest guest"},
	{"memory_step", PARAM_INTEGER, "x", "2", 2, 64, NULL,
		"idle: each further guest has so many times as much"},
	{"memory_most_mib", PARAM_INTEGER, "MiB", "512", 96, 65536, NULL,
		"idle: memory that no guest exceeds"},
	{"memory_mib", PARAM_INTEGER, "MiB", "256", 96, 65536, NULL,
		"otherwise: memory of each guest"},
	{"memory_beside_mib", PARAM_INTEGER, "MiB", "0", 0, 65536, NULL,
		"dirty: another guest of so much memory stands by; 0: none. With the sizes of the "
		"idle guests, both experiments are clones of one template"},
	{"guests", PARAM_INTEGER, "guests", "4", 1, ZEROCOPY_GUESTS_MAX, NULL,
		"stack: guests that move as one transaction"},
	{"fill_percent", PARAM_INTEGER, "%", "50", 0, 80, NULL,
		"share of a guest's memory beyond its own needs (96 MiB) that is filled, so that "
		"copying has something to copy"},
	{"dirty_percent", PARAM_INTEGER, "%", "50", 1, 80, NULL,
		"dirty, pages: share of that memory that is dirtied over and over"},
	{"dirty_least", PARAM_INTEGER, "pages/s", "1000", 1, 1e8, NULL, "dirty: the first rate"},
	{"dirty_most", PARAM_INTEGER, "pages/s", "10000", 1, 1e8, NULL, "dirty: the last rate"},
	{"dirty_steps", PARAM_INTEGER, "", "3", 1, 100, NULL,
		"dirty: how many rates, at equal distances"},
	{"transfer_s", PARAM_INTEGER, "s", "3", 1, 600, NULL,
		"throughput: how long data is sent, by each way"},
	{"client_ms", PARAM_INTEGER, "ms", "1", 1, 1000, NULL,
		"between two requests of the client that asks each guest, and two records of its "
		"stream: what a silence is told apart by"},
	{"start", PARAM_CHOICE, "", "template", 0, 0, "cold template",
		"boot every guest, or clone one of its size that has booted"},
	{0},
};

static const struct metric metrics[] = {
	{"migration_time", "s", BETTER_LESS,
		"from the first migration command until the guest runs at the target; "
		"receive_time and populate_time come before it, while the guest runs"},
	{"command_time", "s", BETTER_LESS,
		"all of it: with the start of the target's QEMU and the end of the source's"},
	{"receive_time", "s", BETTER_LESS, "starting the target's QEMU; the guest runs meanwhile"},
	{"populate_time", "s", BETTER_LESS,
		"filling the target's page tables, by memory size; the guest runs meanwhile"},
	{"transfer_time", "s", BETTER_LESS, "QEMU's own total time"},
	{"verify_time", "s", BETTER_LESS, "comparing pages, a part of the downtime"},
	{"downtime", "s", BETTER_LESS,
		"longest time without a reply to a client that asks every client_ms (UDP)"},
	{"downtime_tcp", "s", BETTER_LESS,
		"longest silence in a TCP stream of one record every client_ms"},
	{"downtime_clock", "s", BETTER_LESS,
		"how far the guest's clock, which stands while it is stopped, fell behind a "
		"client's"},
	{"downtime_qmp", "s", BETTER_LESS,
		"from the source's STOP event to the target's RESUME event"},
	{"downtime_qemu", "s", BETTER_LESS,
		"as the source's QEMU counts it: until it has sent all, not until the target runs"},
	{"stream_bytes", "bytes", BETTER_LESS, "the migration stream, as QEMU counts it"},
	{"network_bytes", "bytes", BETTER_LESS,
		"over the links between the systems' machines, both ways; with the requests to "
		"nested "
		"systems' stacks"},
	{"cpu_time_all", "s", BETTER_LESS,
		"of the whole lab while the move lasts, from command to end, without that of "
		"clients"},
	{"cpu_time", "s", BETTER_LESS,
		"the same without what the moved guests' vCPUs take meanwhile; nested systems "
		"themselves are in it"},
	{"cpu_time_source", "s", BETTER_LESS, "the same of the source's machine"},
	{"cpu_time_destination", "s", BETTER_LESS, "the same of the destination's machine"},
	{"memory_traffic", "x RAM", BETTER_LESS,
		"estimate as in the paper: bytes sent times how often each is touched"},
	{"memory_traffic_counted", "x RAM", BETTER_LESS,
		"what the memory controllers' own counters say of the whole host, from command to "
		"end; where there are such counters"},
	{"memory_traffic_source", "x RAM", BETTER_LESS, "its share at the source"},
	{"memory_traffic_destination", "x RAM", BETTER_LESS, "its share at the destination"},
	{"passes", "passes", BETTER_LESS, "over memory that copying took"},
	{"dirty_rate", "pages/s", BETTER_NEITHER, "that the dirtying guest reached"},
	{"throughput_pages", "pages/s", BETTER_MORE,
		"of a guest that dirties as fast as it can, before the move"},
	{"recovery_ms", "ms", BETTER_LESS,
		"of the guest's clock from its stop until it is back at 95 % of that throughput; "
		"at least so long where recovery_open is 1"},
	{"recovery_open", "", BETTER_LESS,
		"1: it was not back when the series ended, some seconds after the move"},
	{"throughput", "Mbit/s", BETTER_MORE, "of data between the two systems"},
	{"throughput_ssh", "Mbit/s", BETTER_MORE, "the same through the SSH tunnel"},
	{"web_throughput", "replies/s", BETTER_MORE,
		"of the web server, by time from the beginning of the move"},
	{"base_throughput", "replies/s", BETTER_MORE,
		"of the web server in the last seconds before the move"},
	{"throughput_lost", "%", BETTER_LESS,
		"share of that lost while the move lasted, from command to end; in whole runs of "
		"httperf, of 1 s or more: a shorter move counts as the runs that it touches"},
	{"web_errors", "requests", BETTER_LESS, "that failed in those runs"},
	{0},
};

#define PRESETS(...) ((const struct preset[]){__VA_ARGS__, {0}})

static const struct variant variants[] = {
	{"flat-zerocopy", ROLE_SUBJECT, "two stacks of one host, memory stays where it is",
		PRESETS({"topology", "flat"}, {"method", "zerocopy"})},
	{"flat-unpopulated", ROLE_SUBJECT, "the same without filling page tables ahead",
		PRESETS({"topology", "flat"}, {"method", "zerocopy"}, {"populate", "false"})},
	{"flat-thp", ROLE_SUBJECT, "the same on transparent huge pages",
		PRESETS({"topology", "flat"}, {"method", "zerocopy"}, {"backing", "thp"})},
	{"flat-huge", ROLE_SUBJECT, "the same on huge pages that the host reserves for it",
		PRESETS({"topology", "flat"}, {"method", "zerocopy"}, {"backing", "huge"})},
	{"vmbeam", ROLE_SUBJECT,
		"two nested systems, memory stays where it is, control channel in shared memory",
		PRESETS({"topology", "nested"}, {"method", "zerocopy"}, {"nic", "e1000"})},
	{"nest", ROLE_BASELINE, "two nested systems, emulated NIC, SSH tunnel",
		PRESETS({"topology", "nested"}, {"method", "precopy"}, {"nic", "e1000"})},
	{"blanket", ROLE_BASELINE, "two nested systems, paravirtual NIC, SSH tunnel",
		PRESETS({"topology", "nested"}, {"method", "precopy"}, {"nic", "virtio-net-pci"})},
	{"phys", ROLE_BASELINE, "two machines, a shaped cable of 1 Gbit/s, SSH tunnel",
		PRESETS({"topology", "machines"}, {"method", "precopy"})},
	{"flat-precopy", ROLE_BASELINE, "two stacks of one host, live migration by a UNIX socket",
		PRESETS({"topology", "flat"}, {"method", "precopy"})},
	{"flat-postcopy", ROLE_BASELINE, "the same, pages on demand",
		PRESETS({"topology", "flat"}, {"method", "postcopy"})},
	{"cpr-transfer", ROLE_BASELINE,
		"two stacks of one host, QEMU's own way to hand memory over (from version 10 on)",
		PRESETS({"topology", "flat"}, {"method", "cpr"})},
	{0},
};

/* Of clients, in experiments with nested systems: a packet a millisecond each way leaves a guest
 * whose hypervisor is emulated no time to answer it (its kernel does nothing but receive), and what
 * such clients saw would be what they did. */
#define BEARABLE_MS "10"

static const char *const flat_variants[] = {"flat-zerocopy", "flat-precopy", NULL};
static const char *const paper_variants[] = {"vmbeam", "phys", "nest", "blanket", NULL};
static const char *const dirty_variants[] = {
	"flat-zerocopy", "flat-precopy", "vmbeam", "phys", "nest", "blanket", NULL};
static const char *const postcopy_variants[] = {"flat-zerocopy", "flat-postcopy", NULL};
static const char *const cpr_variants[] = {"flat-zerocopy", "cpr-transfer", NULL};
static const char *const page_variants[] = {
	"flat-zerocopy", "flat-unpopulated", "flat-thp", "flat-huge", "flat-precopy", NULL};

/* SSH in an emulated CPU carries 6 MB/s: a profile of minutes has these systems, and one of hours
 * also the nested ones that copy. */
static const char *const quick_variants[] = {"vmbeam", "phys", NULL};
static const char *const vmbeam_alone[] = {"vmbeam", NULL};

/* The paper's sizes: flat systems bear them all. Nested ones need memory twice for a guest, and
 * room for a copy of it. */
static const struct preset up_to_4_gib[] = {{"memory_most_mib", "4096"}, {0}};
static const struct preset up_to_1_gib[] = {{"memory_most_mib", "1024"}, {0}};
static const struct preset two_sizes[] = {{"memory_step", "4"}, {"fill_percent", "10"}, {0}};
static const struct preset two_rates[] = {{"memory_mib", "512"}, {"memory_beside_mib", "128"},
	{"fill_percent", "10"}, {"dirty_steps", "2"}, {0}};
static const struct preset dirty_2_gib[] = {{"memory_mib", "2048"}, {"dirty_steps", "4"}, {0}};

static const struct experiment experiments[] = {
	{
		.name = "flat",
		.title = "idle guests by memory size, two stacks of one host",
		.variants = flat_variants,
		.sizes =
			{
				[PROFILE_SMOKE] = {1, PRESETS({"memory_most_mib", "256"}), NULL},
				[PROFILE_QUICK] = {1, two_sizes, NULL},
				[PROFILE_PAPER] = {5, up_to_4_gib, NULL},
				[PROFILE_NIGHTLY] = {3, up_to_1_gib, NULL},
			},
		.trial_s = 5,
		.deadline_s = 300,
	},
	{
		.name = "migration",
		.title = "Figures 7, 9, 12, 14 and 15: idle guests by memory size",
		.variants = paper_variants,
		.presets = PRESETS({"client_ms", BEARABLE_MS}),
		.sizes =
			{
				[PROFILE_QUICK] = {3, two_sizes, quick_variants},
				[PROFILE_PAPER] = {3, up_to_1_gib, NULL},
				[PROFILE_NIGHTLY] = {3, two_sizes, quick_variants},
			},
		.trial_s = 10,
		.deadline_s = 900,
	},
	{
		.name = "dirty",
		.title = "Figures 10 and 11: a guest that dirties its memory",
		.variants = dirty_variants,
		.presets = PRESETS(
			{"workload", "dirty"}, {"fill_percent", "25"}, {"client_ms", BEARABLE_MS}),
		.sizes =
			{
				[PROFILE_QUICK] = {1, two_rates, vmbeam_alone},
				[PROFILE_PAPER] = {3, dirty_2_gib, NULL},
				[PROFILE_NIGHTLY] = {1, NULL, quick_variants},
			},
		.trial_s = 12,
		.deadline_s = 900,
	},
	{
		.name = "throughput",
		.title = "Figures 6 and 8: data between the two systems",
		.variants = paper_variants,
		.presets = PRESETS(
			{"workload", "throughput"}, {"memory_mib", "128"}, {"fill_percent", "0"}),
		.sizes = {[PROFILE_PAPER] = {3, NULL}},
		.trial_s = 10,
		.deadline_s = 120,
		.not_with_peer = "what iperf3 needs between two real machines is not the lab's",
	},
	{
		.name = "web",
		.title = "Figure 16: a web server that is moved",
		.variants = paper_variants,
		.presets =
			PRESETS({"workload", "web"}, {"memory_mib", "384"}, {"fill_percent", "25"}),
		.sizes = {[PROFILE_PAPER] = {3, PRESETS({"memory_mib", "1024"})}},
		.trial_s = 25,
		.deadline_s = 300,
	},
	{
		.name = "pages",
		.title = "until a guest works as before, by the pages of its memory",
		.variants = page_variants,
		.presets = PRESETS({"workload", "pages"}, {"fill_percent", "25"}),
		.sizes = {[PROFILE_PAPER] = {5, PRESETS({"memory_mib", "1024"})},
			[PROFILE_NIGHTLY] = {2, NULL}},
		.trial_s = 6,
		.deadline_s = 120,
	},
	{
		.name = "postcopy",
		.title = "pages on demand, two stacks of one host",
		.variants = postcopy_variants,
		.sizes = {[PROFILE_PAPER] = {3, up_to_1_gib}, [PROFILE_NIGHTLY] = {1, NULL}},
		.trial_s = 8,
		.deadline_s = 300,
	},
	{
		.name = "cpr",
		.title = "memory that stays: ours and QEMU's cpr-transfer, two stacks of one host",
		.variants = cpr_variants,
		.sizes = {[PROFILE_PAPER] = {.blocks = 3, .presets = up_to_1_gib},
			[PROFILE_NIGHTLY] = {.blocks = 1}},
		.trial_s = 5,
		.deadline_s = 300,
	},
	{
		.name = "stack",
		.title = "all guests of a stack as one transaction",
		.variants = flat_variants,
		.presets = PRESETS({"workload", "stack"}),
		.sizes = {[PROFILE_PAPER] = {3, PRESETS({"guests", "16"})},
			[PROFILE_NIGHTLY] = {1, NULL}},
		.trial_s = 8,
		.deadline_s = 300,
	},
	{0},
};

/* ---- hooks ---- */

const struct topology *zerocopy_topology(const struct trial *trial)
{
	static const struct topology *const all[] = {
		&topology_flat, &topology_machines, &topology_nested};
	const char *name = trial_choice(trial, "topology");

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (strcmp(all[i]->name, name) == 0)
			return trial_has_peer(trial) ? &topology_peer : all[i];
	}
	abort(); /* a choice that nothing stands for */
}

struct fleet *zerocopy_guests(struct trial *trial)
{
	return zerocopy_topology(trial)->guests(trial);
}

struct image_request zerocopy_image(const struct trial *trial)
{
	bool web = strcmp(trial_choice(trial, "workload"), "web") == 0;

	return (struct image_request){
		.kind = "tiny",
		.packages = web ? web_packages : NULL,
		.package_count = web ? 1 : 0,
	};
}

size_t zerocopy_sizes_mib(const struct trial *trial, uint64_t sizes[ZEROCOPY_GUESTS_MAX])
{
	const char *workload = trial_choice(trial, "workload");
	uint64_t most = (uint64_t)trial_integer(trial, "memory_most_mib");
	uint64_t step = (uint64_t)trial_integer(trial, "memory_step");
	uint64_t one = (uint64_t)trial_integer(trial, "memory_mib");
	uint64_t beside = (uint64_t)trial_integer(trial, "memory_beside_mib");
	bool stack = strcmp(workload, "stack") == 0;
	size_t count = stack ? (size_t)trial_integer(trial, "guests") : 1;

	if (strcmp(workload, "dirty") == 0 && beside > 0) {
		sizes[0] = beside;
		sizes[1] = one;
		return 2;
	}
	if (strcmp(workload, "idle") != 0) {
		for (size_t i = 0; i < count; i++)
			sizes[i] = one;
		return count;
	}
	sizes[0] = (uint64_t)trial_integer(trial, "memory_least_mib");
	for (count = 1; sizes[count - 1] * step <= most && count < FLEET_SIZES_MAX; count++)
		sizes[count] = sizes[count - 1] * step;
	return count;
}

/* QEMU is asked, the one that guests will run in, not its version. */
static const char *zerocopy_probe_variant(const struct variant *variant)
{
	_cleanup_json_ json_t *features = NULL;

	if (strcmp(variant->name, "flat-huge") == 0)
		return ram_huge_pages_refused();
	if (strcmp(variant->name, "cpr-transfer") != 0)
		return NULL;
	_cleanup_error_ struct error *err =
		qemu_features(QEMU_DEFAULT, deadline_after_ms(QEMU_TIMEOUT_MS), &features);

	if (err)
		return "QEMU does not tell whether it has the migration mode cpr-transfer";
	return qemu_has(features, "migration", QEMU_CPR_TRANSFER)
		       ? NULL
		       : "the QEMU in PATH has no migration mode cpr-transfer; version 10 has it";
}

static struct error *zerocopy_fleet(struct trial *trial, struct fleet_spec *spec)
{
	bool web = strcmp(trial_choice(trial, "workload"), "web") == 0;
	uint64_t memory_mib = (uint64_t)trial_integer(trial, "memory_mib");

	if (web && memory_mib < WEB_MEMORY_BYTES >> 20)
		return error_new(ERROR_USAGE,
			"a guest with a web server needs memory_mib=%llu or more",
			(unsigned long long)WEB_MEMORY_BYTES >> 20);
	trial_set_state(trial, trial_keep(trial, calloc(1, sizeof(struct zerocopy))));
	return zerocopy_topology(trial)->fleet(trial, spec);
}

static void say(void *data, const char *text)
{
	(void)data;
	log_info("OpenSSH server: %s", text);
}

static const char *zerocopy_needs(const struct trial *trial)
{
	return zerocopy_topology(trial)->sshd_of_host ? "OpenSSH server" : NULL;
}

/* That server is the only thing it ever needs. */
static struct error *zerocopy_provide(const char *need)
{
	(void)need;
	return sshd_provide(deadline_after_ms(PROVIDE_TIMEOUT_MS), say, NULL);
}

/* Counters of one of two machines would show half of it. Where the kernel refuses them the trial
 * goes on without, as on a host that has none. */
static void open_counters(struct trial *trial)
{
	struct zerocopy *state = trial_state(trial);
	struct error *err = trial_has_peer(trial) ? NULL : memory_counters_open(&state->counters);

	if (err)
		log_warning("%s", error_message(err));
	error_destroy(err);
}

static struct error *zerocopy_setup(struct trial *trial)
{
	const struct topology *topology = zerocopy_topology(trial);

	open_counters(trial);
	if (topology->emulated)
		try_(trial_effective(trial, "emulated", json_string(topology->emulated)));
	if (topology->open)
		try_(topology->open(trial));
	try_(guests_prepare(trial));
	return web_prepare(trial);
}

static void zerocopy_teardown(struct trial *trial)
{
	struct zerocopy *state = trial_state(trial);

	if (!state)
		return;
	if (zerocopy_topology(trial)->close)
		zerocopy_topology(trial)->close(trial);
	guests_deinit(state);
	memory_counters_close(state->counters);
}

const struct mechanism mechanism_zerocopy = {
	.name = "zerocopy",
	.paper = "D",
	.summary = "zero-copy migration between two virtualization systems of one host",
	.params = params,
	.metrics = metrics,
	.variants = variants,
	.experiments = experiments,
	.two_machines = (const char *const[]){"phys", NULL},
	.probe_variant = zerocopy_probe_variant,
	.fleet = zerocopy_fleet,
	.needs = zerocopy_needs,
	.provide = zerocopy_provide,
	.setup = zerocopy_setup,
	.measure = zerocopy_measure,
	.evidence = zerocopy_evidence,
	.teardown = zerocopy_teardown,
};
