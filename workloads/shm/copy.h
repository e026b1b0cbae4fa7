/*
 * The copy into and out of a region. The C library's picks `rep movsb` where the processor says
 * that is fast, which an emulated one says as well and does a byte at a time; these are 64 bytes a
 * turn.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t copy_word __attribute__((vector_size(16), aligned(1), may_alias));

static inline void shm_copy(void *restrict to, const void *restrict from, size_t bytes)
{
	uint8_t *out = to;
	const uint8_t *in = from;

	for (; bytes >= 64; bytes -= 64, in += 64, out += 64) {
		copy_word a = *(const copy_word *)in;
		copy_word b = *(const copy_word *)(in + 16);
		copy_word c = *(const copy_word *)(in + 32);
		copy_word d = *(const copy_word *)(in + 48);

		*(copy_word *)out = a;
		*(copy_word *)(out + 16) = b;
		*(copy_word *)(out + 32) = c;
		*(copy_word *)(out + 48) = d;
	}
	for (; bytes >= 8; bytes -= 8, in += 8, out += 8)
		memcpy(out, in, 8);
	for (; bytes; bytes--)
		*out++ = *in++;
}
