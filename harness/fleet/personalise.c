/* Makes a guest itself: see fleet_internal.h. Two clones must never share a name, an address or a
 * stream of random numbers. */
#include "harness/fleet/fleet_internal.h"
#include "harness/base/fs.h"

#include <glib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

char *random_hex(size_t bytes)
{
	unsigned char raw[64];
	char *hex = calloc(1, 2 * bytes + 1);

	if (!hex || bytes > sizeof(raw) || getrandom(raw, bytes, 0) != (ssize_t)bytes)
		abort();
	for (size_t i = 0; i < bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", raw[i]);
	return hex;
}

/* Adds "--interface ethN --mac M --address A" for each NIC. */
static void add_interfaces(
	const struct fleet *fleet, const struct guest *guest, char *words[], size_t *count)
{
	for (size_t i = 0; i < fleet->spec.nic_count; i++) {
		_cleanup_free_ char *address = fleet_guest_address(fleet, guest->number, i);
		char mac[18];

		guest_mac(guest->number + 1, i, mac);
		words[(*count)++] = format_string("--interface=eth%zu", i);
		words[(*count)++] = format_string("--mac=%s", mac);
		words[(*count)++] = format_string("--address=%s/24", address);
	}
}

/* The words that make the guest itself: name, identity, entropy, time, addresses. */
static void personal_words(
	const struct fleet *fleet, const struct guest *guest, char *words[], size_t *count)
{
	_cleanup_free_ char *entropy = random_hex(64);
	_cleanup_free_ char *machine_id = random_hex(16);
	struct timespec now;

	words[(*count)++] = format_string("personalise");
	words[(*count)++] = format_string("--name=%s", guest->name);
	words[(*count)++] = format_string("--entropy=%s", entropy);
	words[(*count)++] = format_string("--machine-id=%s", machine_id);
	clock_gettime(CLOCK_REALTIME, &now);
	words[(*count)++] = format_string("--time=%lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
	add_interfaces(fleet, guest, words, count);
	words[*count] = NULL;
}

/* By a new program in the guest. */
static struct error *personalise_by_agent(struct fleet *fleet, struct guest *guest, char *words[])
{
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	try_(agent_exec(
		guest->agent, (const char *const *)words, NULL, 0, fleet->deadline, &result));
	if (result.exit_status != 0)
		return error_new(ERROR_GUEST, "status %d: %s", result.exit_status, result.output);
	return NULL;
}

/* By the `later` that waits in every clone; *done is false when that has failed. */
static struct error *personalise_by_port(
	struct fleet *fleet, struct guest *guest, char *words[], bool *done)
{
	gchar *line = g_strjoinv(" ", words);
	gchar *whole = g_strconcat(line, "\n", NULL);
	struct error *err = fs_write_all(guest->control_fd, whole, strlen(whole), guest->name);
	char heard = 0;

	g_free(line);
	g_free(whole);
	if (!err)
		err = await_byte(guest, "dx", "personalise", fleet->deadline, &heard);
	*done = heard == 'd';
	return err;
}

struct error *personalise(struct fleet *fleet, struct guest *guest)
{
	char *words[9 + 3 * MAX_NICS];
	size_t count = 1;
	bool done = false;
	struct error *err = NULL;

	words[0] = format_string("%s", GUEST_PROGRAM);
	personal_words(fleet, guest, words, &count);
	if (fleet->spec.start == FLEET_TEMPLATE)
		err = personalise_by_port(fleet, guest, words + 1, &done);
	/* A failure is told by the agent, which brings the program's own words. */
	if (!err && !done)
		err = personalise_by_agent(fleet, guest, words);
	for (size_t i = 0; i < count; i++)
		free(words[i]);
	return err ? error_prefix(err, "cannot personalise guest %s", guest->name) : NULL;
}
