/* Which L1 guest has an L2 guest's QEMU, and on which memory: see nested.h. Asked of the L1 guests'
 * own kernels by their agents, not of the stacks, whose doings it is to prove. Must never believe a
 * number that comes from an L1 guest: lines are counted here. */
#include "harness/base/fs.h"
#include "harness/fleet/nested_internal.h"

#include <string.h>

/* $1 the guest's name (its later QEMUs have ".N" behind it), $2 the NVDIMM. Prints a line for each
 * QEMU that was started for this guest and lives. Nearly all processes are passed over without
 * starting a program: under emulation each takes its time. */
static const char script[] =
	"for dir in /proc/[0-9]*; do\n"
	"  comm=; read -r comm 2>/dev/null <\"$dir/comm\"\n"
	"  case $comm in qemu-system*) ;; *) continue;; esac\n"
	"  name=$(tr '\\0' '\\n' <\"$dir/cmdline\" | sed -n 's/^guest=\\([^,]*\\),.*/\\1/p')\n"
	"  case $name in \"$1\"|\"$1\".*) ;; *) continue;; esac\n"
	"  if grep -q \" $2\\$\" \"$dir/maps\"; then echo mapped; else echo other; fi\n"
	"done";

struct error *nested_look(const struct nested *nested, unsigned int guest, unsigned int stack,
	struct deadline deadline, struct nested_sight *sight)
{
	_cleanup_free_ char *device = format_string("/dev/nested%u", guest);
	const char *const argv[] = {"/bin/sh", "-c", script, "sh",
		fleet_guest_name(nested->inner, guest), device, NULL};
	_cleanup_(exec_result_deinit) struct exec_result ended = {0};
	char *save = NULL;

	try_(agent_exec(fleet_agent(nested->outer, stack), argv, NULL, 0, deadline, &ended));
	if (ended.exit_status != 0)
		return error_new(ERROR_GUEST, "L1 guest %u cannot list its processes: %.300s",
			stack, ended.errors);
	*sight = (struct nested_sight){0};
	for (const char *line = strtok_r(ended.output, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		sight->processes++;
		sight->on_nvdimm += strcmp(line, "mapped") == 0;
	}
	return NULL;
}
