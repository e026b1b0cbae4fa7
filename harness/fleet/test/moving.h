/* What tests of moves share: a fleet that can be moved, and how to tell that a guest is the same.
 */
#pragma once

#include "harness/fleet/fleet_move.h"
#include "harness/fleet/test/live.h"
#include "harness/host/qemu.h"

#include <ctype.h>
#include <dirent.h>

static const struct link_spec moving_links[] = {{"lan", "10.77.0.254/24", 0, 0}};
static const struct nic_spec moving_nics[] = {{"lan", "virtio-net-pci"}};

static struct fleet_spec movable(unsigned int count)
{
	return (struct fleet_spec){.image = {.kind = "tiny"},
		.count = count,
		.memory_bytes = 128 << 20,
		.vcpus = 1,
		.start = FLEET_TEMPLATE,
		.ram = RAM_SHARED,
		.disk_bytes = 16 << 20,
		.stack_count = 2,
		.links = moving_links,
		.link_count = 1,
		.nics = moving_nics,
		.nic_count = 1};
}

/* Whether the QEMU in PATH has cpr-transfer; guests must then be started with cpr_arguments. */
static const char *const cpr_arguments[] = {MOVE_CPR_ARGUMENTS, NULL};

static inline bool has_cpr(void)
{
	_cleanup_json_ json_t *features = NULL;

	assert_ok(qemu_features(QEMU_DEFAULT, LIVE_DEADLINE, &features));
	return qemu_has(features, "migration", QEMU_CPR_TRANSFER);
}

/* Leaves in a guest what must be there after a move: bytes in memory and on the disk with their
 * hash, and a program that counts. */
static inline void mark_guest(struct fleet *fleet, unsigned int guest)
{
	free(live_shell(fleet, guest,
		"cd /tmp; head -c 300000 /dev/urandom >a; sha256sum a >a.sum;"
		"dd if=a of=/dev/vda bs=64k conv=fsync 2>/dev/null;"
		"(i=0; while :; do i=$((i+1)); echo $i >n; mv n count; sleep 0.02; done) "
		">/dev/null 2>&1 & echo $! >pid"));
}

/* The same boot, the same bytes, the program runs on, the disk takes writes, the network answers.
 */
static inline void assert_marked(struct fleet *fleet, unsigned int guest)
{
	free(live_shell(fleet, guest,
		"ping -c 1 -W 5 10.77.0.254 || exit 5; cd /tmp; sha256sum -c a.sum && kill -0 "
		"$(cat pid) || exit 1;"
		"echo 3 >/proc/sys/vm/drop_caches; head -c 300000 /dev/vda >b; cmp a b || exit 2;"
		"head -c 300000 /dev/urandom >a; sha256sum a >a.sum;"
		"dd if=a of=/dev/vda bs=64k conv=fsync 2>/dev/null || exit 3;"
		"c=$(cat count); for i in $(seq 100); do [ $(cat count) -gt $c ] && exit 0; "
		"sleep 0.02; done; exit 4"));
}

/* How many QEMUs of a guest there are in the lab, in whatever seat. */
static inline unsigned int count_qemus(const char *name)
{
	_cleanup_free_ char *first = format_string("guest=%s,", name);
	_cleanup_free_ char *later = format_string("guest=%s.", name);
	DIR *proc = opendir("/proc");
	unsigned int count = 0;
	struct dirent *entry;

	assert_non_null(proc);
	while ((entry = readdir(proc))) {
		_cleanup_free_ char *path = format_string("/proc/%s/cmdline", entry->d_name);
		_cleanup_free_ char *words = NULL;
		size_t size = 0;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		error_destroy(fs_read(path, 1 << 20, &words, &size));
		if (words && (memmem(words, size, first, strlen(first)) ||
				     memmem(words, size, later, strlen(later))))
			count++;
	}
	closedir(proc);
	return count;
}

static inline void assert_one_qemu(struct fleet *fleet, unsigned int guest)
{
	assert_int_equal(count_qemus(fleet_guest_name(fleet, guest)), 1);
}

/* The bridge sends what is for this guest to this tap. */
static inline void assert_port_of(struct fleet *fleet, unsigned int guest, const char *tap)
{
	const char *const argv[] = {"bridge", "fdb", "show", "br", "lan", NULL};
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *wanted = NULL;
	char mac[18];

	guest_mac(fleet->guests[guest].number + 1, 0, mac);
	wanted = format_string("%s dev %s ", mac, tap);
	assert_ok(process_check(argv, NULL, deadline_after_ms(10000), &text));
	if (!strstr(text, wanted))
		fail_msg("no '%s' in:\n%s", wanted, text);
}

static inline pid_t find_qemu(const char *seat)
{
	_cleanup_free_ char *name = format_string("guest=%s,", seat);
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	assert_non_null(proc);
	while (!found && (entry = readdir(proc))) {
		_cleanup_free_ char *path = format_string("/proc/%s/cmdline", entry->d_name);
		_cleanup_free_ char *words = NULL;
		size_t size = 0;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		error_destroy(fs_read(path, 1 << 20, &words, &size));
		if (words && memmem(words, size, name, strlen(name)))
			found = atoi(entry->d_name);
	}
	closedir(proc);
	return found;
}

/* The QEMU of a guest that is not the one it runs in. */
static inline pid_t target_qemu(const struct fleet *fleet, const char *name)
{
	for (unsigned int i = 0; i < fleet->count; i++) {
		const struct guest *guest = &fleet->guests[i];
		_cleanup_free_ char *seat = NULL;

		if (strcmp(guest->name, name) != 0)
			continue;
		/* fleet_item_init() has taken two seats: the target's and the one back. */
		seat = guest_seat(name, guest->next_seat - 2);
		return find_qemu(seat);
	}
	return 0;
}
