/* Regions of shared memory: see region_service.h. Must never give a region to a guest outside its
 * group. */
#include "mechanisms/shmipc/region_service.h"
#include "harness/base/fs.h"
#include "harness/lab/lab.h"
#include "mechanisms/shmipc/doorbell_server.h"

#include <ctype.h>
#include <stdbool.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

struct region {
	int fd;
	char *socket_path;
	size_t bytes; /* of the region; the file has region_device_bytes() */
	unsigned char *memory;
	struct doorbell_server *doorbells;
};

size_t region_device_bytes(uint32_t pages)
{
	size_t bytes = 1 << 20;

	while (bytes < (size_t)pages * REGION_PAGE_BYTES)
		bytes *= 2;
	return bytes;
}

void region_destroy(struct region *region)
{
	if (!region)
		return;
	doorbell_server_destroy(region->doorbells);
	if (region->memory)
		munmap(region->memory, region->bytes);
	cleanup_close(&region->fd);
	free(region->socket_path);
	free(region);
}

DEFINE_CLEANUP(region, struct region *, region_destroy)

static bool good_name(const char *name)
{
	size_t length = strlen(name);

	for (const char *p = name; *p; p++) {
		if (!isalnum((unsigned char)*p))
			return false;
	}
	return length > 0 && length <= 16;
}

static char *region_path(const struct region_spec *spec, const char *suffix)
{
	return format_string("%s/regions/%s%s", lab_dir(), spec->name, suffix);
}

struct error *region_create(const struct region_spec *spec, struct region **region)
{
	_cleanup_(cleanup_region) struct region *made = calloc(1, sizeof(*made));
	_cleanup_free_ char *dir = format_string("%s/regions", lab_dir());
	_cleanup_free_ char *path = region_path(spec, "");

	if (!made)
		abort();
	made->fd = -1;
	if (!good_name(spec->name) || spec->pages < 2)
		return error_new(ERROR_USAGE,
			"region '%s' of %u pages: 1 to 16 letters or digits, at least 2 pages",
			spec->name, spec->pages);
	try_(fs_make_dirs(dir));
	made->socket_path = region_path(spec, ".sock");
	made->bytes = (size_t)spec->pages * REGION_PAGE_BYTES;
	made->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (made->fd < 0)
		return error_errno(errno, "cannot create region %s", spec->name);
	if (ftruncate(made->fd, (off_t)region_device_bytes(spec->pages)) < 0)
		return error_errno(errno, "cannot size region %s", spec->name);
	made->memory = mmap(NULL, made->bytes, PROT_READ, MAP_SHARED, made->fd, 0);
	if (made->memory == MAP_FAILED) {
		made->memory = NULL;
		return error_errno(errno, "cannot map region %s", spec->name);
	}
	*region = take_ptr(made);
	return NULL;
}

struct error *region_serve_doorbells(struct region *region, size_t members)
{
	return doorbell_server_create(region->socket_path, members, region->fd, &region->doorbells);
}

static struct error *check_group(const struct region_spec *spec, const char *group)
{
	if (strcmp(spec->group, group) == 0)
		return NULL;
	return error_new(ERROR_USAGE,
		"region %s is of group '%s': a guest of group '%s' cannot have it", spec->name,
		spec->group, group);
}

/* Writes JSON made of `arguments` (taken over) into a plug. */
static struct plug_spec make_plug(const char *command, json_t *arguments, uint64_t guests)
{
	struct plug_spec plug = {
		.command = command,
		.arguments = json_dumps(arguments, JSON_COMPACT),
		.guests = guests,
	};

	json_decref(arguments);
	if (!plug.arguments)
		abort();
	return plug;
}

struct error *region_plugs(const struct region_spec *spec, const char *group,
	enum region_access access, uint64_t guests, struct plug_spec plugs[2])
{
	_cleanup_free_ char *path = region_path(spec, "");
	_cleanup_free_ char *id = format_string("region-%s", spec->name);

	try_(check_group(spec, group));
	/* "master": QEMU lets a guest with the region move (see harness/fleet/shared_devices.h).
	 * A read-only member is held by the backend: QEMU has no writable mapping of the file. */
	plugs[0] = make_plug("object-add",
		json_pack("{s:s, s:s, s:s, s:I, s:b, s:b}", "qom-type", "memory-backend-file", "id",
			id, "mem-path", path, "size", (json_int_t)region_device_bytes(spec->pages),
			"share", 1, "readonly", access == REGION_READ_ONLY),
		guests);
	plugs[1] = make_plug("device_add",
		json_pack("{s:s, s:s, s:s, s:s, s:s}", "driver", "ivshmem-plain", "id", spec->name,
			"memdev", id, "bus", "plug0", "master", "on"),
		guests);
	return NULL;
}

struct error *region_doorbell_plugs(const struct region_spec *spec, const char *group,
	unsigned int guest, struct plug_spec plugs[2])
{
	_cleanup_free_ char *path = region_path(spec, ".sock");
	_cleanup_free_ char *its_path = format_string("%s.%u", path, guest);
	_cleanup_free_ char *id = format_string("bell-%s", spec->name);

	try_(check_group(spec, group));
	plugs[0] = make_plug("chardev-add",
		json_pack("{s:s, s:{s:s, s:{s:{s:s, s:{s:s}}, s:b}}}", "id", id, "backend", "type",
			"socket", "data", "addr", "type", "unix", "data", "path", its_path,
			"server", 0),
		UINT64_C(1) << guest);
	/* The number of vectors tells the guest which member it is: see doorbell_server.h. */
	plugs[1] = make_plug("device_add",
		json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "driver", "ivshmem-doorbell", "id",
			spec->name, "chardev", id, "vectors", (int)guest + 1, "bus", "plug0",
			"master", "on"),
		UINT64_C(1) << guest);
	return NULL;
}

const unsigned char *region_memory(const struct region *region, size_t *size)
{
	*size = region->bytes;
	return region->memory;
}

unsigned int region_peers(const struct region *region)
{
	return region->doorbells ? doorbell_server_peers(region->doorbells) : 0;
}
