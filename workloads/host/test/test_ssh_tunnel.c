/* Real SSH tunnels and iperf3 between a lab and its second machine. Needs root, and an sshd: of
 * this host, or out of the cache. */
#include "harness/lab/test/in_lab.h"
#include "harness/base/jsonline.h"
#include "harness/fleet/agent.h"
#include "harness/lab/cpu_time.h"
#include "workloads/host/iperf.h"
#include "workloads/host/ssh_tunnel.h"
#include "workloads/host/sshd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};

enum { SSH_PORT = 2222, IPERF_PORT = 5201, PAYLOAD = 1 << 20, RATE_KBIT_S = 200000 };

/* A lab with a second machine, seen as two places. */
struct pair {
	struct machine *machine;
	char *dir, *entry, *exit;
	struct place here, there;
};

static struct error *make_pair(struct pair *pair)
{
	static const struct machine_spec spec = {.number = 1, .rate_kbit_s = RATE_KBIT_S};

	*pair = (struct pair){
		.dir = format_string("%s/tunnel", lab_dir()),
		.entry = format_string("%s/entry", lab_dir()),
		.exit = format_string("%s/exit", lab_dir()),
	};
	try_(network_create(links, 1, NULL, 0));
	try_(machine_create(&spec, links, 1, &pair->machine));
	pair->here = (struct place){.name = "the lab", .dir = pair->dir};
	pair->there =
		(struct place){.name = "machine 1", .dir = pair->dir, .machine = pair->machine};
	return NULL;
}

static void drop_pair(struct pair *pair)
{
	machine_free(pair->machine);
	free(pair->dir);
	free(pair->entry);
	free(pair->exit);
}

static struct error *open_tunnel(const struct pair *pair, const char *cipher,
	const struct tunnel_forward *forwards, size_t count, struct tunnel **tunnel)
{
	const struct tunnel_spec spec = {
		.client = &pair->here,
		.server = &pair->there,
		.address = "10.77.0.253",
		.port = SSH_PORT,
		.forwards = forwards,
		.forward_count = count,
		.cipher = cipher,
	};

	return tunnel_open(&spec, SOON, tunnel);
}

/* Sends what it receives back, once, from a process of its own. */
static pid_t echo_at(const char *path)
{
	_cleanup_close_ int listener = -1;

	if (unix_listen(path, &listener))
		return -1;
	pid_t pid = fork();

	if (pid == 0) {
		static char data[PAYLOAD];
		int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (recv(peer, data, sizeof(data), MSG_WAITALL) != PAYLOAD ||
			fs_write_all(peer, data, sizeof(data), "the client"))
			_exit(1);
		for (;;)
			pause();
	}
	return pid;
}

static bool goes_there_and_back(const char *path)
{
	static char sent[PAYLOAD], back[PAYLOAD];
	_cleanup_close_ int fd = -1;

	for (size_t i = 0; i < PAYLOAD; i++)
		sent[i] = (char)(i * 7 + i / 251);
	return !unix_connect(path, &fd) && !fs_write_all(fd, sent, PAYLOAD, path) &&
	       recv(fd, back, PAYLOAD, MSG_WAITALL) == PAYLOAD && memcmp(sent, back, PAYLOAD) == 0;
}

static int passes_data(void *context)
{
	_cleanup_(drop_pair) struct pair pair;
	struct tunnel *tunnel = NULL;
	struct cable_traffic traffic;
	double client_s = 0, server_s = 0, lab_s = 0;
	int fd = -1;

	(void)context;
	check_ok(make_pair(&pair));
	const struct tunnel_forward forward = {pair.entry, pair.exit};
	pid_t echo = echo_at(pair.exit);

	check(echo > 0);
	check_ok(open_tunnel(&pair, NULL, &forward, 1, &tunnel));
	check(goes_there_and_back(pair.entry));
	check_ok(machine_cable(pair.machine, "lan", &traffic));
	check(traffic.bytes_to_machine > PAYLOAD && traffic.bytes_from_machine > PAYLOAD);
	check(!tunnel_cpu_time(tunnel, SOON, &client_s, &server_s) && !cpu_time_lab(&lab_s));
	check(client_s > 0 && server_s > 0 && lab_s > client_s + server_s);
	tunnel_close(tunnel);
	_cleanup_error_ struct error *closed = unix_connect(pair.entry, &fd);

	check(closed);
	check(waitpid(echo, NULL, WNOHANG) == 0); /* it has nothing to do with the tunnel's end */
	double after_s;

	check(!cpu_time_lab(&after_s) && after_s >= lab_s); /* what has ended still counts */
	return 0;
}

static int refuses_another_key(void *context)
{
	_cleanup_(drop_pair) struct pair pair;
	struct ssh_key host, user, stranger;
	struct place_process sshd = {0};
	struct exec_result friendly = {0}, refused = {0};

	(void)context;
	check_ok(make_pair(&pair));
	check(!ssh_key_make(pair.dir, "h", SOON, &host) &&
		!ssh_key_make(pair.dir, "u", SOON, &user) &&
		!ssh_key_make(pair.dir, "s", SOON, &stranger));
	const struct sshd_spec spec = {"10.77.0.253", SSH_PORT, user.open, host.secret};

	check_ok(sshd_start(&pair.there, &spec, SOON, &sshd));
	_cleanup_free_ char *right = format_string("%s/u", pair.dir);
	_cleanup_free_ char *wrong = format_string("%s/s", pair.dir);
	const char *argv[] = {"ssh", "-F", "none", "-o", "BatchMode=yes", "-o",
		"IdentityAgent=none", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-p", "2222", "-i", right, "root@10.77.0.253",
		"true", NULL};

	check(!place_run(&pair.here, argv, SOON, &friendly) && friendly.exit_status == 0);
	argv[16] = wrong;
	check(!place_run(&pair.here, argv, SOON, &refused) && refused.exit_status == 255);
	check(strstr(refused.errors, "Permission denied"));
	place_stop(&sshd, SOON);
	return 0;
}

static int tells_what_is_wrong(void *context)
{
	_cleanup_(drop_pair) struct pair pair;
	struct tunnel *tunnel = NULL;

	(void)context;
	check_ok(make_pair(&pair));
	const struct tunnel_forward forward = {pair.entry, pair.exit};
	const struct tunnel_forward nowhere = {"/nonexistent/entry", pair.exit};
	_cleanup_error_ struct error *cipher = open_tunnel(&pair, "rot13", &forward, 1, &tunnel);
	_cleanup_error_ struct error *entry = open_tunnel(&pair, NULL, &nowhere, 1, &tunnel);

	check(cipher && strstr(error_message(cipher), "rot13"));
	check(entry && strstr(error_message(entry), "ssh in the lab"));
	/* Their servers have ended, so the port is free, until now. */
	check_ok(open_tunnel(&pair, "aes128-gcm@openssh.com", &forward, 1, &tunnel));
	struct tunnel *second = NULL;
	_cleanup_error_ struct error *port = open_tunnel(&pair, NULL, &forward, 1, &second);

	check(port && strstr(error_message(port), "sshd") && !second);
	tunnel_close(tunnel);
	return 0;
}

/* Rates are only compared with what the cable can carry at most. */
static int measures(void *context)
{
	_cleanup_(drop_pair) struct pair pair;
	_cleanup_(cleanup_tunnel) struct tunnel *tunnel = NULL;
	struct iperf_result direct = {0}, tunnelled = {0};

	(void)context;
	check_ok(make_pair(&pair));
	struct iperf_spec spec = {
		.client = &pair.here,
		.server = &pair.there,
		.listen_address = "10.77.0.253",
		.listen_port = IPERF_PORT,
		.connect_address = "10.77.0.253",
		.connect_port = IPERF_PORT,
		.seconds = 1,
	};
	const struct tunnel_forward forward = {"127.0.0.1:5000", "10.77.0.253:5201"};

	check_ok(iperf_run(&spec, SOON, &direct));
	check(direct.mbit_s > 0 && direct.mbit_s < RATE_KBIT_S / 1000.0);
	check(direct.received_bytes > 0 && json_object_get(direct.report, "end"));
	check_ok(open_tunnel(&pair, NULL, &forward, 1, &tunnel));
	spec.connect_address = "127.0.0.1";
	spec.connect_port = 5000;
	check(!iperf_run(&spec, SOON, &tunnelled) && tunnelled.mbit_s > 0);
	spec.connect_port = 5001;
	struct iperf_result none = {0};
	_cleanup_error_ struct error *refused = iperf_run(&spec, SOON, &none);

	check(refused && strstr(error_message(refused), "onnect") && !none.report);
	json_decref(direct.report);
	json_decref(tunnelled.report);
	return 0;
}

/* A real guest agent, which runs its commands in a machine and sees the server's program where a
 * guest has it: all that a tunnel knows of a guest. */
static struct error *start_agent(const struct pair *pair, const struct machine *machine,
	const char *name, struct agent **agent)
{
	static const char script[] =
		"mount -n -t overlay overlay -o \"lowerdir=$1/usr:/usr\" /usr\n"
		"exec qemu-ga -m unix-listen -p \"$2\" -t \"$3\" -l \"$3/$4.ga\"\n";
	_cleanup_free_ char *path = format_string("%s/%s.sock", pair->dir, name);
	_cleanup_free_ char *tree = format_string("%s/openssh-server", lab_dir());
	_cleanup_free_ char *usr =
		format_string("%s/usr", tree); /* empty where sshd is installed */
	const char *const argv[] = {"unshare", "--mount", "--propagation", "private", "--", "sh",
		"-c", script, "sh", tree, path, pair->dir, name, NULL};
	const struct place place = {.name = name, .dir = pair->dir, .machine = machine};
	struct place_process process;
	struct deadline deadline = SOON;

	try_(fs_make_dirs(usr));
	try_(place_start(&place, name, argv, deadline, &process));
	while (access(path, F_OK) < 0 && !deadline_passed(deadline))
		poll(NULL, 0, 5);
	return agent_open(path, name, deadline, agent);
}

static int joins_two_guests(void *context)
{
	_cleanup_(drop_pair) struct pair pair;
	_cleanup_(cleanup_agent) struct agent *here = NULL;
	_cleanup_(cleanup_agent) struct agent *there = NULL;
	struct place_process local = {0};
	struct tunnel *tunnel = NULL;
	double client_s = 0, server_s = 0;
	struct ssh_key key;
	int fd = -1;

	(void)context;
	check_ok(make_pair(&pair));
	/* A server of the lab's own first: what it unpacks is what the guests have installed. */
	check_ok(ssh_key_make(pair.dir, "k", SOON, &key));
	const struct sshd_spec first = {"10.77.0.253", SSH_PORT, key.open, key.secret};

	check_ok(sshd_start(&pair.there, &first, SOON, &local));
	place_stop(&local, SOON);
	check_ok(start_agent(&pair, NULL, "guest0", &here));
	check_ok(start_agent(&pair, pair.machine, "guest1", &there));
	pair.here = (struct place){.name = "guest0", .dir = pair.dir, .agent = here};
	pair.there = (struct place){.name = "guest1", .dir = pair.dir, .agent = there};
	const struct tunnel_forward forward = {pair.entry, pair.exit};
	_cleanup_error_ struct error *cipher = open_tunnel(&pair, "rot13", &forward, 1, &tunnel);

	check(cipher && strstr(error_message(cipher), "rot13"));
	check(echo_at(pair.exit) > 0);
	check_ok(open_tunnel(&pair, NULL, &forward, 1, &tunnel));
	check(goes_there_and_back(pair.entry));
	check_ok(tunnel_cpu_time(tunnel, SOON, &client_s, &server_s));
	check(client_s + server_s > 0);
	struct iperf_spec spec = {
		&pair.here, &pair.there, "10.77.0.253", IPERF_PORT, "10.77.0.253", IPERF_PORT, 1};
	struct iperf_result result = {0};

	check_ok(iperf_run(&spec, SOON, &result));
	check(result.mbit_s > 0);
	json_decref(result.report);
	tunnel_close(tunnel);
	_cleanup_error_ struct error *closed = unix_connect(pair.entry, &fd);

	check(closed);
	return 0;
}

/* ---- and the host ---- */

static bool provided;

static void run(lab_body *body)
{
	_cleanup_free_ char *passwd = fs_read_line("/etc/passwd");
	bool had_directory = access("/run/sshd", F_OK) == 0;

	if (geteuid() != 0 || !provided) {
		print_message("skipped: needs root and an OpenSSH server\n");
		skip();
	}
	assert_int_equal(run_body(body, NULL, false), 0);
	_cleanup_free_ char *passwd_after = fs_read_line("/etc/passwd");

	assert_string_equal(passwd, passwd_after);
	assert_int_equal(access("/run/sshd", F_OK) == 0, had_directory);
}

static void a_tunnel_passes_data_and_ends_alone(void **state)
{
	(void)state;
	run(passes_data);
}

static void a_server_knows_one_key(void **state)
{
	(void)state;
	run(refuses_another_key);
}

static void errors_are_those_of_ssh(void **state)
{
	(void)state;
	run(tells_what_is_wrong);
}

static void iperf3_measures_a_cable_and_a_tunnel(void **state)
{
	(void)state;
	run(measures);
}

static void a_tunnel_joins_two_guests(void **state)
{
	(void)state;
	if (!process_in_path("qemu-ga")) {
		print_message("skipped: needs qemu-ga\n");
		skip();
	}
	run(joins_two_guests);
}

/* Only here is a network, if packages have to be had. */
static int prepare(void **state)
{
	_cleanup_error_ struct error *err = NULL;

	if (geteuid() != 0)
		return 0;
	err = sshd_provide(deadline_after_ms(120000), NULL, NULL);
	if (err)
		print_message("%s\n", error_message(err));
	provided = !err;
	return enter_own_host(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(a_tunnel_passes_data_and_ends_alone),
		lab_test(a_server_knows_one_key),
		lab_test(errors_are_those_of_ssh),
		lab_test(iperf3_measures_a_cable_and_a_tunnel),
		lab_test(a_tunnel_joins_two_guests),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
