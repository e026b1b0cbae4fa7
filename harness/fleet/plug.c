/* Devices that are given to running guests: plug_spec of fleet.h. */
#include "harness/fleet/fleet_internal.h"

#include <glib.h>

static struct error *plug_one(struct stack *stack, const struct guest *guest,
	const struct plug_spec *plug, struct deadline deadline)
{
	gchar **parts = g_strsplit(plug->arguments, GUEST_PLACEHOLDER, -1);
	gchar *text = g_strjoinv(guest->name, parts);
	json_t *arguments = json_loads(text, 0, NULL);

	g_free(text);
	g_strfreev(parts);
	if (!arguments)
		return error_new(ERROR_INTERNAL, "arguments of %s are no JSON: %s", plug->command,
			plug->arguments);
	return stack_request(stack,
		json_pack("{s:s, s:s, s:s, s:o}", "op", "qmp", "name", guest->seat, "command",
			plug->command, "arguments", arguments),
		deadline, NULL);
}

struct error *plug_in(struct fleet *fleet, const struct guest *guest)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	if (fleet->spec.plug_count == 0)
		return NULL;
	try_(stacks_connect(fleet, guest->stack, &stack));
	for (size_t i = 0; i < fleet->spec.plug_count; i++) {
		const struct plug_spec *plug = &fleet->spec.plugs[i];

		if (plug->guests == PLUG_ALL ||
			(guest->number < 64 && plug->guests >> guest->number & 1))
			try_(plug_one(stack, guest, plug, fleet->deadline));
	}
	return NULL;
}
