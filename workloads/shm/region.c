/*
 * Mapping regions: see region.h. Must never replace a mapping that exists, nor trust the header
 * beyond what it has checked.
 */
#include "workloads/shm/region.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workloads/shm/clock.h"
#include "workloads/shm/device.h"
#include "workloads/shm/doorbell.h"
#include "workloads/shm/members.h"
#include "workloads/shm/vfio.h"

/* Where the memory of a region comes from. */
struct source {
	int fd;
	uint64_t offset, bytes;
	bool writable;
	bool borrowed; /* the fd belongs to the doorbell */
};

static enum shm_status open_file(const struct region_options *options, struct source *source)
{
	struct stat status;

	source->fd = options->read_only ? -1 : open(options->file, O_RDWR | O_CLOEXEC);
	source->writable = source->fd >= 0;
	if (source->fd < 0)
		source->fd = open(options->file, O_RDONLY | O_CLOEXEC);
	if (source->fd < 0)
		return shm_fail_errno("cannot open region %s", options->file);
	if (fstat(source->fd, &status) < 0)
		return shm_fail_errno("cannot read the size of region %s", options->file);
	source->bytes = (uint64_t)status.st_size;
	return SHM_OK;
}

static enum shm_status open_device(
	const struct region_options *options, struct region *region, struct source *source)
{
	struct device device;
	struct stat status;

	shm_try(device_find(options->device, &device));
	snprintf(region->name, sizeof(region->name), "%s", device.address);
	source->writable = !options->read_only;
	if (options->doorbell && !device.has_doorbell)
		return shm_fail(SHM_SYSTEM,
			"the shared memory device %s has no doorbell: poll, or give the machine an "
			"ivshmem-doorbell",
			device.address);
	if (options->doorbell || device.has_driver) {
		source->borrowed = true;
		shm_try(vfio_open(
			&device, &region->held, &source->fd, &source->offset, &source->bytes));
		region->bell = options->doorbell ? region->held : NULL;
		return SHM_OK;
	}
	shm_try(device_open_memory(&device, &source->fd));
	if (fstat(source->fd, &status) < 0)
		return shm_fail_errno("cannot read the size of %s", device.address);
	source->bytes = (uint64_t)status.st_size;
	return SHM_OK;
}

static enum shm_status open_source(
	const struct region_options *options, struct region *region, struct source *source)
{
	if (!options->file)
		return open_device(options, region, source);
	snprintf(region->name, sizeof(region->name), "%.63s", options->file);
	shm_try(open_file(options, source));
	if (options->doorbell)
		shm_try(doorbell_open_fifo(options->file, options->member, &region->held));
	region->bell = region->held;
	return SHM_OK;
}

/* Says what stands in the way, in the words of /proc/self/maps. */
static enum shm_status fail_taken(const struct region *region, uint64_t address, uint64_t bytes)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	enum shm_status status = SHM_INVALID;

	shm_fail(status,
		"the address 0x%" PRIx64 " for region %s cannot be used: choose another for all "
		"members",
		address, region->name);
	if (!maps)
		return status;
	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end;
		char name[256] = "nameless memory";

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %255[^\n]", &start, &end,
			    name) < 2 ||
			end <= address || start >= address + bytes)
			continue;
		shm_fail(status,
			"the address 0x%" PRIx64 " for region %s is taken: 0x%" PRIx64 "-0x%" PRIx64
			" is %.128s; choose another for all members",
			address, region->name, start, end, name);
		break;
	}
	fclose(maps);
	return status;
}

static enum shm_status map(struct region *region, const struct source *source, uint64_t address)
{
	int protection = PROT_READ | (source->writable ? PROT_WRITE : 0);
	void *mapped;

	if (address % REGION_PAGE)
		return shm_fail(SHM_INVALID,
			"the address 0x%" PRIx64 " for region %s is not a multiple of %d", address,
			region->name, REGION_PAGE);
	if (source->bytes < 2 * REGION_PAGE)
		return shm_fail(SHM_INVALID,
			"region %s has %" PRIu64 " bytes: less than a header page and a data page",
			region->name, source->bytes);
	mapped = mmap((void *)(uintptr_t)address, source->bytes, protection,
		MAP_SHARED | MAP_FIXED_NOREPLACE, source->fd, (off_t)source->offset);
	if (mapped == MAP_FAILED && (errno == EEXIST || errno == ENOMEM || errno == EPERM))
		return fail_taken(region, address, source->bytes);
	if (mapped == MAP_FAILED)
		return shm_fail_errno("cannot map region %s", region->name);
	region->header = mapped;
	region->bytes = source->bytes;
	region->writable = source->writable;
	/* A kernel that does not know MAP_FIXED_NOREPLACE takes the address for a hint. */
	if ((uintptr_t)mapped != address)
		return fail_taken(region, address, source->bytes);
	return SHM_OK;
}

/*
 * A device's backing may be read-only on the host: writes then vanish without a fault. So whether
 * we may write is found out by writing a word that is there for this. Others may write it at the
 * same time; all that counts is that it does not stay what it was.
 */
static enum shm_status probe_writable(struct region *region)
{
	_Atomic uint64_t *probe = &region->header->write_probe;
	uint64_t before;

	if (!region->writable)
		return SHM_OK;
	before = atomic_load(probe);
	atomic_store(probe, clock_now() ^ (uint64_t)getpid() << 40 ^ ~before << 63);
	if (atomic_load(probe) != before)
		return SHM_OK;
	region->writable = false;
	/* From now on an attempt to write is a fault rather than a lie. */
	if (mprotect(region->header, region->bytes, PROT_READ) < 0)
		return shm_fail_errno("cannot make region %s read-only", region->name);
	return SHM_OK;
}

/* Formats a fresh region, or waits for who does. */
static enum shm_status await_header(struct region *region, uint32_t pages, uint64_t deadline)
{
	struct region_header *header = region->header;
	uint64_t magic = 0;

	if (region->writable &&
		atomic_compare_exchange_strong_explicit(&header->magic, &magic, REGION_FORMATTING,
			memory_order_acquire, memory_order_acquire)) {
		region_format(header, pages ? pages : (uint32_t)(region->bytes / REGION_PAGE));
		return SHM_OK;
	}
	/* Acquire: with the magic comes the header it stands for. */
	while ((magic = atomic_load_explicit(&header->magic, memory_order_acquire)) !=
		REGION_MAGIC) {
		if (magic && magic != REGION_FORMATTING)
			return shm_fail(SHM_CORRUPT,
				"region %s is not one of ours: it starts with 0x%" PRIx64,
				region->name, magic);
		if (clock_now() >= deadline)
			return shm_fail(SHM_TIMEOUT, "region %s: nobody has %s it in time",
				region->name, magic ? "finished formatting" : "formatted");
		poll(NULL, 0, 1);
	}
	return SHM_OK;
}

static enum shm_status check_header(struct region *region)
{
	/* Read once: a hostile member may change it between check and use. */
	uint32_t pages = *(volatile uint32_t *)&region->header->pages;
	uint32_t version = *(volatile uint32_t *)&region->header->version;
	size_t bytes = (size_t)pages * REGION_PAGE;

	if (version != REGION_VERSION)
		return shm_fail(SHM_CORRUPT, "region %s has version %u, this program knows %d",
			region->name, version, REGION_VERSION);
	if (pages < 2 || bytes > region->bytes)
		return shm_fail(SHM_CORRUPT, "region %s says it has %u pages, it has %zu",
			region->name, pages, region->bytes / REGION_PAGE);
	/* What does not belong to the region, so that it stays out of reach. */
	if (bytes < region->bytes)
		munmap((char *)region->header + bytes, region->bytes - bytes);
	region->bytes = bytes;
	return SHM_OK;
}

/* Touched now, so that no page is faulted in, here or on the host, while someone waits for it. */
static void prefault(const struct region *region)
{
	for (size_t offset = 0; offset < region->bytes; offset += REGION_PAGE)
		(void)*((const volatile char *)region->header + offset);
}

/*
 * QEMU's TCG makes a guest's atomic operations atomic towards other threads only when the machine
 * can have more than one processor (TB flag CF_PARALLEL): with one, `lock cmpxchg` is a load and a
 * store, and another QEMU's guest comes in between.
 */
static bool has_atomics(void)
{
	unsigned int eax, ebx, ecx, edx;
	char signature[13] = "";
	char possible[16] = "";
	FILE *stream;

	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & 1U << 31)) /* no hypervisor */
		return true;
	__cpuid(0x40000000, eax, ebx, ecx, edx);
	memcpy(signature, &ebx, 4);
	memcpy(signature + 4, &ecx, 4);
	memcpy(signature + 8, &edx, 4);
	if (strcmp(signature, "TCGTCGTCGTCG") != 0)
		return true;
	stream = fopen("/sys/devices/system/cpu/possible", "re");
	if (!stream)
		return true;
	if (!fgets(possible, sizeof(possible), stream))
		possible[0] = '\0';
	fclose(stream);
	return strcmp(possible, "0\n") != 0;
}

enum shm_status region_check_atomics(const struct region *region)
{
	if (region->atomics)
		return SHM_OK;
	return shm_fail(SHM_SYSTEM,
		"region %s: this guest's only processor is emulated without atomic operations "
		"towards other guests: start it with room for another (-smp 1,maxcpus=2)",
		region->name);
}

static enum shm_status set_up(struct region *region, const struct region_options *options,
	struct source *source, uint64_t deadline)
{
	uint64_t address = options->address ? options->address : REGION_DEFAULT_ADDRESS;

	if (options->member >= REGION_MEMBERS)
		return shm_fail(SHM_INVALID, "member %u: a region has members 0 to %d",
			options->member, REGION_MEMBERS - 1);
	shm_try(open_source(options, region, source));
	shm_try(map(region, source, address));
	shm_try(probe_writable(region));
	if (options->pages && (size_t)options->pages * REGION_PAGE > region->bytes)
		return shm_fail(SHM_INVALID, "region %s has %zu pages, fewer than the %u wanted",
			region->name, region->bytes / REGION_PAGE, options->pages);
	shm_try(await_header(region, options->pages, deadline));
	shm_try(check_header(region));
	region->atomics = has_atomics();
	prefault(region);
	return region->writable ? member_join(region, deadline) : SHM_OK;
}

enum shm_status region_open(const struct region_options *options, struct region **result)
{
	struct region *region = calloc(1, sizeof(*region));
	struct source source = {.fd = -1};
	enum shm_status status;

	if (!region)
		return shm_fail(SHM_SYSTEM, "out of memory");
	region->member = options->member;
	region->spin_ns = options->spin_ns;
	region->peer_timeout_ns =
		(options->peer_timeout_ms ? options->peer_timeout_ms : 2000) * 1000000;
	status = set_up(region, options, &source,
		deadline_in_ms(options->deadline_ms ? options->deadline_ms : 5000));
	if (source.fd >= 0 && !source.borrowed)
		close(source.fd);
	if (status != SHM_OK) {
		region_close(region);
		return status;
	}
	*result = region;
	return SHM_OK;
}

void region_close(struct region *region)
{
	if (!region)
		return;
	member_leave(region);
	if (region->header)
		munmap(region->header, region->bytes);
	doorbell_destroy(region->held);
	free(region);
}

void *region_at(struct region *region, uint64_t offset, uint64_t bytes)
{
	if (offset % REGION_LINE || offset < REGION_PAGE || offset > region->bytes ||
		bytes > region->bytes - offset) {
		shm_fail(SHM_INVALID,
			"region %s has no %" PRIu64 " bytes at offset %" PRIu64 ": its data pages "
			"are %d to %zu",
			region->name, bytes, offset, REGION_PAGE, region->bytes);
		return NULL;
	}
	return (char *)region->header + offset;
}

bool region_contains(
	const struct region *region, const void *pointer, uint64_t bytes, size_t alignment)
{
	uint64_t offset = (uintptr_t)pointer - (uintptr_t)region->header;

	return offset >= REGION_PAGE && offset <= region->bytes &&
	       bytes <= region->bytes - offset && (uintptr_t)pointer % alignment == 0;
}
