/*
 * Makes a clone an individual: hostname, machine-id, entropy, clock, MAC and IP addresses, in one
 * exec and without child processes, as it stands between "clone runs" and "clone is ready". Must
 * not touch what it was not asked to.
 */
#include "workloads/guest/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

#define INTERFACES_MAX 8
#define ENTROPY_MAX 512

struct interface {
	const char *name;
	const char *mac;
	const char *address;
};

struct wishes {
	const char *name, *machine_id, *entropy, *time;
	struct interface interfaces[INTERFACES_MAX];
	size_t interface_count;
	uint64_t wait_ms;
};

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t length = strlen(text);

	if (fd < 0)
		die_errno("cannot open %s", path);
	if (write(fd, text, length) != (ssize_t)length || write(fd, "\n", 1) != 1)
		die_errno("cannot write %s", path);
	close(fd);
}

static void set_machine_id(const char *id)
{
	if (strlen(id) != 32 || strspn(id, "0123456789abcdef") != 32)
		die("--machine-id: '%s' is not 32 lower-case hexadecimal digits", id);
	write_file("/etc/machine-id", id);
}

static void set_name(const char *name)
{
	if (!*name || strlen(name) > 63)
		die("--name: '%s' is not a host name of 1 to 63 characters", name);
	if (sethostname(name, strlen(name)) < 0)
		die_errno("cannot set the host name to %s", name);
	write_file("/etc/hostname", name);
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *found = c ? strchr(digits, c | 0x20) : NULL;

	return found ? (int)(found - digits) : -1;
}

static void add_entropy(const char *hex)
{
	union {
		struct rand_pool_info info;
		char space[sizeof(struct rand_pool_info) + ENTROPY_MAX];
	} pool;
	unsigned char *bytes = (unsigned char *)pool.space + sizeof(struct rand_pool_info);
	size_t digits = strlen(hex);
	int fd;

	if (!digits || digits % 2 || digits / 2 > ENTROPY_MAX)
		die("--entropy: wants 2 to %d hexadecimal digits, an even number", 2 * ENTROPY_MAX);
	for (size_t i = 0; i < digits / 2; i++) {
		int high = hex_digit(hex[2 * i]);
		int low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			die("--entropy: there is a character that is no hexadecimal digit");
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	pool.info.buf_size = (int)(digits / 2);
	pool.info.entropy_count = (int)(digits / 2 * 8);
	fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		die_errno("cannot open /dev/urandom");
	if (ioctl(fd, RNDADDENTROPY, &pool.info) < 0)
		die_errno("cannot add entropy");
	/* Adding alone leaves the generator's key, which all clones share, in use for a while. */
	if (ioctl(fd, RNDRESEEDCRNG) < 0)
		die_errno("cannot reseed the kernel's random number generator");
	close(fd);
}

static void set_clock(const char *text)
{
	char *end;
	char *fraction_end;
	struct timespec time = {0};
	char nanoseconds[10] = "000000000";

	errno = 0;
	time.tv_sec = strtoll(text, &end, 10);
	if (errno || end == text || time.tv_sec < 0 || (*end && *end != '.'))
		die("--time: '%s' is not SECONDS.NANOSECONDS", text);
	if (*end == '.') {
		size_t digits = strspn(end + 1, "0123456789");

		if (!digits || digits > 9 || end[1 + digits])
			die("--time: '%s' is not SECONDS.NANOSECONDS", text);
		memcpy(nanoseconds, end + 1, digits);
		time.tv_nsec = strtol(nanoseconds, &fraction_end, 10);
	}
	if (clock_settime(CLOCK_REALTIME, &time) < 0)
		die_errno("cannot set the clock to %s", text);
}

/* A NIC plugged into a running clone needs a moment: its arrival is awaited, not polled for. */
static void wait_for_interface(const char *name, uint64_t wait_ms)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	uint64_t deadline = clock_now() + wait_ms * 1000000;
	struct pollfd poller = {.events = POLLIN};

	if (if_nametoindex(name))
		return;
	poller.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (poller.fd < 0 || bind(poller.fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die_errno("cannot listen for new network interfaces");
	while (!if_nametoindex(name)) {
		char message[8192];
		uint64_t now = clock_now();

		if (now >= deadline)
			die("there is no network interface %s (waited %llu ms)", name,
				(unsigned long long)wait_ms);
		if (poll(&poller, 1, (int)((deadline - now) / 1000000) + 1) > 0 &&
			recv(poller.fd, message, sizeof(message), 0) < 0 && errno != ENOBUFS)
			die_errno("cannot listen for new network interfaces");
	}
	close(poller.fd);
}

static void parse_mac(const char *text, struct sockaddr *address)
{
	unsigned int bytes[6];
	char rest;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &bytes[0], &bytes[1], &bytes[2], &bytes[3],
		    &bytes[4], &bytes[5], &rest) != 6)
		die("--mac: '%s' is not a MAC address such as 52:54:00:12:34:56", text);
	if (bytes[0] & 1)
		die("--mac: '%s' is a multicast address", text);
	address->sa_family = ARPHRD_ETHER;
	for (size_t i = 0; i < 6; i++)
		address->sa_data[i] = (char)bytes[i];
}

static void parse_address(const char *text, struct in_addr *address, struct in_addr *mask)
{
	char copy[INET_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	uint64_t prefix;

	if (!slash || (size_t)(slash - text) >= sizeof(copy))
		die("--address: '%s' is not an IPv4 address with a prefix such as 10.0.0.2/24",
			text);
	memcpy(copy, text, (size_t)(slash - text));
	copy[slash - text] = '\0';
	if (inet_pton(AF_INET, copy, address) != 1)
		die("--address: '%s' is not an IPv4 address", copy);
	prefix = parse_number("--address: the prefix", slash + 1, 0, 32);
	mask->s_addr = prefix ? htonl(~0U << (32 - prefix)) : 0;
}

static void change(int fd, unsigned long request, struct ifreq *wanted, const char *what)
{
	if (ioctl(fd, request, wanted) < 0)
		die_errno("interface %s: cannot set its %s", wanted->ifr_name, what);
}

static void set_flag_up(int fd, struct ifreq *request, bool up)
{
	if (ioctl(fd, SIOCGIFFLAGS, request) < 0)
		die_errno("interface %s: cannot read its flags", request->ifr_name);
	if (up == !!(request->ifr_flags & IFF_UP))
		return;
	request->ifr_flags ^= IFF_UP;
	change(fd, SIOCSIFFLAGS, request, "state");
}

static void configure_interface(const struct interface *wanted, uint64_t wait_ms)
{
	struct ifreq request = {0};
	struct in_addr address;
	struct in_addr mask;
	int fd;

	if (!wanted->name)
		die("--mac and --address need --interface");
	if (strlen(wanted->name) >= sizeof(request.ifr_name))
		die("--interface: '%s' is too long for an interface name", wanted->name);
	wait_for_interface(wanted->name, wait_ms);
	strcpy(request.ifr_name, wanted->name);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die_errno("cannot open a socket");
	if (wanted->mac) {
		parse_mac(wanted->mac, &request.ifr_hwaddr);
		/* Some drivers refuse to change the address of an interface that is up. */
		if (ioctl(fd, SIOCSIFHWADDR, &request) < 0) {
			set_flag_up(fd, &request, false);
			parse_mac(wanted->mac, &request.ifr_hwaddr);
			change(fd, SIOCSIFHWADDR, &request, "MAC address");
		}
	}
	if (wanted->address) {
		parse_address(wanted->address, &address, &mask);
		request.ifr_addr = (struct sockaddr){0};
		((struct sockaddr_in *)&request.ifr_addr)->sin_family = AF_INET;
		((struct sockaddr_in *)&request.ifr_addr)->sin_addr = address;
		change(fd, SIOCSIFADDR, &request, "address");
		((struct sockaddr_in *)&request.ifr_netmask)->sin_addr = mask;
		change(fd, SIOCSIFNETMASK, &request, "netmask");
	}
	set_flag_up(fd, &request, true);
	close(fd);
}

/* The interface a --interface, --mac or --address belongs to: one that lacks it still, or the next.
 */
static struct interface *group_for(struct wishes *wishes, size_t offset)
{
	struct interface *last;

	if (wishes->interface_count) {
		last = &wishes->interfaces[wishes->interface_count - 1];
		if (!*(const char **)((char *)last + offset))
			return last;
	}
	if (wishes->interface_count == INTERFACES_MAX)
		die("more than %d interfaces", INTERFACES_MAX);
	return &wishes->interfaces[wishes->interface_count++];
}

static void parse(struct wishes *wishes, int argc, char **argv)
{
	const char *interface = NULL, *mac = NULL, *address = NULL;
	const struct option_row rows[] = {
		{"name", OPTION_TEXT, &wishes->name, 0, 0, "host name"},
		{"machine-id", OPTION_TEXT, &wishes->machine_id, 0, 0, "for /etc/machine-id"},
		{"entropy", OPTION_TEXT, &wishes->entropy, 0, 0, "hexadecimal, to reseed from"},
		{"time", OPTION_TEXT, &wishes->time, 0, 0, "SECONDS.NANOSECONDS since 1970"},
		{"interface", OPTION_TEXT, &interface, 0, 0, "one to bring up (repeatable)"},
		{"mac", OPTION_TEXT, &mac, 0, 0, "its MAC address"},
		{"address", OPTION_TEXT, &address, 0, 0, "its IPv4 address and prefix"},
		{"wait-ms", OPTION_NUMBER, &wishes->wait_ms, 0, 600000,
			"how long an interface may take to appear (default 5000)"},
		{0},
	};

	/* One option at a time, as the repeatable ones are grouped by their order. */
	for (int i = 1; i < argc; i++) {
		char *one[] = {argv[0], argv[i], i + 1 < argc ? argv[i + 1] : NULL};
		bool joined = strchr(argv[i], '=') || strcmp(argv[i], "--help") == 0;

		interface = mac = address = NULL;
		options_parse(rows, joined || !one[2] ? 2 : 3, one);
		if (!joined)
			i++;
		if (interface)
			group_for(wishes, offsetof(struct interface, name))->name = interface;
		if (mac)
			group_for(wishes, offsetof(struct interface, mac))->mac = mac;
		if (address)
			group_for(wishes, offsetof(struct interface, address))->address = address;
	}
}

void command_personalise(int argc, char **argv)
{
	uint64_t start = clock_now();
	struct wishes wishes = {.wait_ms = 5000};

	parse(&wishes, argc, argv);
	if (wishes.entropy)
		add_entropy(wishes.entropy);
	if (wishes.time)
		set_clock(wishes.time);
	if (wishes.name)
		set_name(wishes.name);
	if (wishes.machine_id)
		set_machine_id(wishes.machine_id);
	for (size_t i = 0; i < wishes.interface_count; i++)
		configure_interface(&wishes.interfaces[i], wishes.wait_ms);
	json_bool("personalised", true);
	json_number("interfaces", wishes.interface_count);
	json_number("elapsed_ns", clock_now() - start);
	json_print();
}
