/* ivshmem devices in sysfs: see device.h. */
#include "workloads/shm/device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PCI_DEVICES "/sys/bus/pci/devices"

/* QEMU, docs/specs/ivshmem-spec: vendor 1af4, device 1110. */
#define IVSHMEM_VENDOR 0x1af4
#define IVSHMEM_DEVICE 0x1110

static unsigned long read_id(const char *address, const char *file)
{
	char path[128];
	char text[32] = "";
	FILE *stream;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", address, file);
	stream = fopen(path, "re");
	if (!stream)
		return 0;
	if (!fgets(text, sizeof(text), stream))
		text[0] = '\0';
	fclose(stream);
	return strtoul(text, NULL, 16);
}

static int is_ivshmem(const struct dirent *entry)
{
	return strlen(entry->d_name) < DEVICE_ADDRESS_SIZE &&
	       read_id(entry->d_name, "vendor") == IVSHMEM_VENDOR &&
	       read_id(entry->d_name, "device") == IVSHMEM_DEVICE;
}

/* Only ivshmem-doorbell has an MSI-X table, which is its BAR 1. */
static bool has_bar1(const char *address)
{
	char path[128];
	unsigned long long start = 0, end = 0;
	FILE *stream;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/resource", address);
	stream = fopen(path, "re");
	if (!stream)
		return false;
	if (fscanf(stream, "%*s %*s %*s %llx %llx", &start, &end) != 2)
		end = 0;
	fclose(stream);
	return end > start;
}

static bool has_driver(const char *address)
{
	char path[128];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver", address);
	return access(path, F_OK) == 0;
}

enum shm_status device_find(unsigned int index, struct device *device)
{
	struct dirent **entries;
	int count = scandir(PCI_DEVICES, &entries, is_ivshmem, alphasort);

	if (count < 0)
		return shm_fail_errno("cannot list " PCI_DEVICES);
	if (index < (unsigned int)count) {
		/* is_ivshmem() has checked the length. */
		snprintf(device->address, sizeof(device->address), "%.15s", entries[index]->d_name);
		device->has_doorbell = has_bar1(device->address);
		device->has_driver = has_driver(device->address);
	}
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	if (index >= (unsigned int)count)
		return shm_fail(SHM_SYSTEM,
			"there is no shared memory device %u: this guest has %d (counted from 0)",
			index, count);
	return SHM_OK;
}

enum shm_status device_write(const struct device *device, const char *file, const char *text)
{
	char path[128];
	ssize_t written;
	int fd;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", device->address, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return shm_fail_errno("cannot open %s", path);
	written = write(fd, text, strlen(text));
	if (written < 0)
		shm_fail_errno("cannot write '%s' to %s", text, path);
	close(fd);
	return written < 0 ? SHM_SYSTEM : SHM_OK;
}

enum shm_status device_open_memory(const struct device *device, int *fd)
{
	char path[128];
	int opened;

	/* Without this the device does not answer at its addresses. Needs no driver. */
	shm_try(device_write(device, "enable", "1"));
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/resource2", device->address);
	opened = open(path, O_RDWR | O_CLOEXEC);
	if (opened < 0)
		return shm_fail_errno("cannot open %s", path);
	*fd = opened;
	return SHM_OK;
}
