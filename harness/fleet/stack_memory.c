/*
 * A guest's RAM as its QEMU has it mapped, looked at from outside: which file it is, what is in it.
 * This is what proves that two QEMUs have the same memory, so it must not ask QEMU what it thinks.
 */
#include "harness/fleet/stack_memory.h"
#include "harness/fleet/stack_internal.h"
#include "harness/base/fs.h"
#include "harness/host/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

void ram_deinit(struct ram *ram)
{
	free(ram->file);
}

/* The mapping at ram->hva, which the kernel may show in several neighbouring pieces. */
static struct error *find_mapping(struct ram *ram)
{
	_cleanup_free_ char *text = NULL;
	uint64_t next = ram->hva;
	struct proc_map map;

	try_(proc_read_maps(ram->pid, &text));
	for (const char *at = text; next < ram->hva + ram->bytes && proc_next_map(&at, &map);) {
		if (next < map.from || next >= map.to)
			continue;
		if (next == ram->hva) {
			ram->inode = map.inode;
			ram->offset = map.offset + (next - map.from);
			ram->shared = map.shared;
			ram->device_major = map.device_major;
			ram->device_minor = map.device_minor;
			if (map.inode)
				ram->file = format_string("/proc/%d/map_files/%llx-%llx",
					(int)ram->pid, (unsigned long long)map.from,
					(unsigned long long)map.to);
		} else if (map.inode != ram->inode || map.device_major != ram->device_major ||
			   map.device_minor != ram->device_minor) {
			break;
		}
		next = map.to;
	}
	if (next < ram->hva + ram->bytes)
		return error_new(ERROR_GUEST, "RAM of process %d is not one mapping of %llu MiB",
			(int)ram->pid, (unsigned long long)ram->bytes >> 20);
	return NULL;
}

/* Where RAM is, and how large: QEMU is asked once, neither changes while it lives. */
static struct error *ask_where(struct stack_guest *guest)
{
	struct deadline deadline = deadline_after_ms(STACK_CONTINUE_MS);
	_cleanup_json_ json_t *summary = NULL;
	_cleanup_json_ json_t *text = NULL;
	uint64_t hva, bytes;
	const char *at;

	try_(stack_monitor(guest, "query-memory-size-summary", NULL, deadline, &summary));
	try_(stack_monitor(guest, "human-monitor-command",
		json_pack("{s:s}", "command-line", "gpa2hva 0"), deadline, &text));
	bytes = (uint64_t)json_integer_value(json_object_get(summary, "base-memory"));
	at = json_string_value(text);
	at = at ? strstr(at, " is 0x") : NULL;
	hva = at ? strtoull(at + 4, NULL, 16) : 0;
	if (!hva || !bytes)
		return error_new(ERROR_GUEST, "QEMU of %s does not tell where its RAM is: %.100s",
			guest->name, json_string_value(text) ? json_string_value(text) : "");
	pthread_mutex_lock(&guest->lock);
	guest->ram_hva = hva;
	guest->ram_bytes = bytes;
	pthread_mutex_unlock(&guest->lock);
	return NULL;
}

/* What lies there is looked up anew each time, since that is what has to be proved. */
struct error *ram_find(struct stack_guest *guest, struct ram *ram)
{
	pthread_mutex_lock(&guest->lock);
	ram->hva = guest->ram_hva;
	pthread_mutex_unlock(&guest->lock);
	if (!ram->hva)
		try_(ask_where(guest));
	ram->pid = guest->pid;
	ram->hva = guest->ram_hva;
	ram->bytes = guest->ram_bytes;
	return find_mapping(ram);
}

struct error *stack_op_memory(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_(ram_deinit) struct ram ram = {0};
	_cleanup_free_ char *boot = fs_read_line("/proc/sys/kernel/random/boot_id");
	_cleanup_free_ char *device = NULL;
	struct stack_guest *guest;

	try_(stack_find_guest(server, request, &guest));
	try_(ram_find(guest, &ram));
	device = format_string("%02x:%02x", ram.device_major, ram.device_minor);
	json_object_set_new(answer, "boot_id", json_string(boot ? boot : ""));
	json_object_set_new(answer, "device", json_string(device));
	json_object_set_new(answer, "inode", json_integer((json_int_t)ram.inode));
	json_object_set_new(answer, "offset", json_integer((json_int_t)ram.offset));
	json_object_set_new(answer, "bytes", json_integer((json_int_t)ram.bytes));
	json_object_set_new(answer, "shared", json_boolean(ram.shared));
	return NULL;
}

/* ---- which parts hold data ---- */

/* -1 for what cannot have holes. A device's lseek() may well answer something to SEEK_DATA. */
static int open_with_holes(const char *file)
{
	_cleanup_close_ int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? take_fd(&fd) : -1;
}

void ram_walk_data(const struct ram *ram, uint64_t at, extent_visitor *visit, void *context)
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
	try_(ram_find(guest, &ram));
	path = format_string("/proc/%d/mem", (int)ram.pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0)
		return error_errno(errno, "cannot open %s", path);
	struct populating work = {.mem = mem,
		.ram = &ram,
		.deadline = deadline_after_ms(STACK_AWAIT_MS),
		.next = ram.bytes};

	ram_walk_data(&ram, from, populate_extent, &work);
	if (work.failed)
		return error_errno(errno, "cannot read RAM of %s at %#llx", guest->name,
			(unsigned long long)work.next);
	json_object_set_new(answer, "next", json_integer((json_int_t)work.next));
	json_object_set_new(answer, "done", json_boolean(!deadline_passed(work.deadline)));
	return NULL;
}
