/*
 * Fleets of real guests for tests: each body runs in a lab of its own, with clones of one template
 * that is booted once for the test program. The program is its own stack: see live_main().
 */
#pragma once

#include "harness/base/test/support.h"
#include "harness/base/process.h"
#include "harness/cmd/command.h"
#include "harness/engine/resources.h"
#include "harness/fleet/fleet_internal.h"
#include "harness/host/accelerator.h"
#include "harness/lab/lab.h"

#include <fcntl.h>
#include <unistd.h>

#define LIVE_TIMEOUT_MS 120000
#define LIVE_DEADLINE deadline_after_ms(LIVE_TIMEOUT_MS)

extern const struct command command_stack;

struct live_job {
	const struct fleet_spec *spec;
	struct fleet_host host;
	void (*body)(struct fleet *fleet); /* NULL: make the template */
	int out_fd;
};

/* Called in the lab before the fleet of a body is opened, which its changes concern; may be NULL.
 */
static void (*live_prepare)(struct fleet_host *host);

static struct resources *live_resources;
static char *live_accelerator;

static void live_body(void **state)
{
	struct live_job *job = *state;
	struct fleet *fleet = NULL;
	json_t *argv;

	if (!job->body) {
		assert_ok(fleet_make_template(job->spec, &job->host, LIVE_DEADLINE, &argv));
		assert_ok(jsonline_send(job->out_fd, json_pack("{s:o}", "argv", argv), "the test"));
		return;
	}
	if (live_prepare)
		live_prepare(&job->host);
	assert_ok(fleet_open(job->spec, &job->host, LIVE_DEADLINE, &fleet));
	job->body(fleet);
	fleet_close(fleet);
}

/* The lab's process runs a group of its own, so that a failed assertion ends there. */
static int live_lab(void *context)
{
	const struct CMUnitTest test = {
		.name = "in the lab", .test_func = live_body, .initial_state = context};

	cmocka_set_message_output(CM_OUTPUT_STDOUT);
	return _cmocka_run_group_tests("lab", &test, 1, NULL, NULL);
}

static void live_in_lab(struct live_job *job)
{
	struct lab_options options = {.name = "test",
		.mask_kvm = strcmp(live_accelerator, "kvm") != 0,
		.body = live_lab,
		.context = job};
	struct lab lab;
	int status = -1;

	assert_ok(lab_open(&options, &lab));
	if (!lab_wait(&lab, deadline_after_ms(2 * LIVE_TIMEOUT_MS), &status)) {
		lab_kill(&lab);
		fail_msg("the lab's body hangs");
	}
	assert_int_equal(status, 0);
}

/* Of this size; the list of templates grows by it. */
static void live_template(struct live_job *job, uint64_t memory_bytes)
{
	const struct template *others = job->host.template;
	_cleanup_(jsonline_deinit) struct jsonline reader = {0};
	struct template *template;
	_cleanup_json_ json_t *answer = NULL;
	bool made = false;
	int pair[2];

	assert_ok(resources_template(live_resources, job->spec, memory_bytes, &template, &made));
	if (template == others)
		return;
	template->next = others;
	job->host.template = template;
	if (!made)
		return;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	struct live_job make = *job;

	make.body = NULL;
	make.out_fd = pair[1];
	live_in_lab(&make);
	close(pair[1]);
	reader.fd = pair[0];
	assert_ok(jsonline_receive(&reader, "the template", LIVE_DEADLINE, &answer));
	close(pair[0]);
	template->argv = json_incref(json_object_get(answer, "argv"));
}

/* Runs `body` with a fleet in a lab. A failure is printed where it happens and fails the test. */
static inline void live_run(const struct fleet_spec *spec, void (*body)(struct fleet *fleet))
{
	struct live_job job = {.spec = spec, .body = body};

	job.host.accelerator = live_accelerator;
	assert_ok(resources_image(live_resources, &spec->image, &job.host.image));
	if (spec->extra && spec->extra->image)
		assert_ok(
			resources_image(live_resources, spec->extra->image, &job.host.inner_image));
	for (unsigned int i = 0; spec->start == FLEET_TEMPLATE && i < spec->count; i++)
		live_template(&job,
			spec->memory_bytes_each ? spec->memory_bytes_each[i] : spec->memory_bytes);
	live_in_lab(&job);
}

static inline int live_command(struct fleet *fleet, unsigned int guest, const char *const argv[])
{
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	assert_ok(agent_exec(
		fleet_agent(fleet, guest), argv, NULL, 0, deadline_after_ms(20000), &result));
	return result.exit_status;
}

/* What a shell command prints in a guest; it must succeed. Caller frees. */
static inline char *live_shell(struct fleet *fleet, unsigned int guest, const char *command)
{
	const char *const argv[] = {"/bin/sh", "-c", command, NULL};
	struct exec_result result = {0};

	assert_ok(agent_exec(
		fleet_agent(fleet, guest), argv, NULL, 0, deadline_after_ms(20000), &result));
	if (result.exit_status != 0)
		fail_msg("'%s' in %s: status %d: %s", command, fleet_guest_name(fleet, guest),
			result.exit_status, result.errors);
	free(result.errors);
	return result.output;
}

/* What main() of such a test returns. */
static inline int live_main(
	int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t count)
{
	_cleanup_(accelerator_deinit) struct accelerator accelerator = {0};
	int status = 0;

	if (argc > 1 && strcmp(argv[1], "stack") == 0) {
		error_destroy(command_stack.run(argc - 1, argv + 1, &status));
		return 1;
	}
	if (geteuid() != 0) {
		puts("skipped: labs need root here");
		return 0;
	}
	error_destroy(accelerator_find("qemu-system-x86_64", NULL, LIVE_DEADLINE, &accelerator));
	if (!accelerator.name) {
		puts("skipped: QEMU cannot be run here");
		return 0;
	}
	live_accelerator = accelerator.name;
	live_resources = resources_create(accelerator.name);
	status = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
	resources_destroy(live_resources);
	return status;
}
