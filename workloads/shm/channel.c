/* Messages over two rings: see channel.h. */
#include "workloads/shm/channel.h"

enum shm_status channel_attach(struct region *region, uint64_t offset, uint64_t capacity,
	unsigned int peer, struct channel *channel)
{
	uint64_t second = offset + RING_BYTES(capacity);
	bool lower = region->member < peer;
	struct channel made = {0};

	if (peer == region->member)
		return shm_fail(SHM_INVALID, "a channel needs two members");
	shm_try(ring_attach(region, lower ? offset : second, capacity, peer, &made.out));
	shm_try(ring_attach(region, lower ? second : offset, capacity, peer, &made.in));
	*channel = made;
	return SHM_OK;
}

enum shm_status channel_reset(struct region *region, uint64_t offset, uint64_t capacity)
{
	struct ring *first = region_at(region, offset, RING_BYTES(capacity));
	struct ring *second =
		region_at(region, offset + RING_BYTES(capacity), RING_BYTES(capacity));

	if (!first || !second)
		return SHM_INVALID;
	ring_reset(first);
	ring_reset(second);
	return SHM_OK;
}

static enum shm_status check_whole(const struct channel *channel)
{
	if (channel->broken)
		return shm_fail(SHM_INVALID,
			"the channel with member %u broke off in the middle of a message",
			channel->in.peer);
	return SHM_OK;
}

enum shm_status channel_send(
	struct channel *channel, const void *message, uint32_t bytes, uint64_t deadline)
{
	shm_try(check_whole(channel));
	channel->broken = true;
	shm_try(ring_write(&channel->out, &bytes, sizeof(bytes), deadline));
	shm_try(ring_write(&channel->out, message, bytes, deadline));
	channel->broken = false;
	return SHM_OK;
}

enum shm_status channel_receive(
	struct channel *channel, void *message, uint32_t room, uint32_t *bytes, uint64_t deadline)
{
	uint32_t length;
	uint64_t start = channel->in.mine;
	enum shm_status status;

	shm_try(check_whole(channel));
	status = ring_read(&channel->in, &length, sizeof(length), deadline);
	/* Nothing taken out is nothing broken: the caller may wait again. */
	channel->broken = status != SHM_OK && channel->in.mine != start;
	shm_try(status);
	channel->broken = true;
	if (length > room)
		return shm_fail(SHM_CORRUPT,
			"region %s: member %u sends a message of %u bytes, more than the %u agreed",
			channel->in.region->name, channel->in.peer, length, room);
	shm_try(ring_read(&channel->in, message, length, deadline));
	channel->broken = false;
	*bytes = length;
	return SHM_OK;
}
