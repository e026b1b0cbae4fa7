/*
 * A fleet whose guests are threads: they answer the agent's sync, note the words of every program
 * that they are asked to run, say that it stands at the barrier, and print what they are told to.
 * The guest `refusing` runs nothing. For what a mechanism or fleet/jobs.c asks of guests.
 */
#pragma once

#include "harness/base/test/support.h"
#include "harness/fleet/fleet_internal.h"

#include <glib.h>
#include <pthread.h>
#include <sys/socket.h>

enum { FAKE_GUESTS = 4 };

struct fake_guest {
	int listen_fd, control_fd; /* its ends */
	bool refuses;
	const char *prints; /* NULL: {"n":5} */
	json_t *asked;	    /* arrays of words; read after fake_guests_stop() */
	pthread_t thread;
};

struct fake_guests {
	struct fleet fleet; /* to be given to what is tested */
	struct guest guests[FAKE_GUESTS];
	struct fake_guest fakes[FAKE_GUESTS];
	bool running;
};

/* The answer to one command of the agent. */
static inline json_t *fake_answer(struct fake_guest *guest, json_t *line)
{
	const char *command = json_string_value(json_object_get(line, "execute"));
	json_t *arguments = json_object_get(line, "arguments");
	const char *printed = guest->prints ? guest->prints : "{\"n\":5}";
	json_t *words;

	if (strcmp(command, "guest-sync") == 0)
		return json_pack("{s:O}", "return", json_object_get(arguments, "id"));
	if (strcmp(command, "guest-exec-status") == 0) {
		gchar *base64 = g_base64_encode((const guchar *)printed, strlen(printed));
		json_t *status = json_pack("{s:{s:b, s:i, s:s}}", "return", "exited", 1, "exitcode",
			0, "out-data", base64);

		g_free(base64);
		return status;
	}
	words = json_pack("[O]", json_object_get(arguments, "path"));
	json_array_extend(words, json_object_get(arguments, "arg"));
	json_array_append_new(guest->asked, words);
	if (guest->refuses)
		return json_pack("{s:{s:s}}", "error", "desc", "this guest runs nothing");
	return json_pack("{s:{s:i}}", "return", "pid", 7);
}

static inline void *fake_guest_run(void *context)
{
	struct fake_guest *guest = context;
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = -1};
	_cleanup_close_ int fd = accept(guest->listen_fd, NULL, NULL);

	reader.fd = fd;
	for (;;) {
		_cleanup_json_ json_t *line = NULL;
		struct error *err = jsonline_receive(
			&reader, "the test", deadline_after_ms(TEST_TIMEOUT_MS), &line);

		error_destroy(err);
		if (err || !line)
			return NULL;
		json_t *answer = fake_answer(guest, line);
		bool started = json_object_get(json_object_get(answer, "return"), "pid") != NULL;

		error_destroy(jsonline_send(fd, answer, "the test"));
		if (started)
			(void)!send(guest->control_fd, "rd", 2, MSG_NOSIGNAL);
	}
}

/* Starts all guests; sockets are made in the scratch directory. */
static inline void fake_guests_start(struct fake_guests *all, int refusing)
{
	*all = (struct fake_guests){
		.fleet = {.count = FAKE_GUESTS, .guests = all->guests}, .running = true};
	for (int i = 0; i < FAKE_GUESTS; i++) {
		_cleanup_free_ char *name = format_string("g%d", i);
		_cleanup_free_ char *path = scratch_path(name);
		struct fake_guest *fake = &all->fakes[i];
		int pair[2];

		unlink(path);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		*fake = (struct fake_guest){
			.control_fd = pair[1], .refuses = i == refusing, .asked = json_array()};
		assert_ok(unix_listen(path, &fake->listen_fd));
		assert_int_equal(pthread_create(&fake->thread, NULL, fake_guest_run, fake), 0);
		all->guests[i] = (struct guest){
			.number = (unsigned int)i, .name = take_ptr(name), .control_fd = pair[0]};
		assert_ok(agent_open(path, all->guests[i].name, deadline_after_ms(TEST_TIMEOUT_MS),
			&all->guests[i].agent));
	}
}

static inline void fake_guests_stop(struct fake_guests *all)
{
	if (!all->running)
		return;
	all->running = false;
	for (int i = 0; i < FAKE_GUESTS; i++) {
		agent_close(all->guests[i].agent);
		pthread_join(all->fakes[i].thread, NULL);
		close(all->guests[i].control_fd);
		close(all->fakes[i].control_fd);
		close(all->fakes[i].listen_fd);
		free(all->guests[i].name);
	}
}

static inline void fake_guests_deinit(struct fake_guests *all)
{
	fake_guests_stop(all);
	for (int i = 0; i < FAKE_GUESTS; i++)
		json_decref(all->fakes[i].asked);
}
