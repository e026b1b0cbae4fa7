/* Guests move to another machine and back: memory, programs and connections go along, and the
 * machines' own kernels say where they are. The other machine is an SSH server of the lab: what it
 * starts is a lab of its own, which nothing but ssh joins to this one. */
#include "harness/fleet/test/live.h"
#include "harness/fleet/test/other_machine.h"
#include "harness/base/fs.h"
#include "harness/fleet/fleet_move.h"
#include "harness/host/proc.h"
#include "workloads/host/stream.h"

#include <dirent.h>
#include <signal.h>

#define ADDRESS "127.0.0.1"

extern const struct command command_peer;

enum { GUESTS = 2, RECORDS = 10 };

static const struct link_spec links[] = {
	{"lan", "10.77.0.254/24", 0, 0}, {"other", "10.77.1.254/24", 0, 0}};
static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};
static const struct machine_spec second = {.number = 1};
static const struct fleet_spec two_clones = {.image = {.kind = "tiny"},
	.count = GUESTS,
	.memory_bytes = 128 << 20,
	.vcpus = 1,
	.start = FLEET_TEMPLATE,
	.ram = RAM_SHARED,
	.stack_count = 2,
	.machine = &second,
	.links = links,
	.link_count = ARRAY_SIZE(links),
	.nics = nics,
	.nic_count = ARRAY_SIZE(nics)};

static struct other other;
static struct peer *peer;

static void open_other(struct fleet_host *host)
{
	assert_ok(make_other(NULL, ADDRESS, &other));
	assert_ok(open_peer(&other, ADDRESS, OTHER_PORT, &peer));
	host->peer = peer;
}

static void close_other(void)
{
	peer_close(take_ptr(peer));
	place_stop(&other.sshd, LIVE_DEADLINE);
}

static void mark(struct fleet *fleet, unsigned int guest)
{
	free(live_shell(fleet, guest,
		"cd /tmp; head -c 300000 /dev/urandom >a; sha256sum a >a.sum;"
		"(i=0; while :; do i=$((i+1)); echo $i >n; mv n count; sleep 0.05; done) "
		">/dev/null 2>&1 & echo $! >pid;" GUEST_PROGRAM
		" echo --interval-us=20000 --daemon --output=/run/echo.json"));
}

static void assert_marked(struct fleet *fleet, unsigned int guest)
{
	free(live_shell(fleet, guest,
		"cd /tmp; sha256sum -c a.sum && kill -0 $(cat pid) || exit 1;"
		"c=$(cat count); for i in $(seq 200); do [ $(cat count) -gt $c ] && exit 0;"
		"sleep 0.05; done; exit 4"));
}

static void assert_is_there(struct fleet *fleet, unsigned int guest, unsigned int stack)
{
	const char *name = fleet_guest_name(fleet, guest);
	unsigned int count;

	assert_int_equal(fleet_guest_stack(fleet, guest), stack);
	assert_ok(peer_count_qemus(peer, name, LIVE_DEADLINE, &count));
	assert_int_equal(count, stack);
	/* This lab's processes and, below them, those of the lab there: the same host. */
	assert_ok(proc_count_qemus(name, &count));
	assert_int_equal(count, 1);
}

static void move_one(struct fleet *fleet, unsigned int guest, unsigned int stack)
{
	const struct move_options options = {
		.method = MOVE_PRECOPY, .deadline = deadline_after_ms(LIVE_TIMEOUT_MS)};
	uint64_t before, after;
	double ssh, far_before, far_after;
	struct move_report report;

	assert_ok(peer_carried(peer, &before));
	assert_ok(peer_cpu_time(peer, LIVE_DEADLINE, &ssh, &far_before));
	_cleanup_error_ struct error *err = fleet_move(fleet, &guest, 1, stack, &options, &report);

	print_message("%s to stack %u: total %.0f ms, downtime %.1f ms, %.1f MB%s%s%s\n",
		fleet_guest_name(fleet, guest), stack, report.total_ms, report.downtime_ms,
		(double)report.sent_bytes / 1e6, report.lost ? ", LOST" : "", err ? ": " : "",
		err ? error_message(err) : "");
	if (err || !report.moved || report.lost)
		fail_msg("%s has not moved", fleet_guest_name(fleet, guest));
	assert_ok(peer_carried(peer, &after));
	assert_ok(peer_cpu_time(peer, LIVE_DEADLINE, &ssh, &far_after));
	assert_true(ssh > 0);
	assert_true(after - before >= report.sent_bytes && far_after > far_before);
	assert_marked(fleet, guest);
	assert_is_there(fleet, guest, stack);
}

static void to_and_fro(struct fleet *fleet)
{
	struct probe_target targets[GUESTS];
	struct stream_series records[GUESTS];
	struct stream *stream;

	for (unsigned int i = 0; i < GUESTS; i++) {
		mark(fleet, i);
		targets[i] = (struct probe_target){
			.name = fleet_guest_name(fleet, i),
			.address = fleet_guest_address(fleet, i, 0),
		};
	}
	assert_ok(stream_start(targets, GUESTS, LIVE_DEADLINE, &stream));
	for (unsigned int stack = 1; stack < 2; stack--) {
		for (unsigned int i = 0; i < GUESTS; i++)
			move_one(fleet, i, stack);
		assert_ok(stream_await(stream, RECORDS, LIVE_DEADLINE));
	}
	assert_ok(stream_stop(stream, records));
	for (unsigned int i = 0; i < GUESTS; i++) {
		struct stream_report seen = stream_report(&records[i], 0, INT64_MAX);

		assert_true(seen.survived);
		stream_series_deinit(&records[i]);
		free((char *)targets[i].address);
	}
	close_other();
}

/* As if the other machine had lost its power, or the cable to it been cut. Only this lab's
 * processes are there to be found. */
static void lose_other(void)
{
	DIR *dir = opendir("/proc");
	unsigned int killed = 0;

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		_cleanup_free_ char *path = format_string("/proc/%s/cmdline", entry->d_name);
		_cleanup_free_ char *line = fs_read_line(path);
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 1 && line && strcmp(line, "ssh") == 0)
			killed += kill(pid, SIGKILL) == 0;
	}
	closedir(dir);
	assert_int_equal(killed, 1);
}

/* A guest that has gone there dies with that machine, and is told to; one that has not goes on. */
static void the_machine_is_lost(struct fleet *fleet)
{
	const unsigned int guest = 1;
	const struct move_options options = {
		.method = MOVE_PRECOPY, .deadline = deadline_after_ms(LIVE_TIMEOUT_MS)};
	struct move_report report = {0};

	mark(fleet, 0);
	mark(fleet, 1);
	move_one(fleet, 0, 1);
	lose_other();
	_cleanup_error_ struct error *err = fleet_move(fleet, &guest, 1, 1, &options, &report);

	assert_non_null(err);
	print_message("%s\n", error_message(err));
	assert_false(report.moved || report.lost);
	assert_int_equal(fleet_guest_stack(fleet, guest), 0);
	assert_marked(fleet, guest);
	close_other();
}

static bool can_run(void)
{
	_cleanup_error_ struct error *none = sshd_provide(LIVE_DEADLINE, NULL, NULL);

	if (none)
		print_message("skipped: %s\n", error_message(none));
	return !none;
}

static void guests_move_to_another_machine_and_back(void **state)
{
	(void)state;
	if (!can_run())
		skip();
	live_run(&two_clones, to_and_fro);
}

static void a_machine_that_is_lost_takes_only_its_guests(void **state)
{
	(void)state;
	if (!can_run())
		skip();
	live_run(&two_clones, the_machine_is_lost);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guests_move_to_another_machine_and_back),
		cmocka_unit_test(a_machine_that_is_lost_takes_only_its_guests),
	};
	int status = 0;

	live_prepare = open_other;
	if (argc > 1 && strcmp(argv[1], "peer") == 0) {
		struct error *err = command_peer.run(argc - 1, argv + 1, &status);

		if (err)
			fprintf(stderr, "%s\n", error_message(err));
		return err != NULL;
	}
	return live_main(argc, argv, "peer moves", tests, ARRAY_SIZE(tests));
}
