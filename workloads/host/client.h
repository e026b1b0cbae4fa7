/*
 * What the clients of guests share: a thread that waits on sockets and the clock until it is told
 * to stop, when the kernel received what arrives, and others' waiting for progress. For the files
 * of workloads/host/ only.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct client_thread {
	int epoll_fd, stop_fd;
	bool running;
	pthread_t thread;
	void (*body)(struct client_thread *thread, void *context);
	void *context;
};

void client_thread_init(struct client_thread *thread);
/* Stops it when it runs. */
void client_thread_deinit(struct client_thread *thread);
/* Before the start: client_wait() returns when this descriptor is readable. Not owned. */
struct error *client_watch(struct client_thread *thread, int fd);
/* In the thread: this descriptor has said its last. */
void client_unwatch(struct client_thread *thread, int fd);
struct error *client_thread_start(struct client_thread *thread,
	void (*body)(struct client_thread *thread, void *context), void *context);
/* Tells the body that it is to end, and waits for that. Harmless when it does not run. */
struct error *client_thread_stop(struct client_thread *thread);

/* In the thread: waits until a watched descriptor is readable, the time `until_ns` of
 * clock_now_ns() has come (INT64_MAX: for ever), or it is to stop. False when it is to stop: the
 * next calls wait for the rest only. */
bool client_wait(struct client_thread *thread, int64_t until_ns);

/* "10.77.0.1" and a port (0: echo's) to a socket address. */
struct error *client_address(
	const char *name, const char *address, uint16_t port, struct sockaddr_in *result);

/* client_receive() then knows when the kernel received what it returns. */
struct error *client_want_arrival_times(int fd);
/* As recv(2) with MSG_DONTWAIT; `arrived_ns` on clock_now_ns()'s clock. Without a time from the
 * kernel it is now. */
ssize_t client_receive(int fd, void *data, size_t size, int64_t *arrived_ns);

/* Counters, one a target, that others can wait for. */
struct client_progress;
struct client_progress *client_progress_create(size_t count);
void client_progress_destroy(struct client_progress *progress);
/* Before anybody waits: this target has given up, too, when `lives` says so. */
void client_progress_set_lives(struct client_progress *progress, size_t target,
	bool (*lives)(const void *context), const void *context);
void client_advance(struct client_progress *progress, size_t target, uint64_t by);
/* This one will not advance any more. */
void client_give_up(struct client_progress *progress, size_t target);
/* Waits until each target has advanced by `steps` since the call; false when the deadline passes or
 * a target has given up first: `late` is the first such target. */
bool client_progress_await(
	struct client_progress *progress, uint64_t steps, struct deadline deadline, size_t *late);
