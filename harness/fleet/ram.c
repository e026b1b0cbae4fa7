/*
 * Files for guests' RAM: where they are for each kind of pages, and copies of a template's. Such a
 * file is what a guest that is moved without copying keeps, so it must outlive the QEMU that made
 * it.
 */
#include "harness/fleet/fleet_internal.h"
#include "harness/base/fs.h"
#include "harness/fleet/ram.h"
#include "harness/host/knobs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#define HUGE_PAGE ((uint64_t)2 << 20)
#define HUGE_DIR "/sys/kernel/mm/hugepages/hugepages-2048kB"
#define HUGE_KNOB "/proc/sys/vm/nr_hugepages"

static char *backing_dir(enum ram_backing backing)
{
	return format_string(
		"%s/%s", lab_dir(), backing == RAM_BACKING_HUGE ? "ram-huge" : "ram-thp");
}

char *ram_file_path(enum ram_backing backing, const char *seat)
{
	_cleanup_free_ char *dir = NULL;

	if (backing == RAM_BACKING_SHMEM)
		return format_string("%s/g/%s/ram", lab_dir(), seat);
	dir = backing_dir(backing);
	return format_string("%s/%s", dir, seat);
}

/* ---- huge pages ---- */

const char *ram_huge_pages_refused(void)
{
	if (access(HUGE_DIR, F_OK) < 0)
		return "this kernel has no huge pages of 2 MiB";
	return access(HUGE_KNOB, W_OK) < 0
		       ? "huge pages cannot be reserved: vm.nr_hugepages is not ours to write"
		       : NULL;
}

static uint64_t huge_pages_of(const struct fleet_spec *spec)
{
	uint64_t pages = 0;

	if (spec->ram != RAM_SHARED || spec->ram_backing != RAM_BACKING_HUGE)
		return 0;
	for (unsigned int i = 0; i < spec->count; i++) {
		uint64_t bytes =
			spec->memory_bytes_each ? spec->memory_bytes_each[i] : spec->memory_bytes;

		pages += (bytes + GUEST_RAM_TAIL_BYTES + HUGE_PAGE - 1) / HUGE_PAGE;
	}
	return pages;
}

static uint64_t read_count(const char *path)
{
	_cleanup_free_ char *text = fs_read_line(path);

	return text ? strtoull(text, NULL, 10) : 0;
}

/* The host keeps what others have reserved; what they leave free is theirs to use. */
struct error *ram_borrow_huge_pages(const struct fleet_spec *spec)
{
	uint64_t pages = huge_pages_of(spec);
	_cleanup_free_ char *value = NULL;
	struct error *err;

	if (pages == 0)
		return NULL;
	value = format_string("%llu", (unsigned long long)(read_count(HUGE_KNOB) + pages));
	err = knob_borrow(HUGE_KNOB, value);
	return err ? error_hint(error_prefix(err, "cannot reserve %llu huge pages of 2 MiB",
					(unsigned long long)pages),
			     "memory may be too scattered: echo 1 >/proc/sys/vm/compact_memory, or "
			     "choose another backing of guests' RAM: shmem or thp")
		   : NULL;
}

static struct error *check_huge_pages(uint64_t wanted)
{
	uint64_t available = read_count(HUGE_DIR "/free_hugepages");

	if (available >= wanted)
		return NULL;
	return error_hint(error_new(ERROR_SETUP,
				  "the guests' RAM needs %llu huge pages of 2 MiB, %llu are free",
				  (unsigned long long)wanted, (unsigned long long)available),
		"sysctl vm.nr_hugepages=%llu", (unsigned long long)wanted);
}

static struct error *mount_backing(enum ram_backing backing)
{
	bool huge = backing == RAM_BACKING_HUGE;
	_cleanup_free_ char *dir = backing_dir(backing);

	try_(fs_make_dirs(dir));
	if (mount("ram", dir, huge ? "hugetlbfs" : "tmpfs", MS_NOSUID | MS_NODEV,
		    huge ? "mode=0700,pagesize=2M" : "mode=0700,size=90%,huge=always") == 0)
		return NULL;
	if (!huge && errno == EINVAL)
		return error_hint(error_new(ERROR_SETUP,
					  "this kernel has no transparent huge pages for tmpfs"),
			"choose another backing of guests' RAM: shmem or huge");
	return error_errno(errno, "cannot mount %s for the guests' RAM", dir);
}

struct error *ram_prepare(const struct fleet_spec *spec)
{
	if (spec->ram != RAM_SHARED || spec->ram_backing == RAM_BACKING_SHMEM)
		return NULL;
	try_(check_huge_pages(huge_pages_of(spec)));
	return mount_backing(spec->ram_backing);
}

/* Copies data at [offset, end) into the mapping of the new file: hugetlbfs knows no write(). */
static struct error *copy_data(int from, char *to, off_t offset, off_t end)
{
	while (offset < end) {
		ssize_t n = pread(from, to + offset, (size_t)(end - offset), offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_errno(n < 0 ? errno : EIO, "cannot read the template's RAM");
		offset += n;
	}
	return NULL;
}

static struct error *copy_sparse(int from, char *to, off_t size)
{
	off_t end = 0;

	for (;;) {
		off_t data = lseek(from, end, SEEK_DATA);

		if (data < 0 && errno == ENXIO) /* nothing but a hole is left */
			return NULL;
		if (data < 0)
			return error_errno(errno, "cannot find the data in the template's RAM");
		end = lseek(from, data, SEEK_HOLE);
		if (end < 0 || end > size)
			end = size;
		try_(copy_data(from, to, data, end));
	}
}

struct error *ram_copy(int template_fd, const char *path, uint64_t size)
{
	/* Opened anew: clones are made in parallel, and each seeks. */
	_cleanup_free_ char *again = format_string("/proc/self/fd/%d", template_fd);
	_cleanup_close_ int from = open(again, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int to = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct statfs pages;
	struct error *err;
	char *mapping;

	if (from < 0)
		return error_errno(errno, "cannot open the template's RAM");
	if (to < 0 || fstatfs(to, &pages) < 0)
		return error_errno(errno, "cannot make the RAM file %s", path);
	/* hugetlbfs has whole huge pages only */
	size = (size + (uint64_t)pages.f_bsize - 1) / (uint64_t)pages.f_bsize *
	       (uint64_t)pages.f_bsize;
	if (ftruncate(to, (off_t)size) < 0)
		return error_errno(errno, "cannot make the RAM file %s", path);
	mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, to, 0);
	if (mapping == MAP_FAILED)
		return error_errno(errno, "cannot map the RAM file %s", path);
	err = copy_sparse(from, mapping, (off_t)size);
	munmap(mapping, size);
	return err;
}
