/* Guests move to another machine by ssh, each by precopy through a socket that ssh carries: they
 * are there afterwards, the same, and nowhere else. The other machine is the lab's second one. */
#include "harness/fleet/test/live.h"
#include "harness/fleet/test/other_machine.h"
#include "harness/fleet/clone.h"
#include "harness/fleet/move.h"

#include <sys/socket.h>

extern const struct command command_peer;

enum { GUESTS = 2 };

static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};
static const struct machine_spec second = {.number = 1};

static void mark(struct fleet *fleet, unsigned int guest)
{
	free(live_shell(fleet, guest,
		"cd /tmp; head -c 300000 /dev/urandom >a; sha256sum a >a.sum;"
		"(i=0; while :; do i=$((i+1)); echo $i >n; mv n count; sleep 0.05; done) "
		">/dev/null 2>&1 & echo $! >pid"));
}

static void assert_marked(struct fleet *fleet, unsigned int guest)
{
	free(live_shell(fleet, guest,
		"cd /tmp; sha256sum -c a.sum && kill -0 $(cat pid) || exit 1;"
		"c=$(cat count); for i in $(seq 200); do [ $(cat count) -gt $c ] && exit 0;"
		"sleep 0.05; done; exit 4"));
}

/* The guest's agent, where it is now. */
static void follow(struct fleet *fleet, unsigned int guest, const struct peer *peer)
{
	_cleanup_free_ char *dir = guest_dir(fleet->guests[guest].name, 1);
	char answer[512] = "";
	int fd;

	assert_ok(unix_connect(peer_socket(peer), &fd));
	assert_ok(jsonline_send(fd,
		json_pack(
			"{s:s, s:o}", "op", "connect", "path", json_sprintf("%s/agent.sock", dir)),
		"the peer's stack"));
	for (size_t used = 0; used + 1 < sizeof(answer) && !strchr(answer, '\n'); used++)
		assert_int_equal(recv(fd, answer + used, 1, 0), 1);
	assert_string_equal(answer, "{}\n");
	agent_switch(fleet_agent(fleet, guest), fd);
}

static void move_one(struct fleet *fleet, unsigned int number, struct peer *peer)
{
	const struct guest *guest = &fleet->guests[number];
	struct guest_spec spec = guest_spec_of(fleet, guest);
	_cleanup_free_ char *name = format_string("%s.sock", guest->name);
	_cleanup_free_ char *there = format_string("unix:%s/%s", lab_dir(), name);
	_cleanup_free_ char *target = guest_seat(guest->name, 1);
	_cleanup_free_ char *near = NULL;
	_cleanup_free_ char *here = NULL;
	_cleanup_json_ json_t *receive = NULL;
	const struct move_options options = {
		.method = MOVE_PRECOPY, .deadline = deadline_after_ms(60000)};
	struct move_report report;
	unsigned int template;

	spec.seat = 1;
	spec.incoming = true;
	spec.ram = RAM_PRIVATE;
	spec.ram_path = NULL;
	receive = json_pack(
		"{s:o}", "argv", clone_fill(guest_template(fleet, guest, &template)->argv, &spec));
	assert_ok(peer_forward(peer, name, LIVE_DEADLINE, &near));
	here = format_string("unix:%s", near);
	const struct move_item item = {
		.guest = guest->name,
		.source_socket = fleet_stack_socket(fleet, 0),
		.target_socket = peer_socket(peer),
		.source_name = guest->seat,
		.target_name = target,
		.receive = receive,
		.target_uri = there,
		.source_uri = here,
	};
	_cleanup_error_ struct error *err = move_run(&item, 1, &options, &report);

	print_message("%s: total %.0f ms, downtime %.1f ms, %.1f MB%s%s%s\n", guest->name,
		report.total_ms, report.downtime_ms, (double)report.sent_bytes / 1e6,
		report.lost ? ", LOST" : "", err ? ": " : "", err ? error_message(err) : "");
	if (err || !report.moved || report.lost)
		fail_msg("%s has not moved", guest->name);
	follow(fleet, number, peer);
	assert_marked(fleet, number);
}

static void move_all(struct fleet *fleet)
{
	struct other other;
	struct peer *peer;

	assert_ok(make_other(fleet->machine, &other));
	assert_ok(open_peer(&other, OTHER_URI, &peer));
	for (unsigned int i = 0; i < GUESTS; i++)
		mark(fleet, i);
	for (unsigned int i = 0; i < GUESTS; i++)
		move_one(fleet, i, peer);
	for (unsigned int i = 0; i < GUESTS; i++)
		assert_marked(fleet, i);
	peer_close(peer);
	place_stop(&other.sshd, LIVE_DEADLINE);
}

static void guests_move_to_another_machine(void **state)
{
	const struct fleet_spec spec = {.image = {.kind = "tiny"},
		.count = GUESTS,
		.memory_bytes = 128 << 20,
		.vcpus = 1,
		.start = FLEET_TEMPLATE,
		.ram = RAM_COPY,
		.stack_count = 1,
		.movable = true,
		.machine = &second,
		.links = links,
		.link_count = 1};
	_cleanup_error_ struct error *none = sshd_provide(LIVE_DEADLINE, NULL, NULL);

	(void)state;
	if (none) {
		print_message("skipped: %s\n", error_message(none));
		skip();
	}
	live_run(&spec, move_all);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guests_move_to_another_machine),
	};
	int status = 0;

	if (argc > 1 && strcmp(argv[1], "peer") == 0) {
		struct error *err = command_peer.run(argc - 1, argv + 1, &status);

		if (err)
			fprintf(stderr, "%s\n", error_message(err));
		return err != NULL;
	}
	return live_main(argc, argv, "peer moves", tests, ARRAY_SIZE(tests));
}
