/*
 * A guest's RAM as its QEMU has it mapped, looked at from outside: which file it is, what is in it.
 * This is what proves that two QEMUs have the same memory, so it must not ask QEMU what it thinks.
 */
#include "harness/fleet/stack_internal.h"
#include "harness/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <xxhash.h>

#define PAGE 4096ULL
#define CHUNK (2ULL << 20)
#define MAX_SAMPLES 4096

/* Where GPA 0 is in QEMU, and what lies there. */
struct ram {
	pid_t pid;
	uint64_t hva, bytes;
	char device[24];
	uint64_t inode, offset; /* of the file; 0 for anonymous memory */
	bool shared;
	char *file; /* a name by which the mapped file can be opened; NULL for anonymous memory */
};

static void ram_deinit(struct ram *ram)
{
	free(ram->file);
}

struct map_line {
	uint64_t from, to, offset, inode;
	char permissions[8], device[24];
};

static bool parse_map_line(const char *line, struct map_line *map)
{
	unsigned long long from, to, offset, inode;

	if (sscanf(line, "%llx-%llx %7s %llx %23s %llu", &from, &to, map->permissions, &offset,
		    map->device, &inode) != 6)
		return false;
	map->from = from;
	map->to = to;
	map->offset = offset;
	map->inode = inode;
	return true;
}

/* The mapping at ram->hva, which the kernel may show in several neighbouring pieces. */
static struct error *find_mapping(struct ram *ram)
{
	_cleanup_free_ char *path = format_string("/proc/%d/maps", (int)ram->pid);
	_cleanup_free_ char *text = NULL;
	uint64_t next = ram->hva;
	struct map_line map;
	char *rest, *line;

	try_(fs_read(path, 16 << 20, &text, NULL));
	rest = text;
	while ((line = strsep(&rest, "\n")) && next < ram->hva + ram->bytes) {
		if (!parse_map_line(line, &map) || next < map.from || next >= map.to)
			continue;
		if (next == ram->hva) {
			ram->inode = map.inode;
			ram->offset = map.offset + (next - map.from);
			ram->shared = map.permissions[3] == 's';
			snprintf(ram->device, sizeof(ram->device), "%s", map.device);
			if (map.inode)
				ram->file = format_string("/proc/%d/map_files/%llx-%llx",
					(int)ram->pid, (unsigned long long)map.from,
					(unsigned long long)map.to);
		} else if (map.inode != ram->inode || strcmp(map.device, ram->device) != 0) {
			break;
		}
		next = map.to;
	}
	if (next < ram->hva + ram->bytes)
		return error_new(ERROR_GUEST, "RAM of process %d is not one mapping of %llu MiB",
			(int)ram->pid, (unsigned long long)ram->bytes >> 20);
	return NULL;
}

/* QEMU is asked where GPA 0 is and how large RAM is; the kernel, what lies there. */
static struct error *find_ram(struct stack_guest *guest, struct ram *ram)
{
	struct deadline deadline = deadline_after_ms(STACK_CONTINUE_MS);
	_cleanup_json_ json_t *summary = NULL;
	_cleanup_json_ json_t *text = NULL;
	const char *at;

	try_(stack_monitor(guest, "query-memory-size-summary", NULL, deadline, &summary));
	try_(stack_monitor(guest, "human-monitor-command",
		json_pack("{s:s}", "command-line", "gpa2hva 0"), deadline, &text));
	ram->pid = guest->pid;
	ram->bytes = (uint64_t)json_integer_value(json_object_get(summary, "base-memory"));
	at = json_string_value(text);
	at = at ? strstr(at, " is 0x") : NULL;
	ram->hva = at ? strtoull(at + 4, NULL, 16) : 0;
	if (!ram->hva || !ram->bytes)
		return error_new(ERROR_GUEST, "QEMU of %s does not tell where its RAM is: %.100s",
			guest->name, json_string_value(text) ? json_string_value(text) : "");
	return find_mapping(ram);
}

struct error *stack_op_memory(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_(ram_deinit) struct ram ram = {0};
	_cleanup_free_ char *boot = fs_read_line("/proc/sys/kernel/random/boot_id");
	struct stack_guest *guest;

	try_(stack_find_guest(server, request, &guest));
	try_(find_ram(guest, &ram));
	json_object_set_new(answer, "boot_id", json_string(boot ? boot : ""));
	json_object_set_new(answer, "device", json_string(ram.device));
	json_object_set_new(answer, "inode", json_integer((json_int_t)ram.inode));
	json_object_set_new(answer, "offset", json_integer((json_int_t)ram.offset));
	json_object_set_new(answer, "bytes", json_integer((json_int_t)ram.bytes));
	json_object_set_new(answer, "shared", json_boolean(ram.shared));
	return NULL;
}

/* ---- which parts hold data ---- */

/* Calls for stretches [from, to) of RAM that hold data, from `at` on; false ends the walk. */
typedef bool extent_visitor(uint64_t from, uint64_t to, void *context);

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* -1 for what cannot have holes. A device's lseek() may well answer something to SEEK_DATA. */
static int open_with_holes(const char *file)
{
	_cleanup_close_ int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? take_fd(&fd) : -1;
}

/* Of a file with holes only what lies between them; anything else (anonymous memory, devdax) holds
 * data everywhere. */
static void walk_data(const struct ram *ram, uint64_t at, extent_visitor *visit, void *context)
{
	_cleanup_close_ int fd = open_with_holes(ram->file);

	while (at < ram->bytes) {
		off_t data = fd < 0 ? -1 : lseek(fd, (off_t)(ram->offset + at), SEEK_DATA);
		off_t hole;

		if (data < 0) {
			if (fd < 0 || errno != ENXIO)
				visit(at, ram->bytes, context);
			return;
		}
		hole = lseek(fd, data, SEEK_HOLE);
		uint64_t from = (uint64_t)data - ram->offset;
		uint64_t to =
			hole < 0 ? ram->bytes : min_u64((uint64_t)hole - ram->offset, ram->bytes);

		if (from >= ram->bytes || !visit(from, to, context))
			return;
		at = to;
	}
}

/* ---- samples ---- */

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
	try_(find_ram(guest, &ram));
	walk_data(&ram, 0, collect, &extents);
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

static struct error *digest_pages(const struct ram *ram, const json_t *offsets, json_t *digests)
{
	_cleanup_free_ char *page = malloc(PAGE);
	const json_t *offset;
	size_t i;

	if (!page)
		abort();
	json_array_foreach ((json_t *)offsets, i, offset) {
		uint64_t at = (uint64_t)json_integer_value(offset);

		if (ram->bytes < PAGE || at > ram->bytes - PAGE)
			return error_new(ERROR_SETUP, "no page at %#llx", (unsigned long long)at);
		try_(read_ram(ram, at, page, PAGE));
		json_array_append_new(digests, digest_text(XXH3_64bits(page, PAGE)));
	}
	return NULL;
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
	walk_data(ram, 0, digest_extent, &work);
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
	try_(find_ram(guest, &ram));
	if (offsets)
		try_(digest_pages(&ram, offsets, digests));
	else
		try_(digest_all(&ram, digests, &pages));
	json_object_set(answer, "digests", digests);
	json_object_set_new(answer, "pages", json_integer((json_int_t)pages));
	return NULL;
}

/* ---- page tables ---- */

/* Reading through another process's address space faults its page in; the kernel maps the pages
 * around it as well where they are in memory. */
#define FAULT_AROUND (64ULL << 10)

struct populating {
	int mem;
	const struct ram *ram;
	struct deadline deadline;
	uint64_t next;
	bool failed;
};

static bool populate_extent(uint64_t from, uint64_t to, void *context)
{
	struct populating *work = context;

	for (; from < to; from = (from / FAULT_AROUND + 1) * FAULT_AROUND) {
		char byte;

		work->next = from;
		if (deadline_passed(work->deadline))
			return false;
		if (pread(work->mem, &byte, 1, (off_t)(work->ram->hva + from)) != 1) {
			work->failed = true;
			return false;
		}
	}
	work->next = to;
	return true;
}

struct error *stack_op_populate(struct server *server, json_t *request, json_t *answer)
{
	uint64_t from = (uint64_t)json_integer_value(json_object_get(request, "from"));
	_cleanup_(ram_deinit) struct ram ram = {0};
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int mem = -1;
	struct stack_guest *guest;

	try_(stack_find_guest(server, request, &guest));
	try_(find_ram(guest, &ram));
	path = format_string("/proc/%d/mem", (int)ram.pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0)
		return error_errno(errno, "cannot open %s", path);
	struct populating work = {.mem = mem,
		.ram = &ram,
		.deadline = deadline_after_ms(STACK_AWAIT_MS),
		.next = ram.bytes};

	walk_data(&ram, from, populate_extent, &work);
	if (work.failed)
		return error_errno(errno, "cannot read RAM of %s at %#llx", guest->name,
			(unsigned long long)work.next);
	json_object_set_new(answer, "next", json_integer((json_int_t)work.next));
	json_object_set_new(answer, "done", json_boolean(!deadline_passed(work.deadline)));
	return NULL;
}
