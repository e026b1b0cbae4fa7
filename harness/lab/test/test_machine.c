/* A second machine within a lab: its cables carry what they should and no more, and it ends with
 * the lab. Needs root. */
#include "harness/lab/test/in_lab.h"
#include "harness/lab/machine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}, {"other", NULL, 0, 0}};

enum { PORT = 7000, TRANSFER = 4 << 20 };

/* A socket of machine `where` (NULL: of the lab): it stays one when this process has come back. */
static int socket_in(const struct machine *where)
{
	_cleanup_close_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0 || machine_enter(where) < 0)
		return -1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return setns(home, CLONE_NEWNET) < 0 ? -1 : fd;
}

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	inet_pton(AF_INET, text, &address.sin_addr);
	return address;
}

/* How many seconds TRANSFER bytes take from `source` to `target`; negative when they do not arrive.
 */
static double transfer(const struct machine *source, const struct machine *target, const char *to)
{
	static char data[1 << 16];
	_cleanup_close_ int listener = socket_in(target);
	_cleanup_close_ int sender = socket_in(source);
	struct sockaddr_in address = address_of(to);
	size_t received = 0;
	ssize_t n;

	if (listener < 0 || sender < 0 ||
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0 ||
		bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listener, 1) < 0 ||
		connect(sender, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	_cleanup_close_ int receiver = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int64_t begin = clock_now_ns();
	pid_t child = fork();

	if (child == 0) {
		for (size_t sent = 0; sent < TRANSFER; sent += sizeof(data)) {
			if (fs_write_all(sender, data, sizeof(data), "the receiver"))
				_exit(1);
		}
		_exit(0);
	}
	close(take_fd(&sender));
	while ((n = read(receiver, data, sizeof(data))) > 0)
		received += (size_t)n;
	waitpid(child, NULL, 0);
	return received == TRANSFER ? clock_seconds(begin, clock_now_ns()) : -1;
}

static int carries_and_counts(void *context)
{
	static const struct machine_spec spec = {.number = 1};
	_cleanup_(cleanup_machine) struct machine *machine = NULL;
	struct cable_traffic none, there, back;

	(void)context;
	check(!network_create(links, 2, NULL, 0) && !machine_create(&spec, links, 2, &machine));
	check(machine_number(machine) == 1 && machine_number(NULL) == 0);
	check_ok(machine_cable(machine, "other", &none));
	check(transfer(NULL, machine, "10.77.0.253") > 0);
	check_ok(machine_cable(machine, "lan", &there));
	check(there.bytes_to_machine > TRANSFER && there.bytes_from_machine < TRANSFER);
	/* Frame by frame, as on a wire. */
	check(there.frames_to_machine > TRANSFER / 1460);
	check(transfer(machine, NULL, "10.77.0.254") > 0);
	check_ok(machine_cable(machine, "lan", &back));
	check(back.bytes_from_machine - there.bytes_from_machine > TRANSFER);
	check(back.bytes_to_machine - there.bytes_to_machine < TRANSFER);
	return 0;
}

static void a_cable_carries_and_counts_both_ways(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(carries_and_counts, NULL, false), 0);
}

/* A rate is a promise of slowness, which load on this host cannot break: what exceeds the bucket
 * has to wait. The unshaped cable shows that it was the rate and not the host. */
static int keeps_to_its_rate(void *context)
{
	static const struct machine_spec fast = {.number = 1};
	static const struct machine_spec slow = {.number = 2, .rate_kbit_s = 40000};
	_cleanup_(cleanup_machine) struct machine *first = NULL;
	_cleanup_(cleanup_machine) struct machine *second = NULL;
	const double least = (TRANSFER - 100000) * 8 / 40e6;

	(void)context;
	check_ok(network_create(links, 1, NULL, 0));
	check_ok(machine_create(&fast, links, 1, &first));
	check_ok(machine_create(&slow, links, 1, &second));
	double unshaped = transfer(NULL, first, "10.77.0.253");
	double to = transfer(NULL, second, "10.77.0.252");
	double from = transfer(second, NULL, "10.77.0.254");

	check(unshaped > 0 && unshaped < to);
	check(to > least && from > least);
	return 0;
}

static void a_cable_keeps_to_its_rate(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(keeps_to_its_rate, NULL, false), 0);
}

static int is_apart(void *context)
{
	static const struct machine_spec spec = {.number = 1};
	static const struct machine_spec tenth = {.number = 10};
	static const struct machine_spec early = {.number = 2};
	_cleanup_(cleanup_machine) struct machine *machine = NULL;
	_cleanup_free_ char *own = machine_address(NULL, &links[0]);
	const char *words[MACHINE_PREFIX_WORDS];

	(void)context;
	check(machine_prefix(NULL, words) == 0 && machine_enter(NULL) == 0);
	check(own && strcmp(own, "10.77.0.254") == 0 && !machine_address(NULL, &links[1]));
	_cleanup_error_ struct error *no_link = machine_create(&early, links, 1, &machine);
	_cleanup_error_ struct error *number = machine_create(&tenth, links, 1, &machine);

	check(no_link && strstr(error_message(no_link), "machine 2"));
	check(number && strstr(error_message(number), "1 to 9") && !machine);
	check(!network_create(links, 2, NULL, 0) && !machine_create(&spec, links, 2, &machine));
	const struct port_spec ports[] = {
		{"g0n0", "lan", NULL}, {"g0n0b", "lan", machine}, {"g1n0b", "other", machine}};
	_cleanup_error_ struct error *too_early = network_create(links, 0, ports + 1, 1);

	check(too_early && strstr(error_message(too_early), "g0n0b"));
	check_ok(network_add_ports(links, 2, ports, 3));
	check(if_nametoindex("g0n0") && !if_nametoindex("g0n0b"));
	_cleanup_error_ struct error *twice = machine_create(&spec, links, 2, &machine);

	check(twice && strstr(error_message(twice), "machine1.net"));
	check(machine_enter(machine) == 0);
	check(!if_nametoindex("g0n0") && if_nametoindex("g0n0b") && if_nametoindex("g1n0b"));
	check(if_nametoindex("lan") && if_nametoindex("lo"));
	return 0;
}

static void ports_are_where_they_were_wanted(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(is_apart, NULL, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(a_cable_carries_and_counts_both_ways),
		lab_test(a_cable_keeps_to_its_rate),
		lab_test(ports_are_where_they_were_wanted),
	};

	return cmocka_run_group_tests(tests, enter_own_host, NULL);
}
