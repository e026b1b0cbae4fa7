/*
 * Finding ivshmem devices in sysfs. Reads and enables; binds nothing.
 */
#pragma once

#include <stdbool.h>

#include "workloads/shm/status.h"

#define DEVICE_ADDRESS_SIZE 16

struct device {
	char address[DEVICE_ADDRESS_SIZE]; /* as in 0000:00:03.0 */
	bool has_doorbell;		   /* ivshmem-doorbell rather than ivshmem-plain */
	bool has_driver;		   /* vfio-pci, as nothing else takes such a device */
};

/* The index-th ivshmem device in PCI order. The message of a failure says how many there are. */
enum shm_status device_find(unsigned int index, struct device *device);

/* Enables the device, which must have no driver, and opens its shared memory (BAR 2). */
enum shm_status device_open_memory(const struct device *device, int *fd);

/* Writes `text` to a file of the device's in sysfs. */
enum shm_status device_write(const struct device *device, const char *file, const char *text);
