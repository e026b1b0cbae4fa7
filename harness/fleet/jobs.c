/*
 * Programs in guests behind a barrier: see guest_job in fleet.h. `fleetlab-guest await -- PROGRAM
 * …` writes 'r' to the control port when it stands at the barrier, runs PROGRAM when it reads 'g',
 * and writes 'd' when PROGRAM has ended. So nothing is asked of the guest while a measurement runs.
 */
#include "harness/fleet/fleet_internal.h"
#include "harness/base/fs.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* What came before the guest was moved is read first. */
static bool take_unread(struct guest *guest, const char *wanted, char *heard)
{
	for (size_t i = 0; i < guest->unread_count; i++) {
		if (guest->unread[i] && strchr(wanted, guest->unread[i])) {
			*heard = guest->unread[i];
			guest->unread_count -= i + 1;
			memmove(guest->unread, guest->unread + i + 1, guest->unread_count);
			return true;
		}
	}
	guest->unread_count = 0;
	return false;
}

struct error *await_byte(struct guest *guest, const char *wanted, const char *what,
	struct deadline deadline, char *heard)
{
	if (take_unread(guest, wanted, heard))
		return NULL;
	for (;;) {
		struct pollfd pfd = {.fd = guest->control_fd, .events = POLLIN};
		char byte;

		if (deadline_passed(deadline))
			return error_new(ERROR_TIMEOUT,
				"deadline passed while waiting for %s in guest %s", what,
				guest->name);
		int ready = poll(&pfd, 1, deadline_left_ms(deadline));

		if (ready < 0 && errno != EINTR)
			return error_errno(errno, "cannot wait for guest %s", guest->name);
		if (ready <= 0)
			continue;
		ssize_t n = read(guest->control_fd, &byte, 1);

		if (n == 0 || (n < 0 && errno != EINTR))
			return error_new(ERROR_GUEST, "guest %s ended while %s ran in it",
				guest->name, what);
		if (n == 1 && strchr(wanted, byte) && byte) {
			*heard = byte;
			return NULL;
		}
	}
}

/* Forgets what an earlier, abandoned job may have written. */
static void drain(struct guest *guest)
{
	struct pollfd pfd = {.fd = guest->control_fd, .events = POLLIN};
	char bytes[64];

	guest->unread_count = 0;
	for (int i = 0; i < 64 && poll(&pfd, 1, 0) > 0; i++) {
		if (read(guest->control_fd, bytes, sizeof(bytes)) <= 0)
			return;
	}
}

struct error *fleet_prepare(struct fleet *fleet, unsigned int guest_number,
	const char *const argv[], struct deadline deadline, struct guest_job *job)
{
	struct guest *guest = &fleet->guests[guest_number];
	const char *words[64] = {GUEST_PROGRAM, "await", "--"};
	size_t count = 3;
	int64_t pid;
	char heard;

	for (size_t i = 0; argv[i]; i++) {
		if (count + 1 == ARRAY_SIZE(words))
			return error_new(ERROR_INTERNAL, "a job of more than %zu words",
				ARRAY_SIZE(words) - 4);
		words[count++] = argv[i];
	}
	words[count] = NULL;
	drain(guest);
	try_(agent_exec_start(guest->agent, words, NULL, 0, deadline, &pid));
	try_(await_byte(guest, "r", argv[0], deadline, &heard));
	*job = (struct guest_job){
		.guest = guest_number, .pid = pid, .what = argv[1] ? argv[1] : argv[0]};
	return NULL;
}

struct error *fleet_release(struct fleet *fleet, const struct guest_job *jobs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct guest *guest = &fleet->guests[jobs[i].guest];

		try_(fs_write_all(guest->control_fd, "g", 1, guest->name));
	}
	return NULL;
}

struct error *fleet_finish(struct fleet *fleet, const struct guest_job *job,
	struct deadline deadline, struct exec_result *result)
{
	struct guest *guest = &fleet->guests[job->guest];
	bool ended = false;
	char heard;

	try_(await_byte(guest, "d", job->what, deadline, &heard));
	while (!ended) {
		try_(agent_exec_poll(guest->agent, job->pid, deadline, &ended, result));
		if (!ended && deadline_passed(deadline))
			return error_new(ERROR_TIMEOUT,
				"deadline passed while %s ended in guest %s", job->what,
				guest->name);
	}
	return NULL;
}

struct error *job_json(const struct fleet *fleet, const struct guest_job *job,
	const struct exec_result *result, json_t **value)
{
	json_t *parsed =
		json_loadb(result->output, result->output_size, JSON_DISABLE_EOF_CHECK, NULL);
	const char *guest = fleet->guests[job->guest].name;
	const char *message = json_string_value(json_object_get(parsed, "error"));

	if (json_is_object(parsed) && !message && result->exit_status == 0) {
		*value = parsed;
		return NULL;
	}
	struct error *err = error_new(ERROR_GUEST, "%s in guest %s failed with status %d: %s",
		job->what, guest, result->exit_status,
		message			  ? message
		: result->errors_size > 0 ? result->errors
					  : "it printed no JSON object");

	json_decref(parsed);
	return err;
}

struct error *fleet_run_json(struct fleet *fleet, unsigned int guest, const char *const argv[],
	struct deadline deadline, json_t **result)
{
	_cleanup_(exec_result_deinit) struct exec_result output = {0};
	struct guest_job job;

	try_(fleet_prepare(fleet, guest, argv, deadline, &job));
	try_(fleet_release(fleet, &job, 1));
	try_(fleet_finish(fleet, &job, deadline, &output));
	return job_json(fleet, &job, &output, result);
}
