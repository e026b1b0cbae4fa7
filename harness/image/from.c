/* Images from a file of the user's: a root tarball, or a disk that is used where it is. */
#include "harness/base/fs.h"
#include "harness/image/builders.h"
#include "harness/image/from.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct error *from_detect(const char *path, enum from_format *format)
{
	static const struct {
		size_t offset;
		const char *magic;
		size_t size;
		enum from_format format;
	} magics[] = {
		{0, "QFI\xfb", 4, FROM_QCOW2},
		{257, "ustar", 5, FROM_TARBALL},
		{0, "\x1f\x8b", 2, FROM_TARBALL},
		{0,
			"\xfd"
			"7zXZ",
			6, FROM_TARBALL},
		{0, "\x28\xb5\x2f\xfd", 4, FROM_TARBALL},
		{0, "BZh", 3, FROM_TARBALL},
	};
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char head[512] = {0};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (S_ISREG(st.st_mode) && read(fd, head, 512) < 0))
		return error_errno(errno, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return error_new(ERROR_USAGE, "%s is not a regular file", path);
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		if (memcmp(head + magics[i].offset, magics[i].magic, magics[i].size) == 0) {
			*format = magics[i].format;
			return NULL;
		}
	}
	return error_hint(
		error_new(ERROR_USAGE, "%s is neither a qcow2 disk nor a root tarball", path),
		"another disk format: qemu-img convert -O qcow2 FILE disk.qcow2");
}

struct error *build_from_tarball(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	const struct recipe *recipe = data;

	return put_disk(cache, entry, work, manifest, recipe, recipe->from, NULL);
}

struct error *build_from_disk(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	const struct recipe *recipe = data;
	_cleanup_free_ char *note = format_string("%s/disk.json", entry);
	_cleanup_free_ char *text = NULL;
	char hash[33];

	(void)cache;
	(void)work;
	try_(fs_hash_file(recipe->from, hash));
	/* The entry's only file ties the image's hash to the disk's content. */
	_cleanup_json_ json_t *content = json_pack("{s:s}", "disk_hash", hash);
	json_t *how = json_pack("{s:s, s:s, s:s, s:b, s:I}", "disk", recipe->from, "disk_format",
		"qcow2", "disk_hash", hash, "own_program", 0, "memory_min_bytes",
		(json_int_t)512 << 20);

	json_object_update_new(manifest, how);
	text = json_dumps(content, JSON_COMPACT);
	return fs_write_atomic(note, text, strlen(text));
}
