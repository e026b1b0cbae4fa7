/* What the clients of guests share: see client.h. */
#include "workloads/host/client.h"
#include "workloads/guest/echo_format.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

/* ---- the thread ---- */

void client_thread_init(struct client_thread *thread)
{
	*thread = (struct client_thread){
		.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .stop_fd = eventfd(0, EFD_CLOEXEC)};
}

void client_thread_deinit(struct client_thread *thread)
{
	error_destroy(client_thread_stop(thread));
	cleanup_close(&thread->epoll_fd);
	cleanup_close(&thread->stop_fd);
}

struct error *client_watch(struct client_thread *thread, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return error_errno(errno, "cannot watch a client's socket");
	return NULL;
}

void client_unwatch(struct client_thread *thread, int fd)
{
	epoll_ctl(thread->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void *run_thread(void *context)
{
	struct client_thread *thread = context;

	thread->body(thread, thread->context);
	return NULL;
}

struct error *client_thread_start(struct client_thread *thread,
	void (*body)(struct client_thread *thread, void *context), void *context)
{
	sigset_t all, before;
	int status;

	thread->body = body;
	thread->context = context;
	try_(client_watch(thread, thread->stop_fd));
	/* Signals are the main thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	status = pthread_create(&thread->thread, NULL, run_thread, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status)
		return error_errno(status, "cannot start a client's thread");
	thread->running = true;
	return NULL;
}

struct error *client_thread_stop(struct client_thread *thread)
{
	if (!thread->running)
		return NULL;
	if (eventfd_write(thread->stop_fd, 1) < 0)
		return error_errno(errno, "cannot stop a client's thread");
	pthread_join(thread->thread, NULL);
	thread->running = false;
	return NULL;
}

bool client_wait(struct client_thread *thread, int64_t until_ns)
{
	int64_t left = until_ns - clock_now_ns();
	struct timespec timeout = {left / NSEC_PER_SEC, left % NSEC_PER_SEC};
	struct epoll_event events[32];
	int ready;

	if (left < 0)
		timeout = (struct timespec){0};
	ready = epoll_pwait2(
		thread->epoll_fd, events, 32, until_ns == INT64_MAX ? NULL : &timeout, NULL);
	for (int i = 0; i < ready; i++) {
		if (events[i].data.fd == thread->stop_fd) {
			client_unwatch(thread, thread->stop_fd);
			return false;
		}
	}
	return true;
}

/* ---- sockets ---- */

struct error *client_address(
	const char *name, const char *address, uint16_t port, struct sockaddr_in *result)
{
	*result = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port ? port : ECHO_PORT)};
	if (inet_pton(AF_INET, address, &result->sin_addr) != 1)
		return error_new(ERROR_USAGE, "%s: '%s' is not an IPv4 address", name, address);
	return NULL;
}

struct error *client_want_arrival_times(int fd)
{
	int one = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) < 0)
		return error_errno(errno, "cannot have the kernel's times of arrival");
	return NULL;
}

static int64_t nanoseconds(const struct timespec *time)
{
	return (int64_t)time->tv_sec * NSEC_PER_SEC + time->tv_nsec;
}

/* What CLOCK_MONOTONIC is ahead of CLOCK_REALTIME now. Who is preempted between the two has read
 * them apart: then again, and of all tries the best counts, where the error makes a time too late,
 * so that nothing arrives before it was sent. */
static int64_t monotonic_ahead(void)
{
	enum { TRIES = 8, NEAR_NS = 10000 };
	int64_t nearest = INT64_MAX, ahead = 0;

	for (int i = 0; i < TRIES && nearest > NEAR_NS; i++) {
		struct timespec real;
		int64_t before = clock_now_ns(), after;

		clock_gettime(CLOCK_REALTIME, &real);
		after = clock_now_ns();
		if (after - before >= nearest)
			continue;
		nearest = after - before;
		ahead = after - nanoseconds(&real);
	}
	return ahead;
}

/* The kernel's time is of CLOCK_REALTIME; none is later than now. */
static int64_t arrival(struct msghdr *message)
{
	struct timespec stamp;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
		part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&stamp, CMSG_DATA(part), sizeof(stamp));
		int64_t arrived = nanoseconds(&stamp) + monotonic_ahead(), now = clock_now_ns();

		return arrived < now ? arrived : now;
	}
	return clock_now_ns();
}

ssize_t client_receive(int fd, void *data, size_t size, int64_t *arrived_ns)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct timespec))];
	struct iovec part = {data, size};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);

	if (got >= 0)
		*arrived_ns = arrival(&message);
	return got;
}

/* ---- progress ---- */

struct client_progress {
	pthread_mutex_t lock;
	pthread_cond_t advanced;
	size_t count;
	struct {
		uint64_t steps;
		bool given_up;
		bool (*lives)(const void *context); /* or NULL */
		const void *lives_context;
	} targets[];
};

/* How often those that are waited for are asked whether they live. */
enum { LOOK_EVERY_MS = 500 };

struct client_progress *client_progress_create(size_t count)
{
	struct client_progress *progress =
		calloc(1, sizeof(*progress) + count * sizeof(progress->targets[0]));
	pthread_condattr_t monotonic;

	if (!progress)
		abort();
	progress->count = count;
	pthread_mutex_init(&progress->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&progress->advanced, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return progress;
}

void client_progress_destroy(struct client_progress *progress)
{
	if (!progress)
		return;
	pthread_cond_destroy(&progress->advanced);
	pthread_mutex_destroy(&progress->lock);
	free(progress);
}

void client_progress_set_lives(struct client_progress *progress, size_t target,
	bool (*lives)(const void *context), const void *context)
{
	progress->targets[target].lives = lives;
	progress->targets[target].lives_context = context;
}

void client_advance(struct client_progress *progress, size_t target, uint64_t by)
{
	if (!by)
		return;
	pthread_mutex_lock(&progress->lock);
	progress->targets[target].steps += by;
	pthread_cond_broadcast(&progress->advanced);
	pthread_mutex_unlock(&progress->lock);
}

void client_give_up(struct client_progress *progress, size_t target)
{
	pthread_mutex_lock(&progress->lock);
	progress->targets[target].given_up = true;
	pthread_cond_broadcast(&progress->advanced);
	pthread_mutex_unlock(&progress->lock);
}

/* The first target that lacks something: one that never will have it, or else any; count: none. */
static size_t find_late(const struct client_progress *progress, const uint64_t *wanted, bool *lost)
{
	size_t late = progress->count;

	*lost = false;
	for (size_t i = 0; i < progress->count && !*lost; i++) {
		if (progress->targets[i].steps >= wanted[i])
			continue;
		*lost = progress->targets[i].given_up;
		if (*lost || late == progress->count)
			late = i;
	}
	return late;
}

static void look_who_lives(struct client_progress *progress)
{
	for (size_t i = 0; i < progress->count; i++) {
		if (progress->targets[i].lives &&
			!progress->targets[i].lives(progress->targets[i].lives_context))
			progress->targets[i].given_up = true;
	}
}

/* Until there is progress, the deadline, or the time to look who lives: others' progress does not
 * put that off. */
static void await_news(
	struct client_progress *progress, struct deadline deadline, struct deadline *look)
{
	struct deadline next = deadline_min(*look, deadline);
	struct timespec until = {next.at_ns / NSEC_PER_SEC, next.at_ns % NSEC_PER_SEC};

	pthread_cond_timedwait(&progress->advanced, &progress->lock, &until);
	if (!deadline_passed(*look))
		return;
	look_who_lives(progress);
	*look = deadline_after_ms(LOOK_EVERY_MS);
}

bool client_progress_await(
	struct client_progress *progress, uint64_t steps, struct deadline deadline, size_t *late)
{
	_cleanup_free_ uint64_t *wanted = calloc(progress->count, sizeof(*wanted));
	struct deadline look = deadline_after_ms(LOOK_EVERY_MS);
	bool lost = false;

	if (!wanted)
		abort();
	pthread_mutex_lock(&progress->lock);
	for (size_t i = 0; i < progress->count; i++)
		wanted[i] = progress->targets[i].steps + steps;
	while ((*late = find_late(progress, wanted, &lost)) < progress->count && !lost &&
		!deadline_passed(deadline))
		await_news(progress, deadline, &look);
	pthread_mutex_unlock(&progress->lock);
	return *late == progress->count;
}
