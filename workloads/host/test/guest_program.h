/*
 * Commands of the guest program as processes of this host. One in the background is a child of the
 * test (which is a subreaper), so that it can be stopped, ended and awaited.
 */
#pragma once

#include "harness/base/test/support.h"
#include "harness/base/process.h"

#include <jansson.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SOON deadline_after_ms(TEST_TIMEOUT_MS)

/* Runs GUEST with these words; what it printed, and its status. */
static inline json_t *guest_run(int *status, const char *const *words)
{
	struct process_result result = {0};
	json_t *printed;

	assert_ok(process_run(words, NULL, 1 << 24, SOON, &result));
	printed = json_loads(result.output, 0, NULL);
	if (!printed)
		fail_msg("%s %s prints: %s %s", words[0], words[1], result.output, result.errors);
	*status = result.exit_status;
	process_result_deinit(&result);
	return printed;
}

#define GUEST_WORDS(...) ((const char *const[]){GUEST, __VA_ARGS__, NULL})

/* Succeeds, and prints what is returned. */
static inline json_t *guest_succeeds(const char *const *words)
{
	int status;
	json_t *printed = guest_run(&status, words);

	if (status)
		fail_msg("%s: %s", words[1], json_string_value(json_object_get(printed, "error")));
	return printed;
}

/* Fails with an error that has `text` in it. */
static inline void guest_fails(const char *text, const char *const *words)
{
	int status;
	_cleanup_json_ json_t *printed = guest_run(&status, words);
	const char *message = json_string_value(json_object_get(printed, "error"));

	if (status != 1 || !message || !strstr(message, text))
		fail_msg("%s: status %d, '%s' has no '%s'", words[1], status,
			message ? message : "", text);
}

static inline json_int_t member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value))
		fail_msg("no number '%s'", name);
	return json_integer_value(value);
}

static inline bool truth(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

/* A command in the background. */
struct running {
	pid_t pid;
	uint16_t port;
	char *output;
};

static inline struct running guest_start(const char *const *words)
{
	_cleanup_json_ json_t *ready = guest_succeeds(words);
	struct running running = {.pid = (pid_t)member(ready, "pid")};

	assert_true(truth(ready, "ready"));
	running.port = (uint16_t)json_integer_value(json_object_get(ready, "port"));
	for (const char *const *word = words; *word; word++) {
		if (strncmp(*word, "--output=", 9) == 0)
			running.output = format_string("%s", *word + 9);
	}
	return running;
}

/* Stops the process, certainly. */
static inline void guest_freeze(const struct running *running)
{
	int status;

	assert_int_equal(kill(running->pid, SIGSTOP), 0);
	assert_int_equal(waitpid(running->pid, &status, WUNTRACED), running->pid);
	assert_true(WIFSTOPPED(status));
}

static inline void guest_kill(struct running *running)
{
	kill(running->pid, SIGKILL);
	waitpid(running->pid, NULL, 0);
	free(running->output);
}

/* Has it end, by "collect"; its result. */
static inline json_t *guest_collect(struct running *running, bool wait)
{
	_cleanup_free_ char *pid = format_string("--pid=%d", running->pid);
	_cleanup_free_ char *output = format_string("--output=%s", running->output);
	const char *words[] = {GUEST, "collect", pid, output, wait ? "--wait" : NULL, NULL};
	json_t *result = guest_succeeds(words);
	int status;

	assert_int_equal(waitpid(running->pid, &status, 0), running->pid);
	assert_int_equal(status, 0);
	free(running->output);
	return result;
}

static inline int become_subreaper(void **state)
{
	(void)state;
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}
