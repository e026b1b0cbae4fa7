/*
 * A byte stream through memory that two kernels share: the control channel between two stacks in
 * L1 guests (paper D, section 4.4), by which a migration's stream does not cross any NIC.
 *
 * A channel has two sides, 0 and 1, and a ring for each direction. Each ring has one writer and one
 * reader. An end keeps its own position to itself and only publishes it, and it believes of the
 * other side no more than that a position is a number: one that cannot be ends the channel with an
 * error. So a hostile peer can send wrong bytes, and can stop, and nothing else.
 *
 * There is no futex between kernels: who waits spins for a short while and then sleeps for 20 us up
 * to 1 ms at a time.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* One end; used by one thread for sending and one for receiving at a time. */
struct channel;

/* The least memory that makes a channel. */
#define CHANNEL_MIN_BYTES ((size_t)64 << 10)

/* Makes `memory`, page-aligned, an empty channel. Nobody may use it meanwhile. */
struct error *channel_format(void *memory, size_t size);

/* Opens one end of a formatted channel, which must be fresh: each side is opened once between two
 * formattings. The memory is borrowed. */
struct error *channel_open(void *memory, size_t size, unsigned int side, struct channel **channel);
void channel_close(struct channel *channel);
DEFINE_CLEANUP(channel, struct channel *, channel_close)

/* Sends all of it. An error when the peer has ended its receiving (channel_stop()). */
struct error *channel_send(
	struct channel *channel, const void *data, size_t size, struct deadline deadline);
/* No more will be sent. */
void channel_end(struct channel *channel);

/* Receives at least one byte and at most `room`; 0 when the peer has ended its sending. */
struct error *channel_receive(struct channel *channel, void *data, size_t room,
	struct deadline deadline, size_t *received);
/* Waits until there is something to receive, or the peer has ended its sending. */
struct error *channel_await_data(struct channel *channel, struct deadline deadline);
/* No more will be received. */
void channel_stop(struct channel *channel);

/* Carries bytes between a connected stream socket (taken over) and the channel, both ways, until
 * both directions have ended. The end of one is passed on as the end of that one only. */
struct error *channel_relay(struct channel *channel, int fd, struct deadline deadline);
