/*
 * What "disk-write" writes, so that "disk-check", or the host with the disk's file in hand, can
 * tell every block's place, number and whether it is whole. Must not include anything but C's own
 * headers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DISK_BLOCK 4096
#define DISK_BLOCK_MAGIC UINT64_C(0x6b636f6c62746c66)

struct disk_block {
	uint64_t magic;
	uint64_t run;	 /* of disk-write: a number of its own */
	uint64_t number; /* of the write; its slot is number modulo the slots there are */
	uint64_t slots;
	uint64_t filler[DISK_BLOCK / 8 - 5]; /* depends on run and number in every word */
	uint64_t checksum;		     /* of all before */
};

/* FNV-1a by words. */
static inline uint64_t disk_block_checksum(const struct disk_block *block)
{
	const uint64_t *word = (const uint64_t *)block;
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < DISK_BLOCK / 8 - 1; i++)
		hash = (hash ^ word[i]) * UINT64_C(1099511628211);
	return hash;
}

static inline void disk_block_make(
	struct disk_block *block, uint64_t run, uint64_t number, uint64_t slots)
{
	uint64_t value = (run ^ number) | 1;

	block->magic = DISK_BLOCK_MAGIC;
	block->run = run;
	block->number = number;
	block->slots = slots;
	for (size_t i = 0; i < sizeof(block->filler) / 8; i++) {
		value *= UINT64_C(6364136223846793005);
		block->filler[i] = value ^ (value >> 29);
	}
	block->checksum = disk_block_checksum(block);
}

/* Whole, and of this run; which number it has is the caller's to judge. */
static inline int disk_block_is_whole(const struct disk_block *block, uint64_t run, uint64_t slots)
{
	return block->magic == DISK_BLOCK_MAGIC && block->run == run && block->slots == slots &&
	       block->checksum == disk_block_checksum(block);
}

/* The last write to a slot among the first `acknowledged`; acknowledged > slot. */
static inline uint64_t disk_slot_number(uint64_t slot, uint64_t acknowledged, uint64_t slots)
{
	return slot + (acknowledged - 1 - slot) / slots * slots;
}
