/* The checks of what the kernel lets us do. Namespaces, links and shaping are tried, each in
 * namespaces that end with the program that tries; nothing here may change the host. */
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/cmd/doctor_checks.h"
#include "harness/host/facts.h"
#include "harness/host/topology.h"

#include <pwd.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define ATTEMPT_MS 2000

static struct deadline attempt_deadline(const struct check_context *context)
{
	return deadline_min(context->deadline, deadline_after_ms(ATTEMPT_MS));
}

/* Whether /etc/subuid gives this user a range, which unshare --map-auto needs. */
static bool has_subordinate_ids(void)
{
	const struct passwd *user = getpwuid(geteuid());
	_cleanup_free_ char *text = fs_read_line("/etc/subuid");
	_cleanup_free_ char *line = format_string("%s:", user ? user->pw_name : "?");

	return text && strstr(text, line);
}

void check_privileges(const struct check_context *context, struct check_result *result)
{
	const char *const argv[] = {"unshare", "--map-root-user", "true", NULL};
	struct error *err;

	if (geteuid() == 0) {
		check_value(result, CHECK_OK, "root");
		return;
	}
	err = process_check(argv, NULL, attempt_deadline(context), NULL);
	check_value(result, CHECK_FAIL, "not root (user namespaces: %s; subordinate ids: %s)",
		err ? "refused" : "usable", has_subordinate_ids() ? "yes" : "none");
	error_destroy(err);
	check_remedy(result, "labs need namespaces and taps: sudo fleetlab …");
}

void check_namespaces(const struct check_context *context, struct check_result *result)
{
	static const struct {
		const char *name, *option;
	} kinds[] = {{"pid", "--pid"}, {"mount", "--mount"}, {"net", "--net"}, {"ipc", "--ipc"},
		{"uts", "--uts"}};
	_cleanup_free_ char *refused = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *const argv[] = {"unshare", kinds[i].option, "--fork", "true", NULL};
		struct error *err = process_check(argv, NULL, attempt_deadline(context), NULL);

		if (err)
			check_append(&refused, kinds[i].name);
		error_destroy(err);
	}
	if (!refused) {
		check_value(result, CHECK_OK, "pid, mount, net, ipc, uts (tried)");
		return;
	}
	check_value(result, CHECK_FAIL, "refused: %s", refused);
	check_remedy(result, "run as root on the host itself, or give the container CAP_SYS_ADMIN");
}

/* Feeds `text` to `ip -batch` or `tc -batch` inside a network namespace of its own. */
static struct error *batch(
	const struct check_context *context, const char *program, const char *text)
{
	const char *const argv[] = {"unshare", "--net", program, "-batch", "-", NULL};

	return process_check(argv, text, attempt_deadline(context), NULL);
}

void check_network(const struct check_context *context, struct check_result *result)
{
	struct error *err = batch(context, "ip",
		"link add name br0 type bridge\ntuntap add dev tap0 mode tap\n"
		"link set dev tap0 master br0\nlink set dev br0 up\n");

	if (err) {
		check_error(result, CHECK_FAIL,
			error_hint(err, "load the modules: modprobe bridge tun; see /dev/net/tun"));
		return;
	}
	check_value(result, CHECK_OK, "bridge with a tap (tried in a namespace)");
}

void check_shaping(const struct check_context *context, struct check_result *result)
{
	static const struct {
		const char *name, *text;
	} kinds[] = {
		{"netem", "qdisc add dev lo root netem delay 1ms rate 1gbit\n"},
		{"tbf", "qdisc add dev lo root tbf rate 1gbit burst 256k latency 50ms\n"},
		{"htb", "qdisc add dev lo root handle 1: htb default 1\n"
			"class add dev lo parent 1: classid 1:1 htb rate 1gbit\n"},
	};
	_cleanup_free_ char *usable = NULL, *missing = NULL, *modules = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct error *err = batch(context, "tc", kinds[i].text);
		_cleanup_free_ char *module = format_string("sch_%s", kinds[i].name);

		check_append(err ? &missing : &usable, kinds[i].name);
		if (err)
			check_append(&modules, module);
		error_destroy(err);
	}
	if (!missing) {
		check_value(result, CHECK_OK, "%s (tried in a namespace)", usable);
		return;
	}
	check_value(
		result, CHECK_WARN, "not here: %s; usable: %s", missing, usable ? usable : "none");
	check_remedy(result, "links without rate or delay work; for the others load: %s", modules);
}

void check_ksm(const struct check_context *context, struct check_result *result)
{
	_cleanup_free_ char *run = fs_read_line("/sys/kernel/mm/ksm/run");
	_cleanup_free_ char *shared = fs_read_line("/sys/kernel/mm/ksm/pages_shared");

	(void)context;
	if (!run) {
		check_value(result, CHECK_WARN, "not in this kernel");
		check_remedy(result, "the baseline of libdedup (paper A) needs CONFIG_KSM");
	} else if (strcmp(run, "0") == 0) {
		check_value(result, CHECK_OK, "available, off");
	} else {
		check_value(result, CHECK_WARN, "run is %s, %s pages shared: it acts on guests too",
			run, shared ? shared : "?");
		check_remedy(result, "stop it for clean figures: echo 2 >/sys/kernel/mm/ksm/run");
	}
}

void check_cgroup(const struct check_context *context, struct check_result *result)
{
	const char *version = host_cgroup_version();

	(void)context;
	if (strcmp(version, "none") != 0) {
		check_value(result, CHECK_OK, "%s", version);
		return;
	}
	check_value(result, CHECK_WARN, "none mounted");
	check_remedy(result, "CPU shares cannot be used: mount -t cgroup2 cgroup2 /sys/fs/cgroup");
}

void check_topology(const struct check_context *context, struct check_result *result)
{
	_cleanup_free_ char *summary = NULL;
	struct error *err = host_topology_summary(&summary);

	(void)context;
	if (err)
		check_error(result, CHECK_WARN, err);
	else
		check_value(result, CHECK_OK, "%s", summary);
}
