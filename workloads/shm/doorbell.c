/*
 * The FIFO doorbell and what the kinds share. Must never block in ring(): the rung member may be
 * dead.
 */
#include "workloads/shm/doorbell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workloads/shm/clock.h"
#include "workloads/shm/layout.h"

struct fifo_doorbell {
	struct doorbell bell;
	char *file;
	int fds[REGION_MEMBERS]; /* opened at the first ring */
};

enum shm_status doorbell_poll(int fd, uint64_t until)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	uint64_t now = clock_now();
	uint64_t left = until > now ? until - now : 0;
	struct timespec timeout = {(time_t)(left / 1000000000), (long)(left % 1000000000)};

	if (ppoll(&poller, 1, &timeout, NULL) < 0 && errno != EINTR)
		return shm_fail_errno("cannot wait for the doorbell");
	return SHM_OK;
}

static enum shm_status fifo_open(struct fifo_doorbell *fifo, uint32_t member)
{
	char path[256];

	if (fifo->fds[member] >= 0)
		return SHM_OK;
	snprintf(path, sizeof(path), "%s.bell%u", fifo->file, member);
	if (mkfifo(path, 0600) < 0 && errno != EEXIST)
		return shm_fail_errno("cannot make the doorbell %s", path);
	/* For reading and writing, so that neither opening nor ringing needs anyone at the other
	 * end. */
	fifo->fds[member] = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fifo->fds[member] < 0)
		return shm_fail_errno("cannot open the doorbell %s", path);
	return SHM_OK;
}

static enum shm_status fifo_ring(struct doorbell *bell, uint32_t peer)
{
	struct fifo_doorbell *fifo = (struct fifo_doorbell *)bell;

	if (peer >= REGION_MEMBERS)
		return shm_fail(SHM_CORRUPT, "there is no doorbell %u", peer);
	shm_try(fifo_open(fifo, peer));
	/* A full FIFO has rings enough in it. */
	if (write(fifo->fds[peer], "", 1) < 0 && errno != EAGAIN)
		return shm_fail_errno("cannot ring doorbell %u", peer);
	return SHM_OK;
}

static enum shm_status fifo_wait(struct doorbell *bell, uint64_t until, bool *rung)
{
	struct fifo_doorbell *fifo = (struct fifo_doorbell *)bell;
	char rings[256];
	ssize_t got;

	shm_try(doorbell_poll(fifo->fds[bell->self], until));
	got = read(fifo->fds[bell->self], rings, sizeof(rings));
	*rung = got > 0;
	if (got < 0 && errno != EAGAIN)
		return shm_fail_errno("cannot read the doorbell");
	return SHM_OK;
}

static void fifo_destroy(struct doorbell *bell)
{
	struct fifo_doorbell *fifo = (struct fifo_doorbell *)bell;

	for (unsigned int i = 0; i < REGION_MEMBERS; i++) {
		if (fifo->fds[i] >= 0)
			close(fifo->fds[i]);
	}
	free(fifo->file);
	free(fifo);
}

enum shm_status doorbell_open_fifo(const char *file, unsigned int member, struct doorbell **bell)
{
	struct fifo_doorbell *fifo = calloc(1, sizeof(*fifo));
	enum shm_status status;

	if (!fifo)
		return shm_fail(SHM_SYSTEM, "out of memory");
	fifo->bell = (struct doorbell){member, fifo_ring, fifo_wait, fifo_destroy};
	for (unsigned int i = 0; i < REGION_MEMBERS; i++)
		fifo->fds[i] = -1;
	if (asprintf(&fifo->file, "%s", file) < 0)
		fifo->file = NULL;
	status = fifo->file ? fifo_open(fifo, member) : shm_fail(SHM_SYSTEM, "out of memory");
	if (status != SHM_OK) {
		fifo_destroy(&fifo->bell);
		return status;
	}
	*bell = &fifo->bell;
	return SHM_OK;
}

void doorbell_destroy(struct doorbell *bell)
{
	if (bell)
		bell->destroy(bell);
}
