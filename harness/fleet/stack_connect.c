/* Connections that a stack leads on: see stack_connect.h. */
#include "harness/fleet/stack_connect.h"
#include "harness/base/jsonline.h"
#include "harness/fleet/relay.h"

#include <errno.h>
#include <pthread.h>

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int count;
} led = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void count_led(int change)
{
	pthread_mutex_lock(&led.lock);
	led.count += (unsigned int)change;
	pthread_cond_broadcast(&led.changed);
	pthread_mutex_unlock(&led.lock);
}

struct error *stack_lead_on(int fd, json_t *request)
{
	const char *path = json_string_value(json_object_get(request, "path"));
	int other;

	if (!path)
		return error_new(ERROR_SETUP, "request lacks 'path'");
	try_(unix_connect(path, &other));
	/* A client that is gone already is the end of the connection, as any other. */
	error_destroy(jsonline_send(fd, json_object(), "a client of the stack"));
	count_led(1);
	relay_streams(fd, other, -1);
	count_led(-1);
	return NULL;
}

struct error *stack_await_idle(struct deadline deadline)
{
	struct timespec until = {
		.tv_sec = deadline.at_ns / NSEC_PER_SEC, .tv_nsec = deadline.at_ns % NSEC_PER_SEC};
	int failed = 0;

	pthread_mutex_lock(&led.lock);
	while (led.count > 0 && failed != ETIMEDOUT)
		failed = pthread_cond_clockwait(&led.changed, &led.lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&led.lock);
	if (failed != ETIMEDOUT)
		return NULL;
	return error_new(ERROR_TIMEOUT,
		"deadline passed while waiting for the end of connections through a stack");
}
