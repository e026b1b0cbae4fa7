/*
 * ivshmem-doorbell through VFIO: see vfio.h. Must not leave interrupts unmasked without an eventfd,
 * nor assume that anything but the device's documented registers exists.
 */
#include "workloads/shm/vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* QEMU, docs/specs/ivshmem-spec: registers in BAR 0. */
#define IV_DOORBELL 12

struct vfio_doorbell {
	struct doorbell bell;
	int container, group, device, event;
	uint64_t registers; /* offset of BAR 0 in `device` */
};

static enum shm_status link_name(const struct device *device, const char *link, char *name)
{
	char path[128];
	char target[256];
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", device->address, link);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return shm_fail_errno("device %s has no %s", device->address, link);
	target[length] = '\0';
	snprintf(name, 64, "%.63s", basename(target));
	return SHM_OK;
}

static enum shm_status write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (written < 0)
		shm_fail_errno("cannot write '%s' to %s", text, path);
	if (fd >= 0)
		close(fd);
	return written < 0 ? SHM_SYSTEM : SHM_OK;
}

static enum shm_status bind_driver(const struct device *device)
{
	char driver[64] = "";

	if (link_name(device, "driver", driver) == SHM_OK) {
		if (strcmp(driver, "vfio-pci") == 0)
			return SHM_OK;
		shm_try(device_write(device, "driver/unbind", device->address));
	}
	if (access("/sys/bus/pci/drivers/vfio-pci", F_OK) < 0)
		return shm_fail(SHM_SYSTEM,
			"the doorbell of %s needs the kernel modules vfio-pci and vfio_iommu_type1",
			device->address);
	shm_try(device_write(device, "driver_override", "vfio-pci"));
	shm_try(write_file("/sys/bus/pci/drivers_probe", device->address));
	if (link_name(device, "driver", driver) != SHM_OK || strcmp(driver, "vfio-pci") != 0)
		return shm_fail(SHM_SYSTEM, "vfio-pci did not take the device %s", device->address);
	return SHM_OK;
}

static enum shm_status open_group(struct vfio_doorbell *vfio, const struct device *device)
{
	struct vfio_group_status state = {.argsz = sizeof(state)};
	char group[64];
	char path[80];

	if (link_name(device, "iommu_group", group) != SHM_OK)
		return shm_fail(SHM_SYSTEM,
			"the doorbell of %s needs an IOMMU: give the machine an intel-iommu with "
			"intremap=on and its kernel intel_iommu=on",
			device->address);
	vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (vfio->container < 0)
		return shm_fail_errno("cannot open /dev/vfio/vfio");
	if (ioctl(vfio->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU) != 1)
		return shm_fail(SHM_SYSTEM, "the kernel module vfio_iommu_type1 is not loaded");
	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	vfio->group = open(path, O_RDWR | O_CLOEXEC);
	if (vfio->group < 0)
		return shm_fail_errno("cannot open %s", path);
	if (ioctl(vfio->group, VFIO_GROUP_GET_STATUS, &state) < 0)
		return shm_fail_errno("cannot read the state of IOMMU group %s", group);
	if (!(state.flags & VFIO_GROUP_FLAGS_VIABLE))
		return shm_fail(SHM_SYSTEM,
			"IOMMU group %s has devices beside %s that other drivers hold", group,
			device->address);
	if (ioctl(vfio->group, VFIO_GROUP_SET_CONTAINER, &vfio->container) < 0 ||
		ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) < 0)
		return shm_fail_errno("cannot set up IOMMU group %s", group);
	vfio->device = ioctl(vfio->group, VFIO_GROUP_GET_DEVICE_FD, device->address);
	if (vfio->device < 0)
		return shm_fail_errno("cannot open %s through VFIO", device->address);
	return SHM_OK;
}

static enum shm_status bar(
	const struct vfio_doorbell *vfio, uint32_t index, struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){.argsz = sizeof(*info), .index = index};
	if (ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, info) < 0)
		return shm_fail_errno("cannot ask for VFIO region %u", index);
	if (!info->size)
		return shm_fail(SHM_SYSTEM, "the device lacks VFIO region %u", index);
	return SHM_OK;
}

/* MSI-X is a write by the device to memory, which it may do only as a bus master. */
static enum shm_status enable_bus_master(const struct vfio_doorbell *vfio)
{
	struct vfio_region_info config;
	uint16_t command;

	shm_try(bar(vfio, VFIO_PCI_CONFIG_REGION_INDEX, &config));
	if (pread(vfio->device, &command, 2, (off_t)(config.offset + PCI_COMMAND)) != 2)
		return shm_fail_errno("cannot read the device's command register");
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(vfio->device, &command, 2, (off_t)(config.offset + PCI_COMMAND)) != 2)
		return shm_fail_errno("cannot write the device's command register");
	return SHM_OK;
}

/* What the others ring us by is our number of vectors: the position register says 0 to everyone,
 * for only so can a guest with this device be moved (see mechanisms/shmipc/doorbell_server.h). */
static enum shm_status learn_number(struct vfio_doorbell *vfio, const struct device *device)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX};

	if (ioctl(vfio->device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0)
		return shm_fail_errno("cannot read the number of %s", device->address);
	if (info.count == 0 || info.count >= UINT16_MAX)
		return shm_fail(SHM_SYSTEM, "%s has %u vectors, which is no member's number",
			device->address, info.count);
	vfio->bell.self = info.count;
	return SHM_OK;
}

static enum shm_status connect_interrupt(struct vfio_doorbell *vfio)
{
	union {
		struct vfio_irq_set set;
		char space[sizeof(struct vfio_irq_set) + sizeof(int)];
	} request = {.set = {
			     .argsz = sizeof(request),
			     .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			     .index = VFIO_PCI_MSIX_IRQ_INDEX,
			     .count = 1,
		     }};

	vfio->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vfio->event < 0)
		return shm_fail_errno("cannot make an eventfd");
	memcpy(request.set.data, &vfio->event, sizeof(int));
	if (ioctl(vfio->device, VFIO_DEVICE_SET_IRQS, &request) < 0)
		return shm_fail_errno("cannot connect the doorbell's interrupt");
	return SHM_OK;
}

static enum shm_status vfio_ring(struct doorbell *bell, uint32_t peer)
{
	struct vfio_doorbell *vfio = (struct vfio_doorbell *)bell;
	uint32_t value = peer << 16; /* vector 0 */

	if (peer > UINT16_MAX)
		return shm_fail(SHM_CORRUPT, "there is no doorbell %u", peer);
	if (pwrite(vfio->device, &value, 4, (off_t)(vfio->registers + IV_DOORBELL)) != 4)
		return shm_fail_errno("cannot ring doorbell %u", peer);
	return SHM_OK;
}

static enum shm_status vfio_wait(struct doorbell *bell, uint64_t until, bool *rung)
{
	struct vfio_doorbell *vfio = (struct vfio_doorbell *)bell;
	uint64_t rings;
	ssize_t got;

	shm_try(doorbell_poll(vfio->event, until));
	got = read(vfio->event, &rings, sizeof(rings));
	*rung = got > 0;
	if (got < 0 && errno != EAGAIN)
		return shm_fail_errno("cannot read the doorbell");
	return SHM_OK;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void vfio_destroy(struct doorbell *bell)
{
	struct vfio_doorbell *vfio = (struct vfio_doorbell *)bell;

	close_if_open(vfio->device);
	close_if_open(vfio->event);
	close_if_open(vfio->group);
	close_if_open(vfio->container);
	free(vfio);
}

static enum shm_status set_up(
	struct vfio_doorbell *vfio, const struct device *device, struct vfio_region_info *memory)
{
	struct vfio_region_info registers;

	shm_try(bind_driver(device));
	shm_try(open_group(vfio, device));
	shm_try(enable_bus_master(vfio));
	shm_try(bar(vfio, VFIO_PCI_BAR0_REGION_INDEX, &registers));
	vfio->registers = registers.offset;
	shm_try(bar(vfio, VFIO_PCI_BAR2_REGION_INDEX, memory));
	if (!(memory->flags & VFIO_REGION_INFO_FLAG_MMAP))
		return shm_fail(SHM_SYSTEM, "the memory of %s cannot be mapped through VFIO",
			device->address);
	shm_try(learn_number(vfio, device));
	return connect_interrupt(vfio);
}

enum shm_status vfio_open(const struct device *device, struct doorbell **bell, int *memory_fd,
	uint64_t *memory_offset, uint64_t *memory_bytes)
{
	struct vfio_doorbell *vfio = malloc(sizeof(*vfio));
	struct vfio_region_info memory;
	enum shm_status status;

	if (!vfio)
		return shm_fail(SHM_SYSTEM, "out of memory");
	*vfio = (struct vfio_doorbell){.bell = {0, vfio_ring, vfio_wait, vfio_destroy},
		.container = -1,
		.group = -1,
		.device = -1,
		.event = -1};
	status = set_up(vfio, device, &memory);
	if (status != SHM_OK) {
		vfio_destroy(&vfio->bell);
		return status;
	}
	*bell = &vfio->bell;
	*memory_fd = vfio->device;
	*memory_offset = memory.offset;
	*memory_bytes = memory.size;
	return SHM_OK;
}
