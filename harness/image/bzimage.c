/* Takes the kernel's ELF file out of its bzImage: see kernel.h. The header is not trusted: every
 * offset is checked against the file. */
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/image/kernel.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BZIMAGE_MAX (256U << 20)
#define VMLINUX_MAX (1U << 30)

/* Offsets in the setup header; boot protocol 2.08 brought the payload's place. */
enum {
	SETUP_SECTS = 0x1f1,
	MAGIC = 0x202,
	PROTOCOL = 0x206,
	PAYLOAD_OFFSET = 0x248,
	PAYLOAD_LENGTH = 0x24c,
	HEADER_END = 0x250,
	PROTOCOL_WITH_PAYLOAD = 0x208,
};

static uint32_t read_le32(const char *data)
{
	uint32_t value;

	memcpy(&value, data, sizeof(value));
	return le32toh(value);
}

struct payload {
	const char *data;
	size_t size;
	uint32_t unpacked_size;
};

static struct error *find_payload(
	const char *path, const char *data, size_t size, struct payload *payload)
{
	if (size < HEADER_END || memcmp(data + MAGIC, "HdrS", 4) != 0)
		return error_new(ERROR_SETUP, "%s is not a bzImage", path);
	uint32_t protocol =
		(unsigned char)data[PROTOCOL] | (uint32_t)(unsigned char)data[PROTOCOL + 1] << 8;
	uint64_t sectors = (unsigned char)data[SETUP_SECTS] ? (unsigned char)data[SETUP_SECTS] : 4;
	uint64_t start = (sectors + 1) * 512 + read_le32(data + PAYLOAD_OFFSET);
	uint64_t length = read_le32(data + PAYLOAD_LENGTH);

	if (protocol < PROTOCOL_WITH_PAYLOAD)
		return error_new(ERROR_SETUP, "%s has boot protocol %x, older than %x", path,
			protocol, PROTOCOL_WITH_PAYLOAD);
	if (length < 16 || start > size || length > size - start)
		return error_new(ERROR_SETUP,
			"%s is truncated or damaged: its payload of %llu bytes at %llu is not "
			"inside",
			path, (unsigned long long)length, (unsigned long long)start);
	/* The last four bytes are not of the stream: they tell the unpacked size. */
	*payload = (struct payload){
		.data = data + start,
		.size = (size_t)length - 4,
		.unpacked_size = read_le32(data + start + length - 4),
	};
	if (payload->unpacked_size > VMLINUX_MAX)
		return error_new(ERROR_SETUP, "%s claims a kernel of %u bytes", path,
			payload->unpacked_size);
	return NULL;
}

struct format {
	const char *name;
	const char *magic;
	size_t magic_size;
	const char *suffix;
	const char *argv[6];
};

static const struct format *find_format(const struct payload *payload)
{
	static const struct format formats[] = {
		{"xz",
			"\xfd"
			"7zXZ",
			6, ".xz", {"xz", "--decompress", "--single-stream", "--force"}},
		{"zstd", "\x28\xb5\x2f\xfd", 4, ".zst", {"zstd", "-d", "-q", "-f", "--rm"}},
		{"gzip", "\x1f\x8b\x08", 3, ".gz", {"gzip", "-d", "-f"}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (memcmp(payload->data, formats[i].magic, formats[i].magic_size) == 0)
			return &formats[i];
	}
	return NULL;
}

static struct error *write_file(const char *path, const void *data, size_t size)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return error_errno(errno, "cannot create %s", path);
	return fs_write_all(fd, data, size, path);
}

static struct error *check_vmlinux(const char *path, const struct payload *payload)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char magic[SELFMAG];

	if (fd < 0 || fstat(fd, &st) < 0 || read(fd, magic, SELFMAG) != SELFMAG)
		return error_errno(errno, "cannot read %s", path);
	if (memcmp(magic, ELFMAG, SELFMAG) != 0 || (uint64_t)st.st_size != payload->unpacked_size)
		return error_new(ERROR_SETUP, "the bzImage holds no ELF kernel of %u bytes",
			payload->unpacked_size);
	return NULL;
}

struct error *kernel_extract(
	const char *bzimage, const char *work, const char *vmlinux, struct deadline deadline)
{
	_cleanup_free_ char *data = NULL;
	struct payload payload;
	size_t size;

	try_(fs_read(bzimage, BZIMAGE_MAX, &data, &size));
	try_(find_payload(bzimage, data, size, &payload));
	const struct format *format = find_format(&payload);

	if (!format)
		return error_new(
			ERROR_SETUP, "%s is packed in a format other than xz, zstd, gzip", bzimage);
	_cleanup_free_ char *unpacked = format_string("%s/payload", work);
	_cleanup_free_ char *packed = format_string("%s%s", unpacked, format->suffix);
	const char *argv[8] = {0};
	size_t used = 0;

	for (; format->argv[used]; used++)
		argv[used] = format->argv[used];
	argv[used] = packed;
	try_(write_file(packed, payload.data, payload.size));
	struct error *err = process_check(argv, NULL, deadline, NULL);

	if (err)
		return error_prefix(err, "cannot unpack %s", bzimage);
	try_(check_vmlinux(unpacked, &payload));
	if (rename(unpacked, vmlinux) < 0)
		return error_errno(errno, "cannot rename %s to %s", unpacked, vmlinux);
	return NULL;
}
