/* Domain XML of a guest: see guest_spec.h. Pure text; must not touch the host. */
#include "harness/fleet/guest_spec.h"
#include "harness/base/fs.h"
#include "harness/lab/lab.h"

#include <glib.h>
#include <string.h>

static bool is_template(const char *name)
{
	return strcmp(name, GUEST_PLACEHOLDER) == 0;
}

char *guest_seat(const char *name, unsigned int seat)
{
	if (is_template(name))
		return format_string("%s", GUEST_PLACEHOLDER GUEST_SEAT_PLACEHOLDER);
	return seat == 0 ? format_string("%s", name) : format_string("%s.%u", name, seat);
}

char *guest_dir(const char *name, unsigned int seat)
{
	_cleanup_free_ char *own = guest_seat(name, seat);

	return format_string("%s/g/%s", lab_dir(), own);
}

char *guest_log(const char *name, const char *kind)
{
	return format_string("%s/log/%s.%s", lab_dir(), name, kind);
}

char *guest_tap(const char *name, unsigned int seat, size_t nic)
{
	return format_string("%sn%zu%s", name, nic,
		is_template(name) ? GUEST_TAP_PLACEHOLDER
		: seat % 2 == 0	  ? ""
				  : "b");
}

void guest_mac(unsigned int number, size_t nic, char mac[18])
{
	snprintf(mac, 18, "52:54:%02x:%02x:%02x:%02x", (unsigned int)nic & 0xff,
		number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff);
}

static void put_word(FILE *out, const char *word)
{
	gchar *escaped = g_markup_escape_text(word, -1);

	fprintf(out, "    <qemu:arg value='%s'/>\n", escaped);
	g_free(escaped);
}

/* A word of an experiment, in which the guest's name may have a place. */
static void put_arg(FILE *out, const char *guest, const char *value)
{
	gchar **parts = g_strsplit(value, GUEST_PLACEHOLDER, -1);
	gchar *replaced = g_strjoinv(guest, parts);

	put_word(out, replaced);
	g_free(replaced);
	g_strfreev(parts);
}

static void __attribute__((format(printf, 3, 4)))
put_option(FILE *out, const char *option, const char *format, ...)
{
	gchar *value;
	va_list args;

	va_start(args, format);
	value = g_strdup_vprintf(format, args);
	va_end(args);
	put_word(out, option);
	put_word(out, value);
	g_free(value);
}

uint64_t guest_ram_bytes(const struct guest_spec *spec)
{
	bool tail = spec->movable && strcmp(spec->accelerator, "tcg") == 0;

	return spec->memory_bytes + (tail ? GUEST_RAM_TAIL_BYTES : 0);
}

char *guest_ram_object(const struct guest_spec *spec)
{
	const unsigned long long bytes = guest_ram_bytes(spec);

	if (spec->ram == RAM_PRIVATE)
		return format_string("memory-backend-ram,id=" GUEST_RAM_ID ",size=%llu", bytes);
	/* A device for RAM is a DAX one, which is mapped in steps of its huge pages. */
	return format_string("memory-backend-file,id=" GUEST_RAM_ID
			     ",mem-path=%s,size=%llu,share=%s%s",
		spec->ram_path, bytes, spec->ram == RAM_SHARED ? "on" : "off",
		spec->ram_path && strncmp(spec->ram_path, "/dev/", 5) == 0 ? ",align=2M" : "");
}

static void put_ram(FILE *out, const struct guest_spec *spec)
{
	_cleanup_free_ char *object = guest_ram_object(spec);
	const unsigned long long bytes = guest_ram_bytes(spec);

	if (spec->ram == RAM_PRIVATE && bytes == spec->memory_bytes)
		return;
	/* libvirt would round it up to a MiB. The last one given counts. */
	if (bytes != spec->memory_bytes)
		put_option(out, "-m", "size=%lluK", bytes >> 10);
	put_option(out, "-object", "%s", object);
	put_option(out, "-machine", "memory-backend=" GUEST_RAM_ID);
}

/* Two ports: the guest agent, and the control port by which a guest tells that a program is ready
 * or has ended (see fleet.h). libvirt must not see the agent's, or it would talk to it itself. */
static void put_ports(FILE *out, const char *dir)
{
	static const struct {
		const char *id, *file, *port;
	} ports[] = {
		{"agent", "agent.sock", "org.qemu.guest_agent.0"},
		{"control", "control.sock", "org.fleetlab.control.0"},
	};

	for (int i = 0; i < GUEST_PLUG_PORTS; i++)
		put_option(out, "-device",
			"pcie-root-port,id=plug%d,chassis=%d,addr=%#x,pref64-reserve=512M", i,
			64 + i, GUEST_SLOT_PLUG + i);
	put_option(out, "-device", "virtio-serial-pci,id=ports,addr=%#x", GUEST_SLOT_PORTS);
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		put_option(out, "-chardev", "socket,id=%s,path=%s/%s,server=on,wait=off",
			ports[i].id, dir, ports[i].file);
		put_option(out, "-device", "virtserialport,bus=ports.0,chardev=%s,name=%s",
			ports[i].id, ports[i].port);
	}
	put_option(out, "-chardev", "socket,id=flmon,path=%s/qmp.sock,server=on,wait=off", dir);
	put_option(out, "-mon", "chardev=flmon,mode=control");
}

static void put_nics(FILE *out, const struct guest_spec *spec)
{
	for (size_t i = 0; i < spec->nic_count; i++) {
		_cleanup_free_ char *tap = guest_tap(spec->name, spec->seat, i);
		char mac[18];

		guest_mac(spec->mac_number ? spec->mac_number : GUEST_TEMPLATE_MAC, i, mac);
		put_option(
			out, "-netdev", "tap,id=net%zu,ifname=%s,script=no,downscript=no", i, tap);
		put_option(out, "-device", "%s,id=nic%zu,netdev=net%zu,mac=%s,romfile=,addr=%#zx",
			spec->nics[i].model, i, i, mac, GUEST_SLOT_NIC + i);
	}
}

static void put_boot(FILE *out, const struct guest_spec *spec)
{
	const struct image *image = spec->image;

	fputs("  <os>\n    <type arch='x86_64' machine='q35'>hvm</type>\n", out);
	if (image->kernel) {
		/* pci=no_e820: SeaBIOS from 1.16.3 on has large BARs at the end of the address
		 * space, which under TCG QEMU tells the guest is reserved (HyperTransport); it
		 * would find no place there for a device plugged in later. */
		gchar *arguments = g_markup_printf_escaped("%s console=ttyS0 pci=no_e820%s%s%s",
			image->command_line ? image->command_line : "",
			/* With a second possible vCPU the guest would distrust the TSC, and its
			 * clock readings become slow and coarse; TCG's TSC is one clock for all. */
			strcmp(spec->accelerator, "tcg") == 0 ? " tsc=reliable" : "",
			spec->kernel_args ? " " : "", spec->kernel_args ? spec->kernel_args : "");
		gchar *files = g_markup_printf_escaped("    <kernel>%s</kernel>\n", image->kernel);

		fprintf(out, "%s    <cmdline>%s</cmdline>\n", files, arguments);
		g_free(files);
		g_free(arguments);
	}
	if (image->initrd) {
		gchar *initrd = g_markup_printf_escaped("    <initrd>%s</initrd>\n", image->initrd);

		fputs(initrd, out);
		g_free(initrd);
	}
	fputs("  </os>\n", out);
}

static void put_disk(FILE *out, const char *type, const char *file, char letter)
{
	gchar *disk = g_markup_printf_escaped("    <disk type='file' device='disk'>"
					      "<driver name='qemu' type='%s'/>"
					      "<source file='%s'/>"
					      "<target dev='vd%c' bus='virtio'/></disk>\n",
		type, file, letter);

	fputs(disk, out);
	g_free(disk);
}

static void put_devices(FILE *out, const struct guest_spec *spec, const char *dir)
{
	_cleanup_free_ char *log = guest_log(spec->name, "console");
	gchar *fixed = g_markup_printf_escaped(
		"  <devices>\n"
		"    <emulator>%s</emulator>\n"
		"    <controller type='usb' model='none'/>\n"
		"    <memballoon model='virtio'/>\n"
		"    <serial type='unix'><source mode='bind' path='%s/console.sock'/>"
		"<log file='%s' append='on'/></serial>\n",
		spec->emulator ? spec->emulator : "/usr/bin/qemu-system-x86_64", dir, log);

	fputs(fixed, out);
	g_free(fixed);
	if (spec->disk_overlay)
		put_disk(out, "qcow2", spec->disk_overlay, 'a');
	if (spec->data_disk)
		put_disk(out, "raw", spec->data_disk, spec->disk_overlay ? 'b' : 'a');
	fputs("  </devices>\n", out);
}

/* TCG makes a guest's atomic instructions atomic towards other processes only when the guest could
 * have a second vCPU (else `lock cmpxchg` becomes a plain load and store, and a mutex in memory
 * that two guests share is held by both). So it could have one more than it has. */
static unsigned int possible_vcpus(const struct guest_spec *spec)
{
	return strcmp(spec->accelerator, "tcg") == 0 && spec->vcpus == 1 ? 2 : spec->vcpus;
}

char *guest_xml(const struct guest_spec *spec)
{
	_cleanup_free_ char *dir = guest_dir(spec->name, spec->seat);
	_cleanup_free_ char *seat = guest_seat(spec->name, spec->seat);
	bool kvm = strcmp(spec->accelerator, "kvm") == 0;
	gchar *name = g_markup_escape_text(seat, -1);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	fprintf(out,
		"<domain type='%s' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
		"  <name>%s</name>\n"
		"  <memory unit='b'>%llu</memory>\n"
		"  <vcpu current='%u'>%u</vcpu>\n",
		kvm ? "kvm" : "qemu", name, (unsigned long long)spec->memory_bytes, spec->vcpus,
		possible_vcpus(spec));
	g_free(name);
	put_boot(out, spec);
	fprintf(out,
		"  <features><acpi/><apic/></features>\n"
		"  %s\n"
		"  <on_reboot>destroy</on_reboot>\n  <on_crash>destroy</on_crash>\n",
		kvm ? "<cpu mode='host-passthrough'/>"
		    : "<cpu mode='custom' match='exact' check='none'><model>qemu64</model></cpu>");
	put_devices(out, spec, dir);
	fputs("  <qemu:commandline>\n", out);
	put_ram(out, spec);
	put_ports(out, dir);
	put_nics(out, spec);
	for (size_t i = 0; spec->qemu_args && spec->qemu_args[i]; i++)
		put_arg(out, spec->name, spec->qemu_args[i]);
	/* Not libvirt's: two seats of one guest have the same, and libvirt would have none of it
	 * while it has not noticed that the earlier one has ended. The last one given counts. */
	if (spec->uuid)
		put_option(out, "-uuid", "%s", spec->uuid);
	if (spec->incoming)
		put_option(out, "-incoming", "defer");
	fputs("  </qemu:commandline>\n</domain>\n", out);
	fclose(out);
	return text;
}
