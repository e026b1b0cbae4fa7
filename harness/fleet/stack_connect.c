/* Connections that a stack leads on: see stack_connect.h. */
#include "harness/fleet/stack_connect.h"
#include "harness/base/jsonline.h"
#include "harness/fleet/relay.h"
#include "harness/lab/cable.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

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

/* A client that is gone already is the end of the connection, as any other. */
static void accept_it(int fd)
{
	error_destroy(jsonline_send(fd, json_object(), "a client of the stack"));
}

static struct error *lead_to_link(int fd, const char *link)
{
	int tap;

	try_(cable_plug(link, &tap));
	accept_it(fd);
	cable_carry(tap, fd);
	return NULL;
}

static struct error *lead_to_socket(int fd, const char *path)
{
	int other;

	try_(unix_connect(path, &other));
	accept_it(fd);
	relay_streams(fd, other, -1);
	return NULL;
}

bool stack_is_leading(json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "op"));

	return name && (strcmp(name, "connect") == 0 || strcmp(name, "cable") == 0);
}

struct error *stack_lead_on(int fd, json_t *request)
{
	const char *link = json_string_value(json_object_get(request, "link"));
	const char *path = json_string_value(json_object_get(request, "path"));
	struct error *err;

	if (!link && !path)
		return error_new(ERROR_SETUP, "request lacks 'path' or 'link'");
	count_led(1);
	err = path ? lead_to_socket(fd, path) : lead_to_link(fd, link);
	count_led(-1);
	return err;
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
