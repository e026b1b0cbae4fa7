/* One guest of a fleet: what it is made of, and its start, cold or as a clone. */
#include "harness/fleet/fleet_internal.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/fleet/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>

struct error *guest_init(struct fleet *fleet, unsigned int number, const char *name)
{
	const struct fleet_spec *spec = &fleet->spec;
	struct guest *guest = &fleet->guests[number];
	gchar *uuid = g_uuid_string_random();

	*guest = (struct guest){
		.number = number, .next_seat = 1, .control_fd = -1, .ram = spec->ram};
	guest->uuid = format_string("%s", uuid);
	g_free(uuid);
	guest->name = name ? format_string("%s", name) : format_string("g%u", number);
	guest->seat = guest_seat(guest->name, 0);
	guest->dir = guest_dir(guest->name, 0);
	if (spec->start == FLEET_TEMPLATE && spec->ram == RAM_PRIVATE)
		guest->ram = RAM_COPY;
	if (guest->ram == RAM_SHARED)
		guest->ram_path = ram_file_path(spec->ram_backing, guest->seat);
	if (fleet->host.image->disk)
		guest->overlay = format_string("%s/disk.qcow2", guest->dir);
	if (spec->disk_bytes)
		guest->data_disk = format_string("%s/data.raw", guest->dir);
	return fs_make_dirs(guest->dir);
}

void guest_deinit(struct guest *guest)
{
	agent_close(guest->agent);
	cleanup_close(&guest->control_fd);
	free(guest->name);
	free(guest->seat);
	free(guest->dir);
	free(guest->uuid);
	free(guest->ram_path);
	free(guest->overlay);
	free(guest->data_disk);
}

uint64_t fleet_guest_memory(const struct fleet *fleet, unsigned int guest)
{
	const struct fleet_spec *spec = &fleet->spec;

	return spec->memory_bytes_each ? spec->memory_bytes_each[guest] : spec->memory_bytes;
}

struct guest_spec guest_spec_of(const struct fleet *fleet, const struct guest *guest)
{
	const struct fleet_spec *spec = &fleet->spec;

	return (struct guest_spec){
		.name = guest->name,
		.seat = guest->seat_number,
		.mac_number = guest->number + 1,
		.uuid = guest->uuid,
		.image = fleet->host.image,
		.emulator = fleet->emulator,
		.accelerator = fleet->host.accelerator,
		.memory_bytes = fleet_guest_memory(fleet, guest->number),
		.vcpus = spec->vcpus,
		.ram = guest->ram,
		.ram_path = guest->ram_path,
		.nics = spec->nics,
		.nic_count = spec->nic_count,
		.qemu_args = spec->qemu_args,
		.kernel_args = spec->kernel_args,
		.disk_overlay = guest->overlay,
		.data_disk = guest->data_disk,
		.movable = fleet_is_movable(spec),
	};
}

static struct error *create_overlay(const struct image *image, const char *overlay)
{
	const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-b", image->disk,
		"-F", image->disk_format, overlay, NULL};

	return process_check(argv, NULL, deadline_after_ms(30000), NULL);
}

static struct error *create_data_disk(const char *path, uint64_t bytes)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		return error_errno(errno, "cannot make the disk %s", path);
	return NULL;
}

static struct error *create_disks(const struct fleet *fleet, const struct guest *guest)
{
	if (guest->overlay)
		try_(create_overlay(fleet->host.image, guest->overlay));
	return guest->data_disk ? create_data_disk(guest->data_disk, fleet->spec.disk_bytes) : NULL;
}

struct error *start_cold(struct fleet *fleet, struct guest *guest, const struct guest_spec *spec)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_free_ char *xml = guest_xml(spec);

	try_(create_disks(fleet, guest));
	try_(stacks_connect(fleet, guest->stack, &stack));
	try_(stack_request(stack,
		json_pack("{s:s, s:s, s:s}", "op", "start", "name", guest->seat, "xml", xml),
		fleet->deadline, &answer));
	guest->pid = (pid_t)json_integer_value(json_object_get(answer, "pid"));
	return NULL;
}

const struct template *guest_template(
	const struct fleet *fleet, const struct guest *guest, unsigned int *number)
{
	const struct template *template = fleet->host.template;

	*number = 0;
	while (template->next &&
		template->memory_bytes != fleet_guest_memory(fleet, guest->number)) {
		template = template->next;
		++*number;
	}
	return template;
}

struct error *start_clone(struct fleet *fleet, struct guest *guest)
{
	struct guest_spec spec = guest_spec_of(fleet, guest);
	unsigned int number;
	const struct template *template = guest_template(fleet, guest, &number);
	_cleanup_free_ char *ram = format_string("/proc/self/fd/%u", STACK_RAM_FD + 2 * number);
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	_cleanup_json_ json_t *answer = NULL;

	try_(create_disks(fleet, guest));
	if (guest->ram == RAM_SHARED)
		try_(ram_copy(template->ram_fd, guest->ram_path, guest_ram_bytes(&spec)));
	else
		spec.ram_path = ram;
	try_(stacks_connect(fleet, guest->stack, &stack));
	try_(stack_request(stack,
		json_pack("{s:s, s:s, s:o, s:i}", "op", "clone", "name", guest->seat, "argv",
			clone_fill(template->argv, &spec), "template", (int)number),
		fleet->deadline, &answer));
	guest->pid = (pid_t)json_integer_value(json_object_get(answer, "pid"));
	return NULL;
}

/* Of a console that tells of a panic that line, else the last one; NULL: it is empty. */
static char *last_words(const char *name)
{
	_cleanup_free_ char *log = guest_log(name, "console");
	_cleanup_free_ char *text = fs_read_line(log);
	char *panic = text ? strstr(text, "Kernel panic") : NULL;
	char *last = text ? strrchr(text, '\n') : NULL;

	if (!text || !*text)
		return NULL;
	if (panic)
		panic[strcspn(panic, "\r\n")] = '\0';
	return format_string("%s", panic ? panic : last ? last + 1 : text);
}

char *fleet_guest_last_words(const struct fleet *fleet, unsigned int guest)
{
	return last_words(fleet->guests[guest].name);
}

struct error *meet(struct fleet *fleet, struct guest *guest)
{
	_cleanup_free_ char *agent = format_string("%s/agent.sock", guest->dir);
	_cleanup_free_ char *control = format_string("%s/control.sock", guest->dir);
	struct error *err = agent_open(agent, guest->name, fleet->deadline, &guest->agent);

	if (err) {
		_cleanup_free_ char *words = last_words(guest->name);

		err = error_prefix(err, "guest %s did not come up", guest->name);
		return words ? error_hint(err, "its console ends: %.300s", words) : err;
	}
	guest->answer_ns = clock_now_ns();
	return unix_connect(control, &guest->control_fd);
}
