/*
 * The guest program's commands as processes of this host, with a file for a region and loopback for
 * a network: what they print, what they refuse, and what they do when the other side is killed.
 */
#include "workloads/shm/test/support.h"

#include <poll.h>

#define OUTPUT_MAX 65536

/* Runs the program; `output` is what it printed on stdout. Returns its exit status. */
static int run(char *output, const char *const *words)
{
	int ends[2];
	int status;
	size_t used = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* What it complains of is in its output as well. */
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execv(GUEST, (char *const *)words);
		_exit(127);
	}
	close(ends[1]);
	while ((got = read(ends[0], output + used, OUTPUT_MAX - 1 - used)) > 0)
		used += (size_t)got;
	output[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define RUN(output, ...) run(output, (const char *const[]){"fleetlab-guest", __VA_ARGS__, NULL})

/* The number after "name": in what was printed. */
static unsigned long number_in(const char *output, const char *name)
{
	char pattern[64];
	const char *found;

	snprintf(pattern, sizeof(pattern), "\"%s\":", name);
	found = strstr(output, pattern);
	if (!found)
		fail_msg("no %s in %s", name, output);
	return strtoul(found + strlen(pattern), NULL, 10);
}

/* A server was started: its pid, to be sure that it ends. Orphans are ours to reap, see main(). */
static void expect_ended(const char *ready)
{
	pid_t pid = (pid_t)number_in(ready, "pid");
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void expect_contains(const char *output, const char *text)
{
	if (!strstr(output, text))
		fail_msg("no '%s' in: %s", text, output);
}

static void pingpong_through_a_region(void **state)
{
	static const char *const modes[] = {"polling", "doorbell"};
	const struct scratch *scratch = *state;
	char server[OUTPUT_MAX], client[OUTPUT_MAX];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(RUN(server, "shm-pingpong", "--role=b", "--daemon", "--file",
					 scratch->file, "--mode", modes[i]),
			0);
		assert_int_equal(RUN(client, "shm-pingpong", "--role=a", "--file", scratch->file,
					 "--mode", modes[i], "--sweep=1,8192,262144", "--runs=3"),
			0);
		expect_contains(client, "\"verified\":true");
		expect_contains(client, "\"ints\":262144,\"bytes\":1048576,\"samples_ns\":[");
		expect_contains(client, "\"address\":\"0x7e0000000000\"");
		expect_ended(server);
	}
}

static void pingpong_over_tcp(void **state)
{
	static const char *const styles[] = {"--nodelay", "--chunk=1000"};
	char server[OUTPUT_MAX], client[OUTPUT_MAX], port[32];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(RUN(server, "tcp-pingpong", "--role=server", "--daemon",
					 "--host=127.0.0.1", styles[i]),
			0);
		snprintf(port, sizeof(port), "--port=%lu", number_in(server, "port"));
		assert_int_equal(RUN(client, "tcp-pingpong", "--role=client", "--host=127.0.0.1",
					 port, styles[i], "--runs=3"),
			0);
		expect_contains(client, "\"verified\":true");
		expect_ended(server);
	}
}

static void pingpong_over_udp(void **state)
{
	char server[OUTPUT_MAX], client[OUTPUT_MAX], port[32];

	(void)state;
	assert_int_equal(
		RUN(server, "udp-pingpong", "--role=server", "--daemon", "--host=127.0.0.1"), 0);
	snprintf(port, sizeof(port), "--port=%lu", number_in(server, "port"));
	assert_int_equal(RUN(client, "udp-pingpong", "--role=client", "--host=127.0.0.1", port,
				 "--sweep=1,364,365,8192,262144", "--runs=3"),
		0);
	expect_contains(client, "\"verified\":true");
	expect_ended(server);
}

/* Runs all members but the last in the background and the last here. */
static void run_members(void **state, const char *command, const char *mode, char *output)
{
	const struct scratch *scratch = *state;
	char ready[2][OUTPUT_MAX];

	for (int i = 0; i < 2; i++)
		assert_int_equal(RUN(ready[i], command, "--daemon", "--file", scratch->file,
					 "--members=3", "--mode", mode, "--member", i ? "2" : "1"),
			0);
	assert_int_equal(RUN(output, command, "--file", scratch->file, "--members=3", "--member=0",
				 "--mode", mode),
		0);
	expect_contains(output, "\"verified\":true");
	for (int i = 0; i < 2; i++)
		expect_ended(ready[i]);
}

static void members_as_threads(void **state)
{
	char output[OUTPUT_MAX];

	run_members(state, "shm-threads", "doorbell", output);
	/* The primes below 200000. */
	expect_contains(output, "\"primes\":17984,");
}

static void members_test_themselves(void **state)
{
	char output[OUTPUT_MAX];

	run_members(state, "shm-selftest", "doorbell", output);
}

static void pointers_mean_the_same(void **state)
{
	const struct scratch *scratch = *state;
	char built[OUTPUT_MAX], walked[OUTPUT_MAX];
	const char *checksum;

	assert_int_equal(
		RUN(built, "shm-pointers", "--role=build", "--daemon", "--file", scratch->file), 0);
	assert_int_equal(RUN(walked, "shm-pointers", "--role=walk", "--file", scratch->file), 0);
	expect_contains(walked, "\"nodes\":1100,\"tree_nodes\":1100");
	expect_ended(built);
	/* What stands in the region now, seen by one who may only read. */
	assert_int_equal(RUN(built, "shm-pointers", "--role=walk", "--append=0", "--read-only",
				 "--file", scratch->file),
		0);
	expect_contains(built, "\"writable\":false");
	checksum = strstr(walked, "\"checksum\":");
	assert_non_null(checksum);
	expect_contains(built, checksum);
}

/* Overwrites eight bytes of the region wherever they have this value. */
static void replace(const struct scratch *scratch, uint64_t value, uint64_t by)
{
	int fd = open(scratch->file, O_RDWR | O_CLOEXEC);
	uint64_t words[512];
	int replaced = 0;

	for (off_t page = 1; page < PAGES; page++) {
		assert_int_equal(pread(fd, words, sizeof(words), page * REGION_PAGE), 4096);
		for (int i = 0; i < 512; i++) {
			if (words[i] == value) {
				words[i] = by;
				replaced++;
			}
		}
		assert_int_equal(pwrite(fd, words, sizeof(words), page * REGION_PAGE), 4096);
	}
	assert_true(replaced > 0);
	close(fd);
}

static void hostile_pointers_are_refused(void **state)
{
	static const uint64_t wild[] = {1, 0x7e0000000000, 0x7e0000041000, 0x7e0000001101,
		0xffffffffffffffff, 0x7e0000001100 /* a cycle */};
	const struct scratch *scratch = *state;
	char output[OUTPUT_MAX];
	uint64_t third = 0x7e0000001180;

	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		assert_int_equal(RUN(output, "shm-pointers", "--role=build", "--append=0", "--file",
					 scratch->file),
			0);
		replace(scratch, third, wild[i]);
		assert_int_equal(RUN(output, "shm-pointers", "--role=walk", "--append=0", "--file",
					 scratch->file),
			1);
		expect_contains(output, "{\"error\":\"the ");
	}
}

static void a_killed_answerer_is_an_error(void **state)
{
	const struct scratch *scratch = *state;
	char server[OUTPUT_MAX], output[OUTPUT_MAX];
	pid_t pid, killer;
	int status;

	assert_int_equal(RUN(server, "shm-pingpong", "--role=b", "--daemon", "--mode=doorbell",
				 "--file", scratch->file),
		0);
	pid = (pid_t)number_in(server, "pid");
	killer = fork();
	if (killer == 0) {
		struct region_options options = scratch_options(scratch, 5, false);
		struct region *region;

		/* Once the asker is there, they are at it. */
		options.read_only = true;
		child_check(region_open(&options, &region) == SHM_OK);
		while (atomic_load(&region->header->members[0].state) != MEMBER_PRESENT)
			sched_yield();
		poll(NULL, 0, 20);
		child_check(kill(pid, SIGKILL) == 0);
		_exit(0);
	}
	assert_int_equal(
		RUN(output, "shm-pingpong", "--role=a", "--mode=doorbell", "--file", scratch->file,
			"--runs=1000000", "--peer-timeout-ms=300", "--deadline-ms=60000"),
		1);
	expect_contains(output, "peer 1 of region");
	expect_contains(output, "is gone: no heartbeat for");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(waitpid(killer, &status, 0), killer);
	assert_int_equal(status, 0);
}

static void a_missing_peer_is_an_error(void **state)
{
	const struct scratch *scratch = *state;
	char output[OUTPUT_MAX];

	assert_int_equal(RUN(output, "shm-pingpong", "--role=a", "--file", scratch->file,
				 "--deadline-ms=50"),
		1);
	expect_contains(output, "member 1 did not come in time");
	assert_int_equal(RUN(output, "tcp-pingpong", "--role=server", "--host=127.0.0.1",
				 "--deadline-ms=50"),
		1);
	expect_contains(output, "no client has come: the deadline passed");
	assert_int_equal(RUN(output, "udp-pingpong", "--role=server", "--host=127.0.0.1",
				 "--deadline-ms=50"),
		1);
	expect_contains(output, "the deadline passed");
}

static void bad_options_are_refused(void **state)
{
	static const struct {
		const char *words[4];
		const char *says;
	} bad[] = {
		{{"nonsense"}, "there is no command 'nonsense'"},
		{{"shm-pingpong"}, "--role"},
		{{"shm-pingpong", "--role=c"}, "'c' is neither a nor b"},
		{{"shm-pingpong", "--role=a", "--ints=0"}, "'0' is not a whole number from 1"},
		{{"shm-pingpong", "--role=a", "--ints=-1"}, "'-1' is not a whole number"},
		{{"shm-pingpong", "--role=a", "--sweep=1,x"}, "'x' is not a whole number"},
		{{"shm-pingpong", "--role=a", "--mode=fast"}, "neither polling nor doorbell"},
		{{"shm-pingpong", "--role=a", "--file=/nonexistent"}, "cannot open region"},
		{{"shm-pingpong", "--role=a", "--ints"}, "--ints needs a value"},
		{{"shm-pingpong", "--rolle=a"}, "there is no option '--rolle=a'"},
		{{"shm-selftest", "--members=1"}, "at least 2"},
		{{"tcp-pingpong", "--role=client"}, "which server?"},
		{{"tcp-pingpong", "--role=client", "--host=a.b"}, "not an IPv4 address"},
		{{"tcp-pingpong", "--role=client", "--host=127.0.0.1", "--daemon"}, "for servers"},
		{{"personalise", "--mac=52:54:00:00:00:01"}, "need --interface"},
		{{"personalise", "--entropy=abc"}, "hexadecimal"},
		{{"personalise", "--machine-id=xyz"}, "32 lower-case hexadecimal"},
		{{"personalise", "--time=yesterday"}, "SECONDS.NANOSECONDS"},
		{{"personalise", "--name="}, "host name"},
	};
	char output[OUTPUT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const *w = bad[i].words;

		assert_int_equal(RUN(output, w[0], w[1], w[2], w[3]), 1);
		assert_memory_equal(output, "{\"error\":\"", 10);
		expect_contains(output, bad[i].says);
	}
}

static void simple_measures_print_samples(void **state)
{
	char output[OUTPUT_MAX];

	(void)state;
	assert_int_equal(RUN(output, "switch-cost", "--calls=10", "--runs=2"), 0);
	assert_true(number_in(output, "calls") == 10);
	expect_contains(output, "\"empty_syscall_ns\":[");
	assert_int_equal(RUN(output, "clock-gap", "--seconds=1"), 0);
	assert_true(number_in(output, "largest_ns") > 0);
	assert_int_equal(RUN(output, "dirty", "--mib=1", "--rate=500", "--seconds=1"), 0);
	expect_contains(output, "\"pages_per_window\":[");
	assert_int_equal(RUN(output, "version"), 0);
	expect_contains(output, "\"program\":\"fleetlab-guest\"");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pingpong_through_a_region),
		TEST(pingpong_over_tcp),
		TEST(pingpong_over_udp),
		TEST(members_as_threads),
		TEST(members_test_themselves),
		TEST(pointers_mean_the_same),
		TEST(hostile_pointers_are_refused),
		TEST(a_killed_answerer_is_an_error),
		TEST(a_missing_peer_is_an_error),
		TEST(bad_options_are_refused),
		TEST(simple_measures_print_samples),
	};

	/* Servers that went to the background become our children, to be waited for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
