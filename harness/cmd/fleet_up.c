/* fleetlab fleet up: boots a fleet in a lab of its own, which goes on when the command ends. */
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/cmd/fleet_control.h"
#include "harness/cmd/fleet_words.h"
#include "harness/engine/resources.h"
#include "harness/host/accelerator.h"
#include "harness/host/facts.h"
#include "harness/host/qemu.h"
#include "harness/lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define UP_TIMEOUT_MS 300000

/* What the body of a fleet's lab works on; inherited by fork. */
struct up_job {
	const struct fleet_spec *spec;
	struct fleet_host host;
	const json_t *about;
	int out_fd, listen_fd;
	bool make_template;
};

static struct error *serve_fleet(struct up_job *job, struct fleet **fleet)
{
	struct deadline deadline = deadline_after_ms(UP_TIMEOUT_MS);

	if (job->make_template) {
		json_t *argv;

		try_(fleet_make_template(job->spec, &job->host, deadline, &argv));
		return jsonline_send(job->out_fd, json_pack("{s:o}", "template", argv), "fleet up");
	}
	try_(fleet_open(job->spec, &job->host, deadline, fleet));
	lab_settle();
	return jsonline_send(
		job->out_fd, json_pack("{s:f}", "ready_s", fleet_ready_s(*fleet)), "fleet up");
}

static int up_body(void *context)
{
	struct up_job *job = context;
	struct fleet *fleet = NULL;
	struct error *err;

	err = serve_fleet(job, &fleet);
	if (err) {
		json_t *line = json_object();

		jsonline_put_error(line, err);
		error_destroy(jsonline_send(job->out_fd, line, "fleet up"));
		error_destroy(err);
		return 1;
	}
	close(job->out_fd);
	if (job->make_template)
		return 0;
	err = fleet_control_serve(job->listen_fd, fleet, job->about);
	error_destroy(err);
	return 1;
}

static struct error *note_init(const json_t *about, pid_t init)
{
	_cleanup_free_ char *note =
		fleet_control_note(json_string_value(json_object_get(about, "fleet")));
	_cleanup_free_ char *text = format_string("%d\n", (int)init);

	return fs_write_atomic(note, text, strlen(text));
}

/* Opens a lab with up_body() and waits for its one line. A detached lab stays when this returns. */
static struct error *open_fleet_lab(struct up_job *job, bool detached, json_t **answer)
{
	struct lab_options options = {
		.name = "lab",
		.detached = detached,
		.mask_kvm = strcmp(job->host.accelerator, "kvm") != 0,
		.body = up_body,
		.context = job,
	};
	struct lab lab = {.alive_fd = -1};
	_cleanup_(jsonline_deinit) struct jsonline reader = {0};
	_cleanup_json_ json_t *line = NULL;
	struct error *err;
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create a pipe");
	job->out_fd = pair[1];
	reader.fd = pair[0];
	err = lab_open(&options, &lab);
	close(pair[1]);
	if (!err)
		err = jsonline_receive(
			&reader, "the fleet", deadline_after_ms(UP_TIMEOUT_MS), &line);
	close(pair[0]);
	if (!err && !line)
		err = error_new(ERROR_SETUP, "the fleet's lab ended at once");
	if (!err)
		err = jsonline_error(line, ERROR_GUEST);
	if (err || !detached)
		lab_kill(&lab);
	else
		err = note_init(job->about, lab.init_pid);
	if (!err)
		*answer = take_ptr(line);
	return err;
}

static struct error *check_memory(unsigned int count, uint64_t memory_bytes)
{
	uint64_t available, need = count * (memory_bytes + ((uint64_t)48 << 20));

	if (!host_meminfo("MemAvailable", &available) || need <= available)
		return NULL;
	return error_hint(
		error_new(ERROR_SETUP, "%u guests need %llu MiB of memory, %llu MiB are free",
			count, (unsigned long long)need >> 20, (unsigned long long)available >> 20),
		"fewer guests, or --memory with less for each");
}

static struct error *boot_fleet(const struct fleet_words *words, struct fleet_spec *spec,
	struct resources *resources, int listen_fd)
{
	struct up_job job = {.spec = spec, .listen_fd = listen_fd};
	_cleanup_json_ json_t *about = NULL;
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_json_ json_t *made = NULL;
	struct template *template = NULL;
	bool is_new = false;

	job.host.accelerator = resources_accelerator(resources);
	try_(resources_image(resources, &spec->image, &job.host.image));
	if (spec->memory_bytes < job.host.image->memory_min_bytes)
		return error_hint(
			error_new(ERROR_USAGE, "image %s needs %llu MiB, --memory gives %llu MiB",
				job.host.image->name,
				(unsigned long long)job.host.image->memory_min_bytes >> 20,
				(unsigned long long)spec->memory_bytes >> 20),
			"--memory %lluM",
			(unsigned long long)job.host.image->memory_min_bytes >> 20);
	if (job.host.image->disk)
		spec->start = FLEET_COLD;
	if (spec->start == FLEET_TEMPLATE) {
		try_(resources_template(resources, spec, spec->memory_bytes, &template, &is_new));
		job.host.template = template;
		job.make_template = true;
		try_(open_fleet_lab(&job, false, &made));
		template->argv = json_incref(json_object_get(made, "template"));
		job.make_template = false;
	}
	about = json_pack("{s:s, s:s, s:I, s:s, s:b, s:i}", "fleet", words->name, "image",
		words->image, "memory_bytes", (json_int_t)spec->memory_bytes, "accelerator",
		job.host.accelerator, "movable", words->movable, "vcpus", (int)spec->vcpus);
	job.about = about;
	try_(open_fleet_lab(&job, true, &answer));
	log_info("%u guest%s ready in %.2f s (g0 … g%u), image %s, %s", spec->count,
		spec->count == 1 ? "" : "s", json_number_value(json_object_get(answer, "ready_s")),
		spec->count - 1, words->image,
		spec->start == FLEET_TEMPLATE ? "clones of a template" : "cold boots");
	return NULL;
}

static struct error *claim_name(const char *name, int *listen_fd)
{
	_cleanup_free_ char *path = fleet_control_path(name);
	_cleanup_free_ char *dir = format_string("%.*s", (int)(strrchr(path, '/') - path), path);
	size_t removed;
	int fd;

	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name) || !name[0] ||
		strlen(name) > 40)
		return error_hint(
			error_new(ERROR_USAGE, "--name '%s' cannot be a fleet's name", name),
			"lower-case letters, digits and '-', at most 40: --name web-1");
	try_(fs_make_dirs(dir));
	try_(fleet_control_sweep(&removed));
	struct error *err = unix_connect(path, &fd);

	if (!err) {
		close(fd);
		return error_hint(error_new(ERROR_USAGE, "fleet '%s' is running already", name),
			"fleetlab fleet down --name %s, or another --name", name);
	}
	error_destroy(err);
	return unix_listen(path, listen_fd);
}

struct error *fleet_up(const struct fleet_words *words, int argc, char **argv, int *exit_status)
{
	static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};
	static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};
	_cleanup_(accelerator_deinit) struct accelerator accelerator = {0};
	_cleanup_(cleanup_resources) struct resources *resources = NULL;
	_cleanup_free_ char *path = fleet_control_path(words->name);
	_cleanup_free_ char *qemu = NULL;
	_cleanup_free_ char *version = NULL;
	_cleanup_close_ int listen_fd = -1;
	char *end;
	long count = argc == 1 ? strtol(argv[0], &end, 10) : 0;
	struct error *err;

	(void)exit_status;
	if (argc != 1 || *end || count < 1 || count > 250)
		return error_hint(error_new(ERROR_USAGE, "fleet up: how many guests, 1 to 250?"),
			"fleetlab fleet up 4");
	try_(check_memory((unsigned int)count, words->memory_bytes));
	try_(claim_name(words->name, &listen_fd));
	err = qemu_usable(QEMU_DEFAULT, deadline_after_ms(10000), &qemu, &version);
	if (!err)
		err = accelerator_find(qemu, NULL, deadline_after_ms(60000), &accelerator);
	if (!err) {
		struct fleet_spec spec = {
			.image = {.kind = words->image},
			.count = (unsigned int)count,
			.memory_bytes = words->memory_bytes,
			.vcpus = words->vcpus,
			.start = words->cold ? FLEET_COLD : FLEET_TEMPLATE,
			.movable = true,
			.ram = words->movable ? RAM_SHARED : RAM_PRIVATE,
			.links = links,
			.link_count = 1,
			.nics = nics,
			.nic_count = 1,
		};

		resources = resources_create(accelerator.name);
		err = boot_fleet(words, &spec, resources, listen_fd);
	}
	if (err)
		unlink(path);
	return err;
}
