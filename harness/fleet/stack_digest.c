/* What is in a guest's RAM, as hashes, read through its QEMU's own mapping: two that have the same
 * memory have the same digests. */
#include "harness/fleet/stack_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <xxhash.h>

#define PAGE 4096ULL
#define CHUNK (2ULL << 20)
#define MAX_SAMPLES 4096

struct extents {
	uint64_t (*items)[2];
	size_t count, room;
	uint64_t pages;
};

static bool collect(uint64_t from, uint64_t to, void *context)
{
	struct extents *extents = context;

	if (extents->count == extents->room) {
		extents->room = extents->room ? 2 * extents->room : 256;
		extents->items = realloc(extents->items, extents->room * sizeof(*extents->items));
		if (!extents->items)
			abort();
	}
	extents->items[extents->count][0] = from;
	extents->items[extents->count++][1] = to;
	extents->pages += (to - from) / PAGE;
	return true;
}

static uint64_t nth_page(const struct extents *extents, uint64_t n)
{
	for (size_t i = 0; i < extents->count; i++) {
		uint64_t pages = (extents->items[i][1] - extents->items[i][0]) / PAGE;

		if (n < pages)
			return extents->items[i][0] + n * PAGE;
		n -= pages;
	}
	return 0;
}

/* A page of each of `count` equally large parts of what holds data, at a place of its own there. */
static void draw(const struct extents *extents, size_t count, uint64_t seed, json_t *offsets)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t from = extents->pages * i / count, to = extents->pages * (i + 1) / count;

		if (to > from)
			json_array_append_new(
				offsets, json_integer((json_int_t)nth_page(extents,
						 from + XXH3_64bits_withSeed(&i, sizeof(i), seed) %
								 (to - from))));
	}
}

struct error *stack_op_sample(struct server *server, json_t *request, json_t *answer)
{
	json_int_t count = json_integer_value(json_object_get(request, "count"));
	json_int_t seed = json_integer_value(json_object_get(request, "seed"));
	_cleanup_(ram_deinit) struct ram ram = {0};
	struct extents extents = {0};
	struct stack_guest *guest;
	json_t *offsets;

	if (count < 1 || count > MAX_SAMPLES)
		return error_new(ERROR_SETUP, "a sample has 1 to %d pages", MAX_SAMPLES);
	try_(stack_find_guest(server, request, &guest));
	try_(ram_find(guest, &ram));
	ram_walk_data(&ram, 0, collect, &extents);
	offsets = json_array();
	draw(&extents, (size_t)count, (uint64_t)seed, offsets);
	free(extents.items);
	json_object_set_new(answer, "offsets", offsets);
	return NULL;
}

/* ---- digests ---- */

/* Copies out of QEMU's own mapping. */
static struct error *read_ram(const struct ram *ram, uint64_t offset, void *to, size_t size)
{
	struct iovec here = {.iov_base = to, .iov_len = size};
	struct iovec there = {.iov_base = (void *)(uintptr_t)(ram->hva + offset), .iov_len = size};

	if (process_vm_readv(ram->pid, &here, 1, &there, 1, 0) != (ssize_t)size)
		return error_errno(errno, "cannot read RAM of process %d at %#llx", (int)ram->pid,
			(unsigned long long)offset);
	return NULL;
}

static json_t *digest_text(XXH64_hash_t hash)
{
	char text[17];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)hash);
	return json_string(text);
}

/* So many pages in one system call: the guest stands still. */
#define BATCH 64

static struct error *digest_batch(
	const struct ram *ram, const uint64_t *offsets, size_t count, char *pages, json_t *digests)
{
	struct iovec here = {.iov_base = pages, .iov_len = count * PAGE};
	struct iovec there[BATCH] = {0};

	for (size_t i = 0; i < count; i++)
		there[i] = (struct iovec){(void *)(uintptr_t)(ram->hva + offsets[i]), PAGE};
	if (process_vm_readv(ram->pid, &here, 1, there, count, 0) != (ssize_t)(count * PAGE))
		return error_errno(errno, "cannot read RAM of process %d", (int)ram->pid);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(digests, digest_text(XXH3_64bits(pages + i * PAGE, PAGE)));
	return NULL;
}

static struct error *digest_pages(const struct ram *ram, const json_t *offsets, json_t *digests)
{
	_cleanup_free_ char *pages = malloc(BATCH * PAGE);
	uint64_t batch[BATCH];
	const json_t *offset;
	size_t i, count = 0;

	if (!pages)
		abort();
	json_array_foreach ((json_t *)offsets, i, offset) {
		uint64_t at = (uint64_t)json_integer_value(offset);

		if (ram->bytes < PAGE || at > ram->bytes - PAGE)
			return error_new(ERROR_SETUP, "no page at %#llx", (unsigned long long)at);
		batch[count++] = at;
		if (count == BATCH) {
			try_(digest_batch(ram, batch, count, pages, digests));
			count = 0;
		}
	}
	return count ? digest_batch(ram, batch, count, pages, digests) : NULL;
}

/* All data: one digest for each 2 MiB, of the pages there and of where they are. */
struct digesting {
	const struct ram *ram;
	json_t *digests;
	char *buffer;
	XXH3_state_t *state;
	uint64_t chunk, pages;
	struct error *err;
};

static void end_chunk(struct digesting *work, uint64_t next)
{
	while (work->chunk < next) {
		json_array_append_new(work->digests, digest_text(XXH3_64bits_digest(work->state)));
		XXH3_64bits_reset(work->state);
		work->chunk++;
	}
}

static bool digest_extent(uint64_t from, uint64_t to, void *context)
{
	struct digesting *work = context;

	while (from < to && !work->err) {
		uint64_t end = min_u64(to, (from / CHUNK + 1) * CHUNK);

		end_chunk(work, from / CHUNK);
		work->err = read_ram(work->ram, from, work->buffer, end - from);
		if (work->err)
			break;
		XXH3_64bits_update(work->state, &from, sizeof(from));
		XXH3_64bits_update(work->state, work->buffer, end - from);
		work->pages += (end - from) / PAGE;
		from = end;
	}
	return !work->err;
}

static struct error *digest_all(const struct ram *ram, json_t *digests, uint64_t *pages)
{
	struct digesting work = {.ram = ram, .digests = digests};

	work.buffer = malloc(CHUNK);
	work.state = XXH3_createState();
	if (!work.buffer || !work.state)
		abort();
	XXH3_64bits_reset(work.state);
	ram_walk_data(ram, 0, digest_extent, &work);
	if (!work.err)
		end_chunk(&work, (ram->bytes + CHUNK - 1) / CHUNK);
	free(work.buffer);
	XXH3_freeState(work.state);
	*pages = work.pages;
	return work.err;
}

struct error *stack_op_digest(struct server *server, json_t *request, json_t *answer)
{
	const json_t *offsets = json_object_get(request, "offsets");
	_cleanup_(ram_deinit) struct ram ram = {0};
	_cleanup_json_ json_t *digests = json_array();
	struct stack_guest *guest;
	uint64_t pages = json_array_size(offsets);

	try_(stack_find_guest(server, request, &guest));
	try_(ram_find(guest, &ram));
	if (offsets)
		try_(digest_pages(&ram, offsets, digests));
	else
		try_(digest_all(&ram, digests, &pages));
	json_object_set(answer, "digests", digests);
	json_object_set_new(answer, "pages", json_integer((json_int_t)pages));
	return NULL;
}
