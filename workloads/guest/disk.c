/*
 * disk-write and disk-check: whether a disk keeps what it has acknowledged. The writer goes round a
 * part of a disk with numbered, checksummed blocks past the page cache, and counts those that the
 * disk has said are durable; the checker looks whether each is there.
 */
#include "workloads/guest/background.h"
#include "workloads/guest/disk_block.h"
#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <linux/fs.h>
#include <unistd.h>

_Static_assert(sizeof(struct disk_block) == DISK_BLOCK, "a block is as large as it says");

struct disk {
	const char *device;
	uint64_t mib, slots;
	int fd;
	bool direct; /* past the page cache */
	struct disk_block *block;
};

#define DISK_DEFAULTS                                                                              \
	{                                                                                          \
		.device = "/dev/vda", .mib = 16, .fd = -1                                          \
	}
#define DISK_ROWS(d)                                                                               \
	{"device", OPTION_TEXT, &(d)->device, 0, 0,                                                \
		"disk, or existing file, whose content is lost (/dev/vda)"},                       \
	{                                                                                          \
		"mib", OPTION_NUMBER, &(d)->mib, 1, UINT64_C(1) << 20,                             \
			"so much of its beginning (16)"                                            \
	}

static uint64_t size_of(const struct disk *disk)
{
	struct stat status;
	uint64_t bytes;

	if (fstat(disk->fd, &status) < 0)
		die_errno("cannot look at %s", disk->device);
	if (!S_ISBLK(status.st_mode))
		return (uint64_t)status.st_size;
	if (ioctl(disk->fd, BLKGETSIZE64, &bytes) < 0)
		die_errno("cannot find out the size of %s", disk->device);
	return bytes;
}

static void open_disk(struct disk *disk, int flags)
{
	disk->direct = true;
	disk->fd = open(disk->device, flags | O_DIRECT | O_CLOEXEC);
	if (disk->fd < 0 && errno == EINVAL) {
		/* A file system in memory has no cache to go past. */
		disk->direct = false;
		disk->fd = open(disk->device, flags | O_CLOEXEC);
	}
	if (disk->fd < 0)
		die_errno("cannot open %s", disk->device);
	if (size_of(disk) < disk->mib << 20)
		die("%s is smaller than %" PRIu64 " MiB", disk->device, disk->mib);
	disk->slots = (disk->mib << 20) / DISK_BLOCK;
	if (posix_memalign((void **)&disk->block, DISK_BLOCK, DISK_BLOCK) != 0)
		die("not enough memory");
}

static off_t slot_offset(uint64_t slot)
{
	return (off_t)(slot * DISK_BLOCK);
}

struct writer {
	struct disk disk;
	uint64_t run, rate, seconds;
	uint64_t acknowledged;
	uint64_t largest_ns, largest_at_ns;
};

/* One write, with its time; the block counts as acknowledged when the call says so. */
static void write_block(struct writer *writer)
{
	struct disk *disk = &writer->disk;
	uint64_t before, took;
	ssize_t wrote;

	disk_block_make(disk->block, writer->run, writer->acknowledged, disk->slots);
	before = clock_now();
	wrote = pwrite(
		disk->fd, disk->block, DISK_BLOCK, slot_offset(writer->acknowledged % disk->slots));
	if (wrote != DISK_BLOCK)
		die("write %" PRIu64 " to %s failed: %s", writer->acknowledged, disk->device,
			wrote < 0 ? strerror(errno) : "cut short");
	took = clock_now() - before;
	if (took > writer->largest_ns) {
		writer->largest_ns = took;
		writer->largest_at_ns = before;
	}
	writer->acknowledged++;
}

static void write_blocks(struct writer *writer)
{
	uint64_t start = clock_now();
	uint64_t end = start + writer->seconds * 1000000000;
	uint64_t period = writer->rate ? 1000000000 / writer->rate : 0;
	uint64_t due = start;

	for (uint64_t now = start; now < end && !background_ended(); now = clock_now()) {
		if (now < due) {
			background_poll(NULL, 0, due);
			continue;
		}
		write_block(writer);
		due += period;
		if (due < now)
			due = now; /* behind: no more later for what was not done */
	}
}

void command_disk_write(int argc, char **argv)
{
	struct writer writer = {.disk = DISK_DEFAULTS, .rate = 200, .seconds = 10};
	struct background background = {0};
	const struct option_row rows[] = {
		DISK_ROWS(&writer.disk),
		{"rate", OPTION_NUMBER, &writer.rate, 0, 1000000,
			"blocks of 4096 bytes a second (200); 0: as fast as it goes"},
		{"seconds", OPTION_NUMBER, &writer.seconds, 1, 86400, "at most so long (10)"},
		BACKGROUND_ROWS(&background),
		{0},
	};

	options_parse(rows, argc, argv);
	background_start(&background);
	background_endable();
	open_disk(&writer.disk, O_RDWR | O_DSYNC);
	/* 53 bits, which every reader of JSON keeps. */
	if (getrandom(&writer.run, sizeof(writer.run), 0) != sizeof(writer.run))
		die_errno("no random number");
	writer.run >>= 11;
	background_ready(&background, 0);
	write_blocks(&writer);
	json_text("device", writer.disk.device);
	json_bool("direct", writer.disk.direct);
	json_number("mib", writer.disk.mib);
	json_number("run", writer.run);
	json_number("acknowledged", writer.acknowledged);
	json_number("largest_write_ns", writer.largest_ns);
	json_number("largest_write_at_ns", writer.largest_at_ns);
	json_print();
}

struct checker {
	struct disk disk;
	uint64_t run, acknowledged;
	uint64_t checked, lost, damaged;
};

static void check_slot(struct checker *checker, uint64_t slot)
{
	struct disk *disk = &checker->disk;
	uint64_t number = disk_slot_number(slot, checker->acknowledged, disk->slots);
	ssize_t got = pread(disk->fd, disk->block, DISK_BLOCK, slot_offset(slot));

	if (got != DISK_BLOCK)
		die("cannot read block %" PRIu64 " of %s: %s", slot, disk->device,
			got < 0 ? strerror(errno) : "cut short");
	checker->checked++;
	if (!disk_block_is_whole(disk->block, checker->run, disk->slots))
		checker->damaged++;
	else if (disk->block->number != number)
		checker->lost++; /* an older one: the acknowledged write is not there */
}

void command_disk_check(int argc, char **argv)
{
	struct checker checker = {.disk = DISK_DEFAULTS};
	const struct option_row rows[] = {
		DISK_ROWS(&checker.disk),
		{"run", OPTION_NUMBER, &checker.run, 0, UINT64_MAX, "which disk-write printed"},
		{"acknowledged", OPTION_NUMBER, &checker.acknowledged, 1, UINT64_MAX,
			"which disk-write printed"},
		{0},
	};

	options_parse(rows, argc, argv);
	if (!checker.acknowledged)
		die("--run, --acknowledged: what has disk-write written?");
	open_disk(&checker.disk, O_RDONLY);
	for (uint64_t slot = 0; slot < checker.disk.slots && slot < checker.acknowledged; slot++)
		check_slot(&checker, slot);
	json_bool("direct", checker.disk.direct);
	json_number("checked", checker.checked);
	json_number("lost", checker.lost);
	json_number("damaged", checker.damaged);
	json_bool("intact", checker.lost + checker.damaged == 0);
	json_print();
}
