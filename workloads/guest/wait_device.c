/*
 * wait-device: returns when a PCI device that the host has plugged in is there. Sleeps on the
 * kernel's own announcements, so nothing is polled.
 */
#include "workloads/guest/command.h"
#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"

static unsigned long read_id(const char *device, const char *file)
{
	char path[300], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", device, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	return strtoul(text, NULL, 0);
}

static uint64_t count_devices(uint64_t vendor, uint64_t device)
{
	DIR *devices = opendir(DEVICES);
	const struct dirent *entry;
	uint64_t count = 0;

	while (devices && (entry = readdir(devices))) {
		if (entry->d_name[0] != '.' && read_id(entry->d_name, "vendor") == vendor &&
			read_id(entry->d_name, "device") == device)
			count++;
	}
	if (devices)
		closedir(devices);
	return count;
}

/* The kernel's announcements of devices, multicast group 1. */
static int open_announcements(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die_errno("cannot listen to the kernel's announcements");
	return fd;
}

void command_wait_device(int argc, char **argv)
{
	uint64_t vendor = 0x1af4, device = 0x1110, count = 1, deadline_ms = 10000, end;
	const struct option_row rows[] = {
		{"vendor", OPTION_NUMBER, &vendor, 0, 0xffff, "PCI vendor (0x1af4)"},
		{"device", OPTION_NUMBER, &device, 0, 0xffff, "PCI device (0x1110: ivshmem)"},
		{"count", OPTION_NUMBER, &count, 1, 255, "so many of them (1)"},
		{"deadline-ms", OPTION_NUMBER, &deadline_ms, 1, 3600000, "at most so long (10000)"},
		{0},
	};
	int fd;

	options_parse(rows, argc, argv);
	end = deadline_in_ms(deadline_ms);
	fd = open_announcements(); /* before the first look: none is missed */
	while (count_devices(vendor, device) < count) {
		uint64_t now = clock_now();
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		char announcement[8192];

		if (now >= end)
			die("no PCI device %04x:%04x came within %u ms", (unsigned int)vendor,
				(unsigned int)device, (unsigned int)deadline_ms);
		if (poll(&pfd, 1, (int)((end - now) / 1000000) + 1) > 0 &&
			read(fd, announcement, sizeof(announcement)) < 0 && errno != ENOBUFS)
			die_errno("cannot read the kernel's announcements");
	}
	close(fd);
	json_number("devices", count_devices(vendor, device));
	json_print();
}
