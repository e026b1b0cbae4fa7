/*
 * What a guest is made of, as plain data, and its form as libvirt domain XML: the only description
 * of a machine in fleetlab. Clones use the argument vector that libvirt makes of the same XML, so
 * both ways of starting give the same machine.
 */
#pragma once

#include "harness/base/error.h"
#include "harness/image/image.h"

#include <stdbool.h>
#include <stdint.h>

/* PCI slots on pcie.0 of what is given to QEMU beside libvirt's own devices, which take the low
 * ones: libvirt does not see these, so each needs a slot of its own. */
enum {
	GUEST_SLOT_NIC = 0x10,	/* + number of the NIC */
	GUEST_SLOT_PLUG = 0x14, /* + number of the port for plugged-in devices, "plug0", "plug1" */
	GUEST_SLOT_PORTS = 0x18,
	GUEST_PLUG_PORTS = 2,
};

enum guest_ram {
	RAM_PRIVATE, /* anonymous memory of QEMU; cannot be moved without copying */
	RAM_SHARED,  /* a file mapped shared: guest_spec.ram_path */
	RAM_COPY,    /* the same file mapped privately, copied on write: clones */
};

struct nic_spec {
	const char *link;  /* a link of the lab */
	const char *model; /* QEMU's device name: "virtio-net-pci", "e1000" */
};

/* All strings are borrowed. "@GUEST@" in qemu_args is replaced by the guest's name. */
struct guest_spec {
	const char *name;	 /* letters, digits and '-', at most 10 */
	unsigned int seat;	 /* how often it has been moved: see guest_seat() */
	unsigned int mac_number; /* for guest_mac(); 0: the template's, which a guest changes itself
				  */
	const char *uuid;	 /* NULL: any */
	const struct image *image;
	const char *emulator;	 /* path of QEMU; NULL: where distributions have it */
	const char *accelerator; /* "kvm" or "tcg" */
	uint64_t memory_bytes;	 /* a multiple of 1 MiB */
	unsigned int vcpus;
	enum guest_ram ram;
	const char *ram_path; /* for RAM_SHARED and RAM_COPY */
	const struct nic_spec *nics;
	size_t nic_count;
	const char *const *qemu_args; /* further arguments of QEMU, NULL-terminated; may be NULL */
	const char *kernel_args;      /* further words for the kernel command line; may be NULL */
	const char *disk_overlay; /* qcow2 over the image's disk; NULL when the image has none */
	const char *data_disk;	  /* raw virtio disk after that; may be NULL */
	bool incoming;		  /* waits for a migration instead of booting */
	bool movable;		  /* its RAM may be copied: see guest_ram_bytes() */
};

/* A seat is one QEMU of a guest: while it is moved, a guest has two, each with sockets and taps of
 * its own. "g0", after the first move "g0.1", and so on: what stacks call the guest, and unique in
 * a lab for ever. Caller frees. */
char *guest_seat(const char *name, unsigned int seat);
/* The seat's own directory in the lab, for its sockets. What outlives a move (RAM, disks) is in
 * that of seat 0. Caller frees. */
char *guest_dir(const char *name, unsigned int seat);
/* Where a guest's log of this kind ("console", "qemu") is: through a link in the lab to the trial's
 * own directory, so that it outlives the lab however that ends. Caller frees. */
char *guest_log(const char *name, const char *kind);
/* Name of the tap of a guest's n-th NIC ("g0n0"), at most 15 characters; odd seats have one of
 * their own ("g0n0b"), since two QEMUs cannot have the same open. Caller frees. */
char *guest_tap(const char *name, unsigned int seat, size_t nic);
/* MAC address of a guest's n-th NIC from the guest's number: locally administered, unique in the
 * lab. */
void guest_mac(unsigned int number, size_t nic, char mac[18]);

/* The template's number for guest_mac(). */
#define GUEST_TEMPLATE_MAC 0xffffffU

/* Domain XML for libvirt; caller frees. */
char *guest_xml(const struct guest_spec *spec);

/* A template's argument vector, made of the XML of a guest called GUEST_PLACEHOLDER, has this in
 * place of what is a guest's own: its name, and the endings that its seat gives to names of
 * directories and taps. */
#define GUEST_PLACEHOLDER "@GUEST@"
#define GUEST_SEAT_PLACEHOLDER "@SEAT@"
#define GUEST_TAP_PLACEHOLDER "@SIDE@"

/*
 * What QEMU is given for a guest's RAM: under TCG, where the guest may be moved, a little more.
 * While RAM is copied, QEMU clears the marks of pages that were written to in steps of 256 KiB, and
 * versions before 9.0 then forget to tell TCG, which goes on writing without marking: pages get
 * lost, and the guest panics at its target. They do it right, page by page, where a RAM's size is
 * no multiple of that step. (Mended in QEMU by commit 03bfc2188f06; docs/zerocopy.md has figures.)
 */
#define GUEST_RAM_TAIL_BYTES ((uint64_t)8 << 10)
uint64_t guest_ram_bytes(const struct guest_spec *spec);

/* The id of RAM in a file, and of what takes its place. */
#define GUEST_RAM_ID "ram0"
/* Value of "-object" for such RAM; caller frees. */
char *guest_ram_object(const struct guest_spec *spec);
