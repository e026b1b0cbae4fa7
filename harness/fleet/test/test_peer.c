/* A stack on another machine by ssh: the other machine is the lab's second one, its sshd a real
 * one. This program is fleetlab there. Needs root, and an sshd: of this host, or out of the cache.
 */
#include "harness/lab/test/in_lab.h"
#include "harness/cmd/command.h"
#include "harness/fleet/stack.h"
#include "harness/fleet/test/other_machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

extern const struct command command_stack, command_peer;

#define OTHER "10.77.0.253"

static void peers_are_named_as_in_libvirt(void **state)
{
	static const char *const bad[] = {"", "host", "qemu:///system", "qemu+tcp://host/system",
		"qemu+ssh:///system", "qemu+ssh://host", "qemu+ssh://host/session",
		"qemu+ssh://host:/system", "qemu+ssh://host:0/system",
		"qemu+ssh://host:65536/system", "qemu+ssh://host:-1/system",
		"qemu+ssh://host:22x/system", "qemu+ssh://-oProxyCommand=x/system",
		"qemu+ssh://u@-h/system", "qemu+ssh://@h/system", "qemu+ssh://u@/system",
		"qemu+ssh://a b/system", "qemu+ssh://u@v@h/system", "qemu+ssh://$(x)/system",
		"qemu+ssh://h/systemd", "qemu+ssh://h/system?", "qemu+ssh://h/system?no_verify=1",
		"qemu+ssh://h/system?keyfile=", "qemu+ssh://h/system?command=-x",
		"qemu+ssh://h/system?command=a;b", "qemu+ssh://h/system?command=a&",
		"qemu+ssh://h/system?keyfile=$HOME/k"};
	struct peer_address address = {.port = 7};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(peer_parse(bad[i], &address), ERROR_USAGE, "qemu+ssh://[USER@]HOST");
	assert_int_equal(address.port, 7);
	assert_ok(peer_parse("qemu+ssh://host.example/system", &address));
	assert_string_equal(address.destination, "host.example");
	assert_int_equal(address.port, 0);
	assert_ok(peer_parse("qemu+ssh://me@10.0.0.1:2222/system", &address));
	assert_string_equal(address.destination, "me@10.0.0.1");
	assert_int_equal(address.port, 2222);
	assert_string_equal(address.keyfile, "");
	assert_ok(peer_parse("qemu+ssh://h/system?command=/opt/f-1/fleetlab&keyfile=/k", &address));
	assert_string_equal(address.destination, "h");
	assert_string_equal(address.command, "/opt/f-1/fleetlab");
	assert_string_equal(address.keyfile, "/k");
	assert_string_equal(address.known_hosts, "");
}

static struct error *ping(const struct peer *peer, struct stack **stack)
{
	try_(stack_connect(peer_socket(peer), stack));
	return stack_request(*stack, json_pack("{s:s}", "op", "ping"), SOON, NULL);
}

/* Processes whose command line has this word. */
static unsigned int count_processes(const char *word)
{
	unsigned int found = 0;
	DIR *dir = opendir("/proc");

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		_cleanup_free_ char *path = format_string("/proc/%s/cmdline", entry->d_name);
		_cleanup_free_ char *line = NULL;
		size_t size = 0;
		_cleanup_error_ struct error *gone = fs_read(path, 1 << 16, &line, &size);

		if (!gone && size > 0 && memmem(line, size, word, strlen(word) + 1))
			found++;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* A process that is about to start another is two of its kind for a moment. */
static bool come_to(const char *word, unsigned int count)
{
	struct deadline deadline = SOON;

	while (count_processes(word) != count) {
		if (deadline_passed(deadline))
			return false;
		poll(NULL, 0, 5); /* these are no children of ours: nothing tells of their end */
	}
	return true;
}

/* An ssh before the real one in PATH that writes down how it is called. */
static int listen_to_ssh(const char *dir)
{
	_cleanup_free_ char *path = format_string("%s/ssh", dir);
	_cleanup_free_ char *before = format_string("%s", getenv("PATH"));
	_cleanup_free_ char *script = format_string(
		"#!/bin/sh\necho \"$*\" >>%s/calls\nPATH=%s\nexec ssh \"$@\"\n", dir, before);
	_cleanup_free_ char *after = format_string("%s:%s", dir, before);

	check_ok(fs_make_dirs(dir));
	check_ok(fs_write_atomic(path, script, strlen(script)));
	check(chmod(path, 0755) == 0);
	return setenv("PATH", after, 1);
}

/* Where one would ask for a password, nobody is there to type it. */
static bool none_would_ask(const char *dir, unsigned int least)
{
	_cleanup_free_ char *path = format_string("%s/calls", dir);
	_cleanup_free_ char *calls = NULL;
	unsigned int count = 0;
	char *rest = NULL;

	_cleanup_error_ struct error *unread = fs_read(path, 1 << 16, &calls, NULL);

	for (char *line = unread ? NULL : strtok_r(calls, "\n", &rest); line;
		line = strtok_r(NULL, "\n", &rest)) {
		if (!strstr(line, "-oBatchMode=yes"))
			return false;
		count++;
	}
	return count >= least;
}

static int serves_from_there(void *context)
{
	_cleanup_(cleanup_peer) struct peer *peer = NULL;
	_cleanup_(cleanup_stack) struct stack *first = NULL;
	_cleanup_(cleanup_stack) struct stack *second = NULL;
	static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};
	static const struct machine_spec machine_spec = {.number = 1};
	struct machine *machine;
	_cleanup_free_ char *listening = format_string("%s/ssh", lab_dir());
	double here, there;
	struct other other;
	int up[2];
	char byte;

	(void)context;
	check(listen_to_ssh(listening) == 0);
	check_ok(network_create(links, 1, NULL, 0));
	check_ok(machine_create(&machine_spec, links, 1, &machine));
	check_ok(make_other(machine, OTHER, &other));
	_cleanup_error_ struct error *nobody = open_peer(&other, OTHER, OTHER_PORT + 1, &peer);

	check(nobody && strstr(error_message(nobody), "refused") && !peer);
	check_ok(open_peer(&other, OTHER, OTHER_PORT, &peer));
	check(json_object_get(peer_host(peer), "qemu") && come_to("--root", 1));
	check_ok(ping(peer, &first));
	check_ok(ping(peer, &second)); /* while the first is still connected */
	check_ok(peer_cpu_time(peer, SOON, &here, &there));
	/* The refused one, the one that stays, a forwarding and a question. */
	check(none_would_ask(listening, 4));
	peer_close(peer);
	peer = NULL;
	check(come_to("--root", 0));
	_cleanup_error_ struct error *ended =
		stack_request(first, json_pack("{s:s}", "op", "ping"), SOON, NULL);

	check(ended);
	/* Nobody ends this one in order. */
	check(pipe2(up, O_CLOEXEC) == 0);
	pid_t owner = fork();

	if (owner == 0) {
		check_ok(open_peer(&other, OTHER, OTHER_PORT, &peer));
		if (write(up[1], "u", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(up[1]);
	check(read(up[0], &byte, 1) == 1);
	check(come_to("--root", 1));
	kill(owner, SIGKILL);
	check(waitpid(owner, NULL, 0) == owner && come_to("--root", 0));
	place_stop(&other.sshd, SOON);
	return 0;
}

/* Whoever asked for it is neither heard nor gone. */
static int ends_after_its_time(void *context)
{
	_cleanup_free_ char *program = realpath("/proc/self/exe", NULL);
	_cleanup_free_ char *boot = fs_read_line("/proc/sys/kernel/random/boot_id");
	int input[2], status;

	(void)context;
	check(pipe2(input, O_CLOEXEC) == 0);
	pid_t pid = fork();

	if (pid == 0) {
		dup2(input[0], STDIN_FILENO);
		execl(program, program, "peer", "--for", "1", "--from", boot, (char *)NULL);
		_exit(127);
	}
	close(input[0]);
	check(process_wait(pid, SOON, &status) && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	check(come_to("--root", 0));
	close(input[1]);
	return 0;
}

static void it_ends_when_its_time_is_over(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(ends_after_its_time, NULL, true), 0);
}

static bool provided;

static void a_stack_is_served_from_another_machine(void **state)
{
	(void)state;
	if (geteuid() != 0 || !provided) {
		print_message("skipped: needs root and an OpenSSH server\n");
		skip();
	}
	assert_int_equal(run_body(serves_from_there, NULL, false), 0);
}

static int prepare(void **state)
{
	if (geteuid() != 0)
		return 0;
	_cleanup_error_ struct error *err = sshd_provide(deadline_after_ms(120000), NULL, NULL);

	if (err)
		print_message("%s\n", error_message(err));
	provided = !err;
	return enter_own_host(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peers_are_named_as_in_libvirt),
		lab_test(it_ends_when_its_time_is_over),
		lab_test(a_stack_is_served_from_another_machine),
	};
	int status = 0;

	if (argc > 1) {
		const struct command *role =
			strcmp(argv[1], "stack") == 0 ? &command_stack : &command_peer;
		struct error *err = role->run(argc - 1, argv + 1, &status);

		if (err)
			fprintf(stderr, "%s\n", error_message(err));
		return err != NULL;
	}
	return cmocka_run_group_tests(tests, prepare, NULL);
}
