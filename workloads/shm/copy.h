/*
 * The copy into and out of a region, in plain 64-bit words. The C library's picks `rep movsb` where
 * the processor says that is fast; an emulated one says so too and then does a byte at a time. For
 * 32 KiB in a guest under TCG: memcpy 48 us, 16-byte vectors 11.5 us, these words 5.2 us.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t copy_word __attribute__((aligned(1), may_alias));

static inline void shm_copy(void *restrict to, const void *restrict from, size_t bytes)
{
	copy_word *out = to;
	const copy_word *in = from;
	uint8_t *last;
	const uint8_t *rest;

	/* Eight loads before eight stores, which no compiler takes for a memcpy. */
	for (; bytes >= 64; bytes -= 64, in += 8, out += 8) {
		uint64_t a = in[0], b = in[1], c = in[2], d = in[3];
		uint64_t e = in[4], f = in[5], g = in[6], h = in[7];

		out[0] = a, out[1] = b, out[2] = c, out[3] = d;
		out[4] = e, out[5] = f, out[6] = g, out[7] = h;
	}
	for (; bytes >= 8; bytes -= 8)
		*out++ = *in++;
	last = (uint8_t *)out;
	rest = (const uint8_t *)in;
	while (bytes--)
		*last++ = *rest++;
}
