/*
 * An ivshmem-doorbell device through VFIO: its memory, and a doorbell whose rings are MSI-X
 * interrupts delivered to an eventfd. Needs an IOMMU in the guest (intel-iommu with intremap=on and
 * intel_iommu=on on the kernel's command line) and the modules vfio-pci and vfio_iommu_type1.
 */
#pragma once

#include "workloads/shm/device.h"
#include "workloads/shm/doorbell.h"

#include <stdint.h>

/*
 * Binds the device to vfio-pci where it is not, and opens it. `memory_fd` and `memory_offset` are
 * for mmap() of the region's `memory_bytes`; the fd belongs to the doorbell and lives as long.
 */
enum shm_status vfio_open(const struct device *device, struct doorbell **bell, int *memory_fd,
	uint64_t *memory_offset, uint64_t *memory_bytes);
