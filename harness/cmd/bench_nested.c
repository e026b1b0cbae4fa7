/* fleetlab bench --nested: guests inside guests, and what it takes to have them. Two labs, as in a
 * run: the template's, and that of its clones. */
#include "harness/cmd/bench_nested.h"
#include "harness/cmd/bench_lab.h"
#include "harness/base/fs.h"
#include "harness/engine/resources.h"
#include "harness/fleet/fleet_move.h"
#include "harness/fleet/nested.h"
#include "harness/host/accelerator.h"
#include "harness/host/lock.h"

#include <string.h>

#define LAB_TIMEOUT_MS 90000
#define GUEST_TIMEOUT_MS 20000

struct nested_job {
	struct nested_plan *plan;
	struct fleet_spec spec;
	struct fleet_host host;
	bool make_template;
};

/* ---- in the lab ---- */

enum { MOVES = 4, CHANNEL_MIB = 64 };

/* The boot id shows that it is the same guest, which has not started anew. */
static struct error *check_guest(struct fleet *inner, const char *boot_id, char **now)
{
	const char *const argv[] = {"cat", "/proc/sys/kernel/random/boot_id", NULL};
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	try_(agent_exec(fleet_agent(inner, 0), argv, NULL, 0, deadline_after_ms(GUEST_TIMEOUT_MS),
		&result));
	if (boot_id && strcmp(boot_id, result.output) != 0)
		return error_new(ERROR_GUEST, "a moved guest is not the guest that was moved");
	if (now)
		*now = take_ptr(result.output);
	return NULL;
}

static json_t *report_json(const struct move_report *report)
{
	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:b}", "total_ms", report->total_ms,
		"transfer_ms", report->transfer_ms, "downtime_ms", report->downtime_ms,
		"qemu_downtime_ms", report->qemu_downtime_ms, "receive_ms", report->receive_ms,
		"sent_bytes", (json_int_t)report->sent_bytes, "digest_pages",
		(json_int_t)report->digest_pages, "moved", report->moved);
}

/* By the L1 guests' own kernels. */
static struct error *check_place(const struct nested *nested, unsigned int stack)
{
	struct nested_sight here, elsewhere;
	struct deadline deadline = deadline_after_ms(GUEST_TIMEOUT_MS);

	try_(nested_look(nested, 0, stack, deadline, &here));
	try_(nested_look(nested, 0, 1 - stack, deadline, &elsewhere));
	if (here.processes == 1 && here.on_nvdimm == 1 && elsewhere.processes == 0)
		return NULL;
	return error_new(ERROR_GUEST,
		"L1 guest %u has %u QEMUs of a moved guest, %u on its NVDIMM, and the other has %u",
		stack, here.processes, here.on_nvdimm, elsewhere.processes);
}

/* To the second L1 guest and back, without copying. */
static struct error *move_about(const struct nested *nested, json_t *moves)
{
	struct fleet *inner = nested_guests(nested);
	static const unsigned int first[] = {0};
	_cleanup_free_ char *boot_id = NULL;

	try_(check_guest(inner, NULL, &boot_id));
	try_(check_place(nested, 0));
	for (unsigned int i = 0; i < MOVES; i++) {
		struct move_options options = {
			.method = MOVE_ZEROCOPY, .deadline = deadline_after_ms(LAB_TIMEOUT_MS)};
		struct move_report report = {0};
		struct error *err =
			fleet_move(inner, first, 1, (i + 1) % NESTED_STACKS, &options, &report);

		json_array_append_new(moves, report_json(&report));
		if (err)
			return error_prefix(err, "move %u", i + 1);
		try_(check_guest(inner, boot_id, NULL));
		try_(check_place(nested, (i + 1) % NESTED_STACKS));
	}
	return NULL;
}

static struct error *report_open(
	const struct fleet *outer, const struct nested *nested, json_t **result)
{
	struct fleet *inner = nested_guests(nested);
	_cleanup_json_ json_t *moves = json_array();
	uint64_t pss[NESTED_STACKS];
	double channel_s;
	bool same = true;

	for (unsigned int i = 0; i < fleet_count(inner) && same; i++)
		try_(nested_same_memory(nested, i, &same));
	for (unsigned int i = 0; i < NESTED_STACKS; i++)
		try_(fleet_guest_pss(outer, i, &pss[i]));
	try_(nested_channel_seconds(nested, (uint64_t)CHANNEL_MIB << 20,
		deadline_after_ms(LAB_TIMEOUT_MS), &channel_s));
	try_(move_about(nested, moves));
	*result = json_pack("{s:f, s:f, s:b, s:f, s:f, s:f, s:O}", "outer_ready_s",
		fleet_ready_s(outer), "inner_ready_s", fleet_ready_s(inner), "same_memory", same,
		"pss_first_bytes", (double)pss[0], "pss_second_bytes", (double)pss[1], "channel_s",
		channel_s, "moves", moves);
	return NULL;
}

static struct error *run_nested(void *context, json_t **result)
{
	const struct nested_job *job = context;
	struct deadline deadline = deadline_after_ms(LAB_TIMEOUT_MS);
	_cleanup_(cleanup_fleet) struct fleet *outer = NULL;
	_cleanup_(cleanup_nested) struct nested *nested = NULL;

	if (job->make_template)
		return fleet_make_template(&job->spec, &job->host, deadline, result);
	try_(fleet_open(&job->spec, &job->host, deadline, &outer));
	try_(nested_open(outer, job->plan, deadline, &nested));
	return report_open(outer, nested, result);
}

/* ---- outside ---- */

static struct error *in_lab(struct nested_job *job, bool make_template, json_t **result)
{
	job->make_template = make_template;
	return bench_in_lab(&job->host, run_nested, job, deadline_after_ms(LAB_TIMEOUT_MS), result);
}

static double number(const json_t *line, const char *name)
{
	return json_number_value(json_object_get(line, name));
}

static void print_result(const json_t *line)
{
	const json_t *move;
	size_t i;

	printf("two L1 guests ready          %6.2f s\n"
	       "L2 guests ready after that   %6.2f s\n"
	       "both map the same memory        %s\n"
	       "PSS of the L1 guests' QEMUs  %6.0f and %.0f MiB\n"
	       "channel, L1 to L1            %6.0f MB/s\n\n"
	       "L2 guest of 256 MiB there and back, without copying (ms)\n"
	       "  total  transfer  downtime  by QEMU   target's start      sent   pages compared\n",
		number(line, "outer_ready_s"), number(line, "inner_ready_s"),
		json_is_true(json_object_get(line, "same_memory")) ? "yes" : "no",
		number(line, "pss_first_bytes") / (1 << 20),
		number(line, "pss_second_bytes") / (1 << 20),
		CHANNEL_MIB * (double)(1 << 20) / 1e6 / number(line, "channel_s"));
	json_array_foreach (json_object_get(line, "moves"), i, move)
		printf("%7.0f %9.0f %9.1f %8.1f %16.0f %8.0f B %15.0f\n", number(move, "total_ms"),
			number(move, "transfer_ms"), number(move, "downtime_ms"),
			number(move, "qemu_downtime_ms"), number(move, "receive_ms"),
			number(move, "sent_bytes"), number(move, "digest_pages"));
}

static struct error *measure(struct nested_job *job, struct template *template)
{
	_cleanup_json_ json_t *line = NULL;
	int64_t begin = clock_now_ns();

	try_(in_lab(job, true, &template->argv));
	printf("template with its L2 guests  %6.2f s\n", clock_seconds(begin, clock_now_ns()));
	fflush(stdout);
	try_(in_lab(job, false, &line));
	print_result(line);
	return NULL;
}

struct error *bench_nested(void)
{
	const struct nested_spec spec = {.count = 2,
		.channel = true,
		.memory_bytes = {(uint64_t)256 << 20, (uint64_t)128 << 20}};
	_cleanup_(cleanup_nested_plan) struct nested_plan *plan = nested_plan_create(&spec);
	_cleanup_(accelerator_deinit) struct accelerator accelerator = {0};
	_cleanup_(cleanup_resources) struct resources *resources = NULL;
	_cleanup_host_lock_ struct host_lock *lock = NULL;
	struct nested_job job = {.plan = plan};
	struct template *template;
	bool is_new;

	try_(host_lock_acquire("bench", deadline_after_ms(0), &lock));
	try_(accelerator_find("qemu-system-x86_64", NULL, deadline_after_ms(60000), &accelerator));
	resources = resources_create(accelerator.name);
	nested_fleet_spec(plan, &job.spec);
	job.host.accelerator = accelerator.name;
	try_(resources_image(resources, &job.spec.image, &job.host.image));
	try_(resources_image(resources, job.spec.extra->image, &job.host.inner_image));
	try_(resources_template(resources, &job.spec, job.spec.memory_bytes, &template, &is_new));
	job.host.template = template;
	return measure(&job, template);
}
