/* The synthetic mechanism: variants with effects that are known by construction, so that the
 * harness can be tested on itself. It needs no guests unless asked for some. */
#include "mechanisms/mechanism.h"

#include <signal.h>
#include <string.h>
#include <time.h>

static const struct param params[] = {
	{"base_us", PARAM_INTEGER, "us", "2000", 100, 1e6, NULL, "what the plain variant takes"},
	{"effect", PARAM_REAL, "x", "1", 0.1, 100, NULL, "how many times that this variant takes"},
	{"noise", PARAM_REAL, "", "0.05", 0, 1, NULL, "uniform noise on each reading, as a share"},
	{"readings", PARAM_INTEGER, "", "5", 1, 1000, NULL, "samples a trial"},
	{"guests", PARAM_INTEGER, "", "0", 0, 64, NULL, "guests to boot and ask for their names"},
	{"memory_mib", PARAM_INTEGER, "MiB", "128", 64, 65536, NULL, "memory of each guest"},
	{"start", PARAM_CHOICE, "", "template", 0, 0, "cold template", "how guests start"},
	{"behaviour", PARAM_CHOICE, "", "plain", 0, 0,
		"plain crash hang no-evidence false-evidence unfit verbose", "what goes wrong"},
	{0},
};

static const struct metric metrics[] = {
	{"time", "us", BETTER_LESS, "a wait of known length, read from the clock"},
	{"ready", "s", BETTER_LESS, "until all guests answered and were personalised"},
	{0},
};

#define PRESETS(...) ((const struct preset[]){__VA_ARGS__, {0}})

static const struct variant variants[] = {
	{"delay", ROLE_SUBJECT, "takes 1.5 times as long", PRESETS({"effect", "1.5"})},
	{"delay-little", ROLE_SUBJECT, "takes 5 % longer, about as much as its noise",
		PRESETS({"effect", "1.05"})},
	{"none", ROLE_BASELINE, "no effect", NULL},
	{"none-again", ROLE_BASELINE, "no effect, the other arm of an A/A comparison", NULL},
	{"noise", ROLE_BASELINE, "no effect, three times the noise", PRESETS({"noise", "0.15"})},
	{"crash", ROLE_SUBJECT, "dies of a signal while measuring",
		PRESETS({"behaviour", "crash"})},
	{"hang", ROLE_SUBJECT, "never ends", PRESETS({"behaviour", "hang"})},
	{"no-evidence", ROLE_SUBJECT, "acts, but proves nothing",
		PRESETS({"behaviour", "no-evidence"})},
	{"false-evidence", ROLE_SUBJECT, "proves that it did not act",
		PRESETS({"behaviour", "false-evidence"})},
	{"guests", ROLE_SUBJECT, "boots real guests", NULL},
	{0},
};

static const char *const effect_variants[] = {"delay", "none", "none-again", "noise", NULL};
static const char *const nightly_variants[] = {"delay", "none", "none-again", NULL};
static const char *const little_variants[] = {"delay-little", "none", NULL};
static const char *const evidence_variants[] = {"no-evidence", "false-evidence", NULL};
static const char *const failure_variants[] = {"crash", "hang", NULL};
static const char *const guest_variants[] = {"guests", NULL};

static const struct experiment experiments[] = {
	{
		.name = "effect",
		.title = "known effects",
		.variants = effect_variants,
		.sizes =
			{
				[PROFILE_SMOKE] = {3, NULL},
				[PROFILE_QUICK] = {6, NULL},
				[PROFILE_PAPER] = {20, NULL},
				[PROFILE_NIGHTLY] = {3, NULL, nightly_variants},
			},
		.trial_s = 0.1,
		.deadline_s = 30,
	},
	{
		/* One block decides nothing: for --until-decided. */
		.name = "little",
		.title = "an effect that takes some boots to see",
		.variants = little_variants,
		.sizes = {[PROFILE_PAPER] = {1, NULL}},
		.trial_s = 0.1,
		.deadline_s = 30,
	},
	{
		.name = "evidence",
		.title = "missing evidence",
		.variants = evidence_variants,
		.sizes =
			{
				[PROFILE_SMOKE] = {1, NULL},
				[PROFILE_QUICK] = {1, NULL},
				[PROFILE_PAPER] = {1, NULL},
			},
		.trial_s = 0.1,
		.deadline_s = 30,
	},
	{
		/* Only when asked for by -e failure: a run with it has failed trials by design. */
		.name = "failure",
		.title = "a crash and a hang",
		.variants = failure_variants,
		.sizes = {[PROFILE_SMOKE] = {1, NULL}},
		.trial_s = 1,
		.deadline_s = 2,
	},
	{
		.name = "boot",
		.title = "guests that answer",
		.variants = guest_variants,
		.presets = PRESETS({"guests", "2"}),
		.sizes = {[PROFILE_SMOKE] = {1, NULL}, [PROFILE_QUICK] = {1, NULL}},
		.trial_s = 2,
		.deadline_s = 180,
	},
	{0},
};

static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};
static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};

static struct error *null_fleet(struct trial *trial, struct fleet_spec *spec)
{
	*spec = (struct fleet_spec){
		.image = {.kind = "tiny"},
		.count = (unsigned int)trial_integer(trial, "guests"),
		.memory_bytes = (uint64_t)trial_integer(trial, "memory_mib") << 20,
		.vcpus = 1,
		.start = trial_choice(trial, "start")[0] == 't' ? FLEET_TEMPLATE : FLEET_COLD,
		.links = links,
		.link_count = 1,
		.nics = nics,
		.nic_count = 1,
	};
	return NULL;
}

/* More than a record can hold of a reason. */
#define VERBOSE_BYTES (1 << 20)

/* The workload is a wait of known length: the one place where sleeping is what is measured. */
static void wait_us(double us)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += (long)(us * 1e3);
	end.tv_sec += end.tv_nsec / NSEC_PER_SEC;
	end.tv_nsec %= NSEC_PER_SEC;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) != 0)
		;
}

static struct error *measure_guests(struct trial *trial)
{
	struct fleet *fleet = trial_fleet(trial);
	return fleet_count(fleet) > 0 ? trial_sample(trial, "ready", NULL, fleet_ready_s(fleet))
				      : NULL;
}

static struct error *null_measure(struct trial *trial)
{
	double base = trial_real(trial, "base_us") * trial_real(trial, "effect");
	double noise = trial_real(trial, "noise");
	const char *behaviour = trial_choice(trial, "behaviour");
	unsigned int random = (unsigned int)clock_now_ns();

	if (behaviour[0] == 'c')
		raise(SIGSEGV);
	if (behaviour[0] == 'h')
		wait_us(1e15);
	if (behaviour[0] == 'u')
		try_(trial_effective(trial, "effect", json_object()));
	if (behaviour[0] == 'v')
		return error_new(ERROR_GUEST, "a guest said %0*d", VERBOSE_BYTES, 0);
	for (int64_t i = 0; i < trial_integer(trial, "readings"); i++) {
		double share = 2.0 * rand_r(&random) / RAND_MAX - 1;
		int64_t begin = clock_now_ns();

		wait_us(base * (1 + noise * share));
		try_(trial_sample(trial, "time", NULL, (double)(clock_now_ns() - begin) / 1e3));
	}
	return measure_guests(trial);
}

/* Every guest tells its own name: the fleet is real and each clone is itself. */
static struct error *check_names(struct trial *trial)
{
	struct fleet *fleet = trial_fleet(trial);
	const char *const argv[] = {"/bin/hostname", NULL};
	unsigned int right = 0;

	for (unsigned int i = 0; i < fleet_count(fleet); i++) {
		_cleanup_(exec_result_deinit) struct exec_result result = {0};

		try_(agent_exec(
			fleet_agent(fleet, i), argv, NULL, 0, trial_deadline(trial), &result));
		if (result.output_size > 0)
			result.output[strcspn(result.output, "\n")] = '\0';
		right += strcmp(result.output, fleet_guest_name(fleet, i)) == 0;
	}
	return trial_evidence(trial, "names", right == fleet_count(fleet), right, "guests",
		"%u of %u guests have their own names", right, fleet_count(fleet));
}

static struct error *null_evidence(struct trial *trial)
{
	const char *behaviour = trial_choice(trial, "behaviour");

	if (behaviour[0] == 'n')
		return NULL;
	if (fleet_count(trial_fleet(trial)) > 0)
		try_(check_names(trial));
	return trial_evidence(trial, "clock", behaviour[0] != 'f', trial_real(trial, "effect"), "x",
		"the wait was set to %.2f times the plain one", trial_real(trial, "effect"));
}

const struct mechanism mechanism_null = {
	.name = "null",
	.paper = "null",
	.summary = "known effects: the harness tests itself",
	.params = params,
	.metrics = metrics,
	.variants = variants,
	.experiments = experiments,
	.handicap = "effect",
	.fleet = null_fleet,
	.measure = null_measure,
	.evidence = null_evidence,
};
