/* fleetlab gc: gives back what dead processes have left, and removes what no run needs any more. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/cmd/fleet_control.h"
#include "harness/host/knobs.h"
#include "harness/record/import.h"

#include <getopt.h>

static struct error *parse(int argc, char **argv, const char **results)
{
	try_(command_take_results(argc, argv, results));
	if (optind < argc)
		return error_hint(error_new(ERROR_USAGE, "gc takes no argument '%s'", argv[optind]),
			"fleetlab gc --help");
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_free_ char *fallback = fs_results_dir();
	_cleanup_json_ json_t *warnings = json_array();
	const char *results = fallback;
	size_t i, fleets = 0, imports = 0;
	json_t *warning;

	(void)exit_status;
	try_(parse(argc, argv, &results));
	try_(knobs_recover(warnings));
	json_array_foreach (warnings, i, warning)
		log_warning("%s", json_string_value(warning));
	try_(fleet_control_sweep(&fleets));
	try_(import_sweep(results, &imports));
	printf("host knobs are as they were; %zu stale fleet%s and %zu unfinished import%s "
	       "removed\n",
		fleets, fleets == 1 ? "" : "s", imports, imports == 1 ? "" : "s");
	return NULL;
}

const struct command command_gc = {
	.name = "gc",
	.arguments = "[--results DIR]",
	.summary = "give back host knobs and remove what dead processes have left",
	.help = "Labs leave nothing behind, whatever dies. What can stay after kill -9 is a\n"
		"host knob that a run had borrowed (noted in a journal before it was changed),\n"
		"the socket of a fleet, and what an import had unpacked. Every fleetlab run\n"
		"removes the first two before it begins, every import the third.\n"
		"\n"
		"options:\n"
		"  --results DIR  where the records are kept\n"
		"\n"
		"example:\n"
		"  fleetlab gc\n",
	.run = run,
};
