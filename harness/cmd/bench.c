/*
 * fleetlab bench: what fleetlab itself costs. Time until guests are ready, by cloning a template
 * and by booting cold, in one run; host memory per clone; and the floor: bare QEMUs with the
 * template's state, without agent, name or network identity.
 */
#include "harness/cmd/bench_lab.h"
#include "harness/cmd/bench_nested.h"
#include "harness/cmd/command.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/base/parallel.h"
#include "harness/engine/interrupt.h"
#include "harness/engine/resources.h"
#include "harness/fleet/clone.h"
#include "harness/fleet/stack.h"
#include "harness/host/accelerator.h"
#include "harness/host/lock.h"
#include "harness/lab/lab.h"

#include <fcntl.h>
#include <getopt.h>
#include <string.h>

#define LAB_TIMEOUT_MS 900000

enum arm { ARM_CLONES, ARM_COLD, ARM_BARE, ARM_TEMPLATE };

struct bench_job {
	enum arm arm;
	struct fleet_spec spec;
	struct fleet_host host;
};

/* ---- in the lab ---- */

static struct error *report_fleet(const struct fleet *fleet, json_t **result)
{
	double answer = 0, ready = 0;
	uint64_t total = 0;

	for (unsigned int i = 0; i < fleet_count(fleet); i++) {
		uint64_t pss;

		try_(fleet_guest_pss(fleet, i, &pss));
		total += pss;
		answer = fleet_guest_answer_s(fleet, i) > answer ? fleet_guest_answer_s(fleet, i)
								 : answer;
		ready = fleet_guest_ready_s(fleet, i) > ready ? fleet_guest_ready_s(fleet, i)
							      : ready;
	}
	*result = json_pack("{s:f, s:f, s:f}", "answer_s", answer, "ready_s", ready, "pss_bytes",
		(double)total / fleet_count(fleet));
	return NULL;
}

static struct error *start_bare(size_t item, void *context)
{
	const struct bench_job *job = context;
	_cleanup_free_ char *name = format_string("b%zu", item);
	_cleanup_free_ char *dir = guest_dir(name, 0);
	struct guest_spec spec = {.name = name, .ram = RAM_COPY};
	_cleanup_json_ json_t *argv = clone_fill(job->host.template->argv, &spec);
	_cleanup_free_ char *log = format_string("%s/qemu.log", dir);
	_cleanup_free_ char *consoles = format_string("%s/log", lab_dir());
	struct qmp *qmp;
	pid_t pid;

	try_(fs_make_dirs(dir));
	try_(fs_make_dirs(consoles)); /* where the template's arguments have QEMU write */
	try_(clone_start(name, argv, 0, log, deadline_after_ms(LAB_TIMEOUT_MS), &pid, &qmp));
	qmp_close(qmp);
	return NULL;
}

static struct error *run_bare(struct bench_job *job, json_t **result)
{
	int64_t begin = clock_now_ns();

	dup2(job->host.template->ram_fd, STACK_RAM_FD);
	dup2(job->host.template->state_fd, STACK_STATE_FD);
	try_(parallel_for(
		job->spec.count, 2 * (size_t)sysconf(_SC_NPROCESSORS_ONLN), start_bare, job));
	*result = json_pack("{s:f}", "ready_s", clock_seconds(begin, clock_now_ns()));
	return NULL;
}

static struct error *run_arm(void *context, json_t **result)
{
	struct bench_job *job = context;
	_cleanup_(cleanup_fleet) struct fleet *fleet = NULL;
	struct deadline deadline = deadline_after_ms(LAB_TIMEOUT_MS);

	switch (job->arm) {
	case ARM_TEMPLATE:
		return fleet_make_template(&job->spec, &job->host, deadline, result);
	case ARM_BARE:
		return run_bare(job, result);
	case ARM_CLONES:
	case ARM_COLD:
		break;
	}
	try_(fleet_open(&job->spec, &job->host, deadline, &fleet));
	return report_fleet(fleet, result);
}

/* ---- outside ---- */

static struct error *measure(
	struct bench_job *job, enum arm arm, unsigned int count, json_t **result)
{
	if (interrupted())
		return error_new(ERROR_INTERRUPTED, "interrupted");
	job->arm = arm;
	job->spec.count = count;
	job->spec.start = arm == ARM_COLD ? FLEET_COLD : FLEET_TEMPLATE;
	return bench_in_lab(&job->host, run_arm, job, deadline_after_ms(LAB_TIMEOUT_MS), result);
}

static double number(const json_t *line, const char *name)
{
	return json_number_value(json_object_get(line, name));
}

/* Clones before and after the cold boots: a drift of the host shows in their difference. */
static struct error *measure_count(
	struct bench_job *job, struct bench_job *bare, unsigned int count)
{
	_cleanup_json_ json_t *before = NULL;
	_cleanup_json_ json_t *cold = NULL;
	_cleanup_json_ json_t *after = NULL;
	_cleanup_json_ json_t *floor = NULL;

	try_(measure(job, ARM_CLONES, count, &before));
	try_(measure(job, ARM_COLD, count, &cold));
	try_(measure(bare, ARM_BARE, count, &floor));
	try_(measure(job, ARM_CLONES, count, &after));
	double clones = (number(before, "answer_s") + number(after, "answer_s")) / 2;

	printf("%6u  %6.2f s %6.2f s  %6.1f ms  %6.2f s  %7.2f s  %5.1f x  %6.2f s  %5.1f MiB "
	       "%6.1f MiB\n",
		count, number(before, "answer_s"), number(after, "answer_s"), clones / count * 1e3,
		number(after, "ready_s"), number(cold, "answer_s"),
		number(cold, "answer_s") / clones, number(floor, "ready_s"),
		number(after, "pss_bytes") / (1 << 20), number(cold, "pss_bytes") / (1 << 20));
	fflush(stdout);
	return NULL;
}

static struct error *boot_template(struct bench_job *job, struct resources *resources)
{
	struct template *template;
	bool is_new;

	try_(resources_template(resources, &job->spec, job->spec.memory_bytes, &template, &is_new));
	job->host.template = template;
	return measure(job, ARM_TEMPLATE, 1, &template->argv);
}

static struct error *bench(const char *counts)
{
	static const struct link_spec links[] = {{"lan", NULL, 0, 0}};
	static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};
	_cleanup_(accelerator_deinit) struct accelerator accelerator = {0};
	_cleanup_(cleanup_resources) struct resources *resources = NULL;
	_cleanup_host_lock_ struct host_lock *lock = NULL;
	_cleanup_free_ char *copy = format_string("%s", counts);
	struct bench_job job = {.spec = {.image = {.kind = "tiny"},
					.memory_bytes = (uint64_t)256 << 20,
					.vcpus = 1,
					.links = links,
					.link_count = 1,
					.nics = nics,
					.nic_count = 1}};
	struct bench_job bare;
	char *save = NULL;

	try_(host_lock_acquire("bench", deadline_after_ms(0), &lock));
	try_(accelerator_find("qemu-system-x86_64", NULL, deadline_after_ms(60000), &accelerator));
	resources = resources_create(accelerator.name);
	job.host.accelerator = accelerator.name;
	try_(resources_image(resources, &job.spec.image, &job.host.image));
	try_(boot_template(&job, resources));
	bare = job;
	bare.spec.nic_count = bare.spec.link_count = 0;
	try_(boot_template(&bare, resources));
	printf("time until the last guest's agent has answered (256 MiB, tiny, %s); clones twice, "
	       "around the\n"
	       "cold boots; named: until it also has its own name, address, entropy and clock; "
	       "bare: QEMUs\n"
	       "that run with a template's state and nothing else; PSS of one guest's QEMU\n\n"
	       "guests  clones   again     a guest    named      cold    ratio      bare  PSS "
	       "clone   cold\n",
		accelerator.name);
	for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		int count = atoi(word);

		if (count < 1 || count > 250)
			return error_new(ERROR_USAGE, "--guests %s: numbers from 1 to 250", counts);
		try_(measure_count(&job, &bare, (unsigned int)count));
	}
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	static const struct option options[] = {
		{"guests", required_argument, NULL, 'g'}, {"nested", no_argument, NULL, 'n'}, {0}};
	const char *counts = "1,8,32,64";
	bool nested = false;
	int option;

	(void)exit_status;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'g')
			counts = optarg;
		else if (option == 'n')
			nested = true;
		else
			return command_bad_option(argc, argv);
	}
	if (optind < argc)
		return error_hint(
			error_new(ERROR_USAGE, "bench takes no argument '%s'", argv[optind]),
			"fleetlab bench --guests %s", argv[optind]);
	if (counts[0] < '1' || strspn(counts, "0123456789,") != strlen(counts))
		return error_hint(error_new(ERROR_USAGE, "--guests %s: not numbers", counts),
			"fleetlab bench --guests 1,8");
	interrupt_catch();
	return nested ? bench_nested() : bench(counts);
}

const struct command command_bench = {
	.name = "bench",
	.arguments = "[--guests 1,8,32,64 | --nested]",
	.summary = "measure fleetlab itself: time to ready, memory per clone",
	.help = "Clones and cold boots of the same numbers of guests in one run, their\n"
		"ratio, and the floor.\n"
		"\n"
		"options:\n"
		"  --guests LIST  how many guests, comma-separated (1,8,32,64: several minutes)\n"
		"  --nested       instead: guests inside guests, and what it takes to have them\n"
		"\n"
		"example:\n"
		"  fleetlab bench --guests 8\n",
	.run = run,
};
