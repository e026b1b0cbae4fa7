/*
 * shm-poke: writes one word into a region, past the library and its manners, as a guest would that
 * may not. Whether it arrived is for the host to see.
 */
#include "workloads/guest/command.h"
#include "workloads/guest/json.h"
#include "workloads/shm/device.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void command_shm_poke(int argc, char **argv)
{
	uint64_t offset = 0, value = 0, device_number = 0;
	const struct option_row rows[] = {
		{"device", OPTION_NUMBER, &device_number, 0, 255, "which device, in PCI order (0)"},
		{"offset", OPTION_NUMBER, &offset, 0, UINT32_MAX,
			"where, in bytes, a multiple of 8"},
		{"value", OPTION_NUMBER, &value, 0, UINT64_MAX, "what"},
		{0},
	};
	struct device device;
	volatile uint64_t *word;
	char *memory;
	size_t size;
	int fd;

	options_parse(rows, argc, argv);
	offset &= ~UINT64_C(7);
	size = (offset / 4096 + 1) * 4096;
	if (device_find((unsigned int)device_number, &device) != SHM_OK ||
		device_open_memory(&device, &fd) != SHM_OK)
		die("%s", shm_message());
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die_errno("cannot map %zu bytes to write", size);
	word = (volatile uint64_t *)(void *)(memory + offset);
	*word = value;
	json_bool("arrived", *word == value);
	json_print();
}
