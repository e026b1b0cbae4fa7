/* Shared-memory devices move along: see shared_devices.h. Must never write to a guest that runs. */
#include "harness/fleet/shared_devices.h"
#include "harness/base/fs.h"

#include <linux/pci_regs.h>
#include <string.h>

/* QEMU, docs/specs/ivshmem-spec: vendor, device, and which BAR is the region. */
enum { IVSHMEM_VENDOR = 0x1af4, IVSHMEM_DEVICE = 0x1110, IVSHMEM_REGION_BAR = 2 };

/* The guest that is asked or provided for. */
struct peer {
	struct stack *stack;
	const char *guest;
	struct deadline deadline;
};

/* One monitor command; takes `arguments` over. `result` may be NULL. */
static struct error *ask(
	const struct peer *peer, const char *command, json_t *arguments, json_t **result)
{
	_cleanup_json_ json_t *answer = NULL;

	try_(stack_request(peer->stack,
		json_pack("{s:s, s:s, s:s, s:o*}", "op", "qmp", "name", peer->guest, "command",
			command, "arguments", arguments),
		peer->deadline, &answer));
	if (result)
		*result = json_incref(json_object_get(answer, "result"));
	return NULL;
}

static struct error *bad_answer(const struct peer *peer, const char *what)
{
	return error_new(ERROR_GUEST, "QEMU of %s tells nothing useful of %s", peer->guest, what);
}

static struct error *ask_property(
	const struct peer *peer, const char *path, const char *property, json_t **value)
{
	return ask(peer, "qom-get", json_pack("{s:s, s:s}", "path", path, "property", property),
		value);
}

/* As ask_property(), into the member `name` of an object, which must be of `type`. */
static struct error *copy_property(const struct peer *peer, const char *path, const char *property,
	json_type type, json_t *object, const char *name)
{
	_cleanup_json_ json_t *value = NULL;

	try_(ask_property(peer, path, property, &value));
	if (!value || (json_typeof(value) != type &&
			      !(type == JSON_TRUE && json_typeof(value) == JSON_FALSE)))
		return bad_answer(peer, path);
	json_object_set(object, name, value);
	return NULL;
}

/* ---- what the source has ---- */

/* Where the walk over query-pci is, and what it has found. */
struct walk {
	const struct peer *peer;
	const char *port; /* QEMU's name of the bridge whose bus this is; NULL: the root bus */
	const json_t *ports;
	json_t *devices;
};

/* ivshmem-plain: the region is a memory backend. */
static struct error *describe_plain(const struct peer *peer, const char *path, json_t *found)
{
	_cleanup_json_ json_t *link = NULL;
	_cleanup_free_ char *memory = NULL;
	json_t *device = json_object_get(found, "device");
	json_t *backend = json_object_get(found, "backend");
	const char *object, *id;

	try_(ask_property(peer, path, "memdev", &link));
	object = json_string_value(link);
	id = object ? strrchr(object, '/') : NULL;
	if (!id)
		return bad_answer(peer, path);
	memory = format_string("%s/%s[0]", object, id + 1);
	json_object_set_new(found, "command", json_string("object-add"));
	json_object_set_new(found, "memory", json_string(memory));
	json_object_set_new(device, "memdev", json_string(id + 1));
	json_object_set_new(backend, "id", json_string(id + 1));
	try_(copy_property(peer, object, "type", JSON_STRING, backend, "qom-type"));
	try_(copy_property(peer, object, "mem-path", JSON_STRING, backend, "mem-path"));
	try_(copy_property(peer, object, "size", JSON_INTEGER, backend, "size"));
	try_(copy_property(peer, object, "share", JSON_TRUE, backend, "share"));
	return copy_property(peer, object, "readonly", JSON_TRUE, backend, "readonly");
}

/* ivshmem-doorbell: the region comes by the socket of a server, which must know by this socket that
 * it is the same peer again. */
static struct error *describe_doorbell(const struct peer *peer, const char *path, json_t *found)
{
	_cleanup_free_ char *memory = format_string("%s/ivshmem.bar2[0]", path);
	_cleanup_free_ char *chardev = NULL;
	_cleanup_json_ json_t *address = NULL;
	json_t *device = json_object_get(found, "device");
	json_t *backend = json_object_get(found, "backend");
	const char *id, *socket;

	try_(copy_property(peer, path, "chardev", JSON_STRING, device, "chardev"));
	try_(copy_property(peer, path, "vectors", JSON_INTEGER, device, "vectors"));
	id = json_string_value(json_object_get(device, "chardev"));
	chardev = format_string("/chardevs/%s", id);
	try_(ask_property(peer, chardev, "addr", &address));
	socket = json_string_value(json_object_get(address, "path"));
	if (!socket)
		return bad_answer(peer, chardev);
	json_object_set_new(found, "command", json_string("chardev-add"));
	json_object_set_new(found, "memory", json_string(memory));
	json_object_set_new(backend, "id", json_string(id));
	json_object_set_new(backend, "backend",
		json_pack("{s:s, s:{s:{s:s, s:{s:s}}, s:b}}", "type", "socket", "data", "addr",
			"type", "unix", "data", "path", socket, "server", 0));
	return NULL;
}

/* QEMU: "Migration is disabled when using feature 'peer mode' in device 'ivshmem'". */
static struct error *check_master(const struct peer *peer, const char *id, const json_t *device)
{
	const char *master = json_string_value(json_object_get(device, "master"));

	if (strcmp(master, "on") == 0)
		return NULL;
	return error_hint(
		error_new(ERROR_USAGE, "the shared memory '%s' of guest %s cannot move (master=%s)",
			id, peer->guest, master),
		"plug it in with master=on");
}

/* One ivshmem device, whose place `item` of query-pci tells. */
static struct error *describe(struct walk *walk, const char *id, const json_t *item)
{
	_cleanup_free_ char *path = format_string("/machine/peripheral/%s", id);
	_cleanup_free_ char *addr = NULL;
	_cleanup_json_ json_t *found = NULL;
	json_t *device =
		json_pack("{s:s, s:s}", "id", id, "bus", walk->port ? walk->port : "pcie.0");
	int bus, slot, function;
	const char *driver;

	found = json_pack("{s:o, s:{}, s:O}", "device", device, "backend", "ports", walk->ports);
	if (json_unpack((json_t *)item, "{s:i, s:i, s:i}", "bus", &bus, "slot", &slot, "function",
		    &function) < 0)
		return bad_answer(walk->peer, id);
	addr = format_string("%x.%x", slot, function);
	json_object_set_new(device, "addr", json_string(addr));
	json_object_set_new(found, "bus", json_integer(bus));
	json_object_set_new(found, "slot", json_integer(slot));
	json_object_set_new(found, "function", json_integer(function));
	try_(copy_property(walk->peer, path, "type", JSON_STRING, device, "driver"));
	try_(copy_property(walk->peer, path, "master", JSON_STRING, device, "master"));
	try_(check_master(walk->peer, id, device));
	driver = json_string_value(json_object_get(device, "driver"));
	try_(strcmp(driver, "ivshmem-plain") == 0 ? describe_plain(walk->peer, path, found)
						  : describe_doorbell(walk->peer, path, found));
	try_(copy_property(walk->peer, json_string_value(json_object_get(found, "memory")), "addr",
		JSON_INTEGER, found, "address"));
	json_array_append(walk->devices, found);
	return NULL;
}

static struct error *walk_bus(struct walk *walk, const json_t *items);

static struct error *walk_bridge(struct walk *walk, const char *id, json_t *item)
{
	_cleanup_json_ json_t *ports = json_copy((json_t *)walk->ports);
	struct walk below = *walk;
	int bus, slot, function, primary, secondary, subordinate;
	json_t *devices;

	if (json_unpack(item, "{s:i, s:i, s:i, s:{s:{s:i, s:i, s:i}, s:o}}", "bus", &bus, "slot",
		    &slot, "function", &function, "pci_bridge", "bus", "number", &primary,
		    "secondary", &secondary, "subordinate", &subordinate, "devices", &devices) < 0)
		return NULL; /* nothing behind it */
	json_array_append_new(
		ports, json_pack("{s:i, s:i, s:i, s:i}", "bus", bus, "slot", slot, "function",
			       function, "numbers", primary | secondary << 8 | subordinate << 16));
	below.port = id;
	below.ports = ports;
	return walk_bus(&below, devices);
}

static struct error *walk_bus(struct walk *walk, const json_t *items)
{
	json_t *item;
	size_t i;

	json_array_foreach (items, i, item) {
		const char *id = "";
		int vendor = 0, device = 0;

		json_unpack(item, "{s?s, s?{s?i, s?i}}", "qdev_id", &id, "id", "vendor", &vendor,
			"device", &device);
		if (vendor == IVSHMEM_VENDOR && device == IVSHMEM_DEVICE)
			try_(describe(walk, id, item));
		else
			try_(walk_bridge(walk, id, item));
	}
	return NULL;
}

struct error *shared_devices_describe(
	struct stack *source, const char *guest, struct deadline deadline, json_t **devices)
{
	const struct peer peer = {source, guest, deadline};
	_cleanup_json_ json_t *buses = NULL;
	_cleanup_json_ json_t *ports = json_array();
	_cleanup_json_ json_t *found = json_array();
	struct walk walk = {.peer = &peer, .ports = ports, .devices = found};
	json_t *bus;
	size_t i;

	try_(ask(&peer, "query-pci", NULL, &buses));
	json_array_foreach (buses, i, bus)
		try_(walk_bus(&walk, json_object_get(bus, "devices")));
	*devices = take_ptr(found);
	return NULL;
}

/* ---- what the target gets ---- */

/* A port write by the human monitor, which answers nothing when it is fine. */
static struct error *write_port(const struct peer *peer, unsigned int port, uint32_t value)
{
	_cleanup_free_ char *line = format_string("o /w %#x %#x", port, value);
	_cleanup_json_ json_t *said = NULL;

	try_(ask(peer, "human-monitor-command", json_pack("{s:s}", "command-line", line), &said));
	if (json_string_length(said) > 0)
		return error_new(ERROR_GUEST, "QEMU of %s refused '%s': %s", peer->guest, line,
			json_string_value(said));
	return NULL;
}

/* Writes a 32-bit register of the function at `place` {bus, slot, function}: PCI Local Bus
 * Specification 3.0, section 3.2.2.3.2. */
static struct error *write_config(
	const struct peer *peer, const json_t *place, unsigned int offset, uint32_t value)
{
	int bus, slot, function;

	if (json_unpack((json_t *)place, "{s:i, s:i, s:i}", "bus", &bus, "slot", &slot, "function",
		    &function) < 0)
		return error_new(ERROR_INTERNAL, "a device of %s has no place", peer->guest);
	try_(write_port(peer, 0xcf8,
		1U << 31 | (uint32_t)bus << 16 | (uint32_t)slot << 11 | (uint32_t)function << 8 |
			offset));
	return write_port(peer, 0xcfc, value);
}

/* Leads the configuration cycles to the device's bus and puts its region where the source's is. */
static struct error *place(const struct peer *peer, const json_t *device, uint64_t address)
{
	const unsigned int bar = PCI_BASE_ADDRESS_0 + 4 * IVSHMEM_REGION_BAR;
	json_t *port;
	size_t i;

	json_array_foreach (json_object_get(device, "ports"), i, port)
		try_(write_config(peer, port, PCI_PRIMARY_BUS,
			(uint32_t)json_integer_value(json_object_get(port, "numbers"))));
	if (!address)
		return NULL;
	try_(write_config(peer, device, bar, (uint32_t)address));
	try_(write_config(peer, device, bar + 4, (uint32_t)(address >> 32)));
	/* The status in the upper half only takes ones. */
	return write_config(peer, device, PCI_COMMAND, PCI_COMMAND_MEMORY);
}

static struct error *provide(const struct peer *peer, const json_t *device)
{
	_cleanup_json_ json_t *there = NULL;
	const char *command, *memory, *id;
	json_t *arguments, *backend;
	json_int_t address;

	if (json_unpack((json_t *)device, "{s:s, s:o, s:o, s:s, s:I}", "command", &command,
		    "backend", &backend, "device", &arguments, "memory", &memory, "address",
		    &address) < 0 ||
		json_unpack(arguments, "{s:s}", "id", &id) < 0)
		return error_new(ERROR_INTERNAL, "the description of a device of %s is incomplete",
			peer->guest);
	try_(ask(peer, command, json_incref(backend), NULL));
	try_(ask(peer, "device_add", json_incref(arguments), NULL));
	try_(place(peer, device, (uint64_t)address));
	try_(ask_property(peer, memory, "addr", &there));
	if (json_integer_value(there) == address)
		return NULL;
	return error_new(ERROR_GUEST,
		"the shared memory '%s' of guest %s lies at %#llx in the target, at %#llx in the "
		"source",
		id, peer->guest, (unsigned long long)json_integer_value(there),
		(unsigned long long)address);
}

struct error *shared_devices_provide(
	struct stack *target, const char *guest, const json_t *devices, struct deadline deadline)
{
	const struct peer peer = {target, guest, deadline};
	json_t *device;
	size_t i;

	json_array_foreach (devices, i, device) {
		struct error *err = provide(&peer, device);

		if (err)
			return error_prefix(err,
				"cannot give the shared memory of guest %s to the target", guest);
	}
	return NULL;
}
