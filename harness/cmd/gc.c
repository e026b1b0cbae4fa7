/* fleetlab gc: gives back what dead processes have left, and removes what no run needs any more. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/cmd/fleet_control.h"
#include "harness/host/knobs.h"

#include <getopt.h>

static struct error *run(int argc, char **argv, int *exit_status)
{
	static const struct option options[] = {{0}};
	_cleanup_json_ json_t *warnings = json_array();
	json_t *warning;
	size_t i, removed = 0;

	(void)exit_status;
	if (getopt_long(argc, argv, "", options, NULL) != -1)
		return command_bad_option(argc, argv);
	if (optind < argc)
		return error_hint(error_new(ERROR_USAGE, "gc takes no argument '%s'", argv[optind]),
			"fleetlab gc --help");
	try_(knobs_recover(warnings));
	json_array_foreach (warnings, i, warning)
		log_warning("%s", json_string_value(warning));
	try_(fleet_control_sweep(&removed));
	printf("host knobs are as they were; %zu stale fleet%s removed\n", removed,
		removed == 1 ? "" : "s");
	return NULL;
}

const struct command command_gc = {
	.name = "gc",
	.arguments = "",
	.summary = "give back host knobs and remove what dead processes have left",
	.help = "Labs leave nothing behind, whatever dies. What can stay after kill -9 is a\n"
		"host knob that a run had borrowed (noted in a journal before it was changed)\n"
		"and the socket of a fleet. Every fleetlab run does this too before it begins.\n"
		"\n"
		"example:\n"
		"  fleetlab gc\n",
	.run = run,
};
