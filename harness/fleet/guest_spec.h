/*
 * What a guest is made of, as plain data, and its form as libvirt domain XML: the only description
 * of a machine in fleetlab. Clones use the argument vector that libvirt makes of the same XML, so
 * both ways of starting give the same machine.
 */
#pragma once

#include "harness/base/error.h"
#include "harness/image/image.h"

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
	RAM_PRIVATE, /* anonymous memory of QEMU */
	RAM_SHARED,  /* a file mapped shared: guest_spec.ram_path */
	RAM_COPY,    /* the same file mapped privately, copied on write: clones */
};

struct nic_spec {
	const char *link;  /* a link of the lab */
	const char *model; /* QEMU's device name: "virtio-net-pci", "e1000" */
};

/* All strings are borrowed. "@GUEST@" in qemu_args is replaced by the guest's name. */
struct guest_spec {
	const char *name; /* letters, digits and '-', at most 10 */
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
};

/* The guest's own directory in the lab, for its sockets. Caller frees. */
char *guest_dir(const char *name);
/* Where a guest's log of this kind ("console", "qemu") is: through a link in the lab to the trial's
 * own directory, so that it outlives the lab however that ends. Caller frees. */
char *guest_log(const char *name, const char *kind);
/* Name of the tap of a guest's n-th NIC ("g0n0"), at most 15 characters; caller frees. */
char *guest_tap(const char *name, size_t nic);
/* MAC address of a guest's n-th NIC from the guest's number: locally administered, unique in the
 * lab. */
void guest_mac(unsigned int number, size_t nic, char mac[18]);

/* Domain XML for libvirt; caller frees. */
char *guest_xml(const struct guest_spec *spec);

/* The name that guest_xml() output carries in a template's argument vector instead of a real one.
 */
#define GUEST_PLACEHOLDER "@GUEST@"
