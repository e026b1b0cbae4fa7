/* fleetlab doctor: what this host can do, one line each, with a remedy for what it cannot. */
#include "harness/cmd/command.h"
#include "harness/cmd/doctor_checks.h"
#include "harness/host/accelerator.h"
#include "harness/host/facts.h"
#include "harness/host/qemu.h"

#include <getopt.h>

/* Of all checks together; the first probe boot takes most of it, where KVM hangs. */
#define DOCTOR_MS 25000

static const char *const status_names[] = {
	[CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_FAIL] = "FAIL"};

static void result_deinit(struct check_result *result)
{
	free(result->value);
	free(result->remedy);
}

static void print_line(const struct check *check, const struct check_result *result)
{
	printf("%-4s  %-13s  %s\n", status_names[result->status], check->name, result->value);
	if (result->status != CHECK_OK)
		printf("%-4s  %-13s  → %s\n", "", "", result->remedy);
	fflush(stdout);
}

static json_t *as_json(const struct check *check, const struct check_result *result)
{
	return json_pack("{s:s, s:s, s:s, s:s?}", "name", check->name, "status",
		result->status == CHECK_FAIL ? "fail" : status_names[result->status], "value",
		result->value, "remedy", result->status == CHECK_OK ? NULL : result->remedy);
}

static void print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
}

/* Runs all checks; prints lines unless `list` collects them. True when none failed. */
static bool run_checks(struct deadline deadline, json_t *list)
{
	const struct check_context context = {.qemu = QEMU_DEFAULT, .deadline = deadline};
	int count[3] = {0};

	for (size_t i = 0; i < doctor_check_count; i++) {
		_cleanup_(result_deinit) struct check_result result = {0};

		doctor_checks[i].run(&context, &result);
		count[result.status]++;
		if (list)
			json_array_append_new(list, as_json(&doctor_checks[i], &result));
		else
			print_line(&doctor_checks[i], &result);
	}
	if (!list)
		printf("\n%d ok, %d warn, %d FAIL: the quick profile %s\n", count[CHECK_OK],
			count[CHECK_WARN], count[CHECK_FAIL],
			count[CHECK_FAIL] ? "cannot run here" : "can run here");
	return count[CHECK_FAIL] == 0;
}

static struct error *print_facts(struct deadline deadline)
{
	_cleanup_(accelerator_deinit) struct accelerator accelerator = {0};
	_cleanup_json_ json_t *facts = NULL;

	try_(accelerator_find(QEMU_DEFAULT, NULL, deadline, &accelerator));
	try_(host_facts(QEMU_DEFAULT, &accelerator, deadline, &facts));
	print_json(facts);
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
		{"facts", no_argument, NULL, 'f'}, {"fresh", no_argument, NULL, 'r'}, {0}};
	struct deadline deadline = deadline_after_ms(DOCTOR_MS);
	bool json = false, facts = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'j')
			json = true;
		else if (option == 'f')
			facts = true;
		else if (option == 'r')
			try_(accelerator_forget());
		else
			return command_bad_option(argc, argv);
	}
	if (optind < argc)
		return error_hint(
			error_new(ERROR_USAGE, "doctor takes no argument '%s'", argv[optind]),
			"fleetlab doctor --help");
	if (facts)
		return print_facts(deadline);
	_cleanup_json_ json_t *list = json ? json_array() : NULL;
	bool ready = run_checks(deadline, list);

	*exit_status = ready ? 0 : 1;
	if (json) {
		_cleanup_json_ json_t *all =
			json_pack("{s:b, s:O}", "ready", ready, "checks", list);

		print_json(all);
	}
	return NULL;
}

const struct command command_doctor = {
	.name = "doctor",
	.arguments = "[--json | --facts] [--fresh]",
	.summary = "what this host can do, with a remedy for what it cannot",
	.help = "Tries what a run needs: a probe boot for the accelerator, namespaces, links,\n"
		"QEMU's and libvirt's features. Nothing on the host is changed. The\n"
		"accelerator's answer is remembered until QEMU, the kernel, the CPU or its\n"
		"microcode change.\n"
		"\n"
		"options:\n"
		"  --json    {ready, checks: [{name, status, value, remedy}]} on standard output\n"
		"  --facts   the fingerprint of this host that goes into records, as JSON\n"
		"  --fresh   probe the accelerator anew\n"
		"\n"
		"exit status: 0 the quick profile can run, 1 it cannot\n"
		"\n"
		"examples:\n"
		"  fleetlab doctor\n"
		"  fleetlab doctor --json | jq '.checks[] | select(.status != \"ok\")'\n",
	.run = run,
};
