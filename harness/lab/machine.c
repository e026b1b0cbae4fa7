/* A second machine as a network namespace: see machine.h. The namespace hangs on a mount below
 * lab_dir(), which only the lab sees and which ends with it; `ip netns` would write to the host's
 * /run/netns. */
#include "harness/lab/machine.h"
#include "harness/lab/lab.h"
#include "harness/lab/network_internal.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

enum {
	MAX_NUMBER = 9,
	FRAME_OVERHEAD = 24, /* preamble 8, frame check 4, gap 12: IEEE 802.3 */
	QUEUE_FRAMES = 1000, /* Linux' default for Ethernet devices */
	FRAME_BYTES = 1514,
	BUCKETS_PER_S = 2000, /* a bucket holds half a millisecond */
};

struct machine {
	unsigned int number;
	char *namespace;     /* path of its network namespace */
	char *enter_options; /* for nsenter */
};

void machine_free(struct machine *machine)
{
	if (!machine)
		return;
	free(machine->namespace);
	free(machine->enter_options);
	free(machine);
}

unsigned int machine_number(const struct machine *machine)
{
	return machine ? machine->number : 0;
}

const char *machine_namespace(const struct machine *machine)
{
	return machine->namespace;
}

int machine_enter(const struct machine *machine)
{
	if (!machine)
		return 0;
	_cleanup_close_ int fd = open(machine->namespace, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : setns(fd, CLONE_NEWNET);
}

size_t machine_prefix(const struct machine *machine, const char *words[MACHINE_PREFIX_WORDS])
{
	if (!machine)
		return 0;
	words[0] = "nsenter";
	words[1] = machine->enter_options;
	words[2] = "--";
	return 3;
}

char *machine_address(const struct machine *machine, const struct link_spec *link)
{
	const char *last = link->address ? strrchr(link->address, '.') : NULL;

	if (!last)
		return NULL;
	if (!machine)
		return format_string("%.*s", (int)strcspn(link->address, "/"), link->address);
	return format_string(
		"%.*s.%u", (int)(last - link->address), link->address, 254 - machine->number);
}

/* Makes the namespace and hangs it on its mount. A child does, because there is no sure way back.
 * The mount is made by the kernel's own name of the namespace: no process has to hold it. */
static struct error *make_namespace(const struct machine *machine)
{
	_cleanup_close_ int file =
		open(machine->namespace, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int status;

	if (file < 0)
		return error_errno(errno, "cannot create %s", machine->namespace);
	pid_t pid = fork();

	if (pid < 0)
		return error_errno(errno, "cannot make machine %u", machine->number);
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) < 0 ||
			mount("/proc/self/ns/net", machine->namespace, NULL, MS_BIND, NULL) < 0)
			_exit(errno);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return error_errno(errno, "cannot make machine %u", machine->number);
	}
	if (status != 0)
		return error_errno(WIFEXITED(status) ? WEXITSTATUS(status) : EINTR,
			"cannot make the network namespace of machine %u", machine->number);
	return NULL;
}

static char *cable_end(const char *link, unsigned int leads_to)
{
	return format_string("%s.m%u", link, leads_to);
}

/* One end of a cable: what leaves here is shaped. A delay needs netem, which not every kernel has.
 */
static void shape_end(FILE *tc, const char *device, const struct machine_spec *spec)
{
	unsigned long long rate = spec->rate_kbit_s;
	unsigned long long bucket = rate * 1000 / 8 / BUCKETS_PER_S;

	if (spec->delay_us) {
		fprintf(tc, "qdisc add dev %s root netem limit 10000 delay %lluus", device,
			(unsigned long long)spec->delay_us);
		if (rate)
			fprintf(tc, " rate %llukbit %d", rate, FRAME_OVERHEAD);
		fputc('\n', tc);
	} else if (rate) {
		fprintf(tc,
			"qdisc add dev %s root tbf rate %llukbit burst %llu limit %d overhead %d\n",
			device, rate, bucket > 2 * FRAME_BYTES ? bucket : 2 * FRAME_BYTES,
			QUEUE_FRAMES * FRAME_BYTES, FRAME_OVERHEAD);
	}
}

/* Puts one end of a cable on the bridge of its link. */
static void connect_end(struct batch *batch, const char *device, const struct machine_spec *spec,
	const struct link_spec *link)
{
	fprintf(batch->ip, "link set %s gso_max_segs 1\nlink set %s master %s up\n", device, device,
		link->name);
	shape_end(batch->tc, device, spec);
}

static struct error *make_cables(const struct machine *machine, const struct machine_spec *spec,
	const struct link_spec *links, size_t link_count)
{
	_cleanup_(batch_close) struct batch here, there;

	batch_open(&here);
	batch_open(&there);
	fprintf(there.ip, "link set lo up\n");
	for (size_t i = 0; i < link_count; i++) {
		const struct link_spec *link = &links[i];
		_cleanup_free_ char *near = cable_end(link->name, spec->number);
		_cleanup_free_ char *far = cable_end(link->name, 0);
		_cleanup_free_ char *address = machine_address(machine, link);

		fprintf(here.ip, "link add %s type veth peer name %s netns %s\n", near, far,
			machine->namespace);
		connect_end(&here, near, spec, link);
		fprintf(there.ip, "link add name %s type bridge\nlink set %s up\n", link->name,
			link->name);
		if (address)
			fprintf(there.ip, "address add %s%s dev %s\n", address,
				strchr(link->address, '/'), link->name);
		connect_end(&there, far, spec, link);
	}
	try_(batch_run(&here, NULL));
	return batch_run(&there, machine);
}

struct error *machine_create(const struct machine_spec *spec, const struct link_spec *links,
	size_t link_count, struct machine **machine)
{
	_cleanup_(cleanup_machine) struct machine *made = calloc(1, sizeof(*made));
	struct error *err;

	if (!made)
		abort();
	if (spec->number < 1 || spec->number > MAX_NUMBER)
		return error_new(ERROR_INTERNAL, "machine %u: numbers are 1 to %d", spec->number,
			MAX_NUMBER);
	made->number = spec->number;
	made->namespace = format_string("%s/machine%u.net", lab_dir(), spec->number);
	made->enter_options = format_string("--net=%s", made->namespace);
	try_(make_namespace(made));
	err = make_cables(made, spec, links, link_count);
	if (err)
		return error_prefix(err, "cannot join machine %u to the lab", spec->number);
	*machine = take_ptr(made);
	return NULL;
}

struct error *machine_cable(
	const struct machine *machine, const char *link, struct cable_traffic *traffic)
{
	_cleanup_free_ char *device = cable_end(link, machine->number);
	struct cable_traffic read;

	try_(network_counter(device, "rx_packets", &read.frames_from_machine));
	try_(network_counter(device, "rx_bytes", &read.bytes_from_machine));
	try_(network_counter(device, "tx_packets", &read.frames_to_machine));
	try_(network_counter(device, "tx_bytes", &read.bytes_to_machine));
	*traffic = read;
	return NULL;
}
