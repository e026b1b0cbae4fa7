/* Moves of real guests between two stacks, each way of them, and what is refused. */
#include "harness/fleet/test/moving.h"

#include <math.h>

static void print_report(const struct move_options *options, const struct move_report *report)
{
	print_message("%s: total %.1f ms, transfer %.0f ms, downtime %.1f ms (QEMU: %.0f), "
		      "verify %.1f "
		      "ms, receive %.0f ms, populate %.0f ms, %llu kB, %llu pages\n",
		move_method_name(options->method), report->total_ms, report->transfer_ms,
		report->downtime_ms, report->qemu_downtime_ms, report->verify_ms,
		report->receive_ms, report->populate_ms,
		(unsigned long long)report->sent_bytes >> 10,
		(unsigned long long)report->digest_pages);
}

/* One guest there and back; its memory, its programs, its network and its disk go along. */
static void go_there_and_back(struct fleet *fleet, enum move_method method)
{
	const struct move_options options = {
		.method = method, .populate = true, .deadline = LIVE_DEADLINE};
	struct move_report report;

	mark_guest(fleet, 0);
	for (unsigned int to = 1; to < 4; to++) {
		assert_ok(fleet_move(fleet, (unsigned int[]){0}, 1, to % 2, &options, &report));
		assert_true(report.moved);
		assert_int_equal(report.target_pid, fleet_guest_pid(fleet, 0));
		assert_int_equal(fleet_guest_stack(fleet, 0), to % 2);
		assert_one_qemu(fleet, 0);
		assert_port_of(fleet, 0, to % 2 ? "g0n0b" : "g0n0");
		assert_marked(fleet, 0);
		print_report(&options, &report);
		assert_true(report.downtime_ms > 0);
		assert_int_equal(report.same_memory, !move_copies(method));
	}
}

static void go_zerocopy(struct fleet *fleet)
{
	go_there_and_back(fleet, MOVE_ZEROCOPY);
}

static void go_precopy(struct fleet *fleet)
{
	go_there_and_back(fleet, MOVE_PRECOPY);
}

static void go_postcopy(struct fleet *fleet)
{
	go_there_and_back(fleet, MOVE_POSTCOPY);
}

static void a_guest_is_moved_without_copying(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, go_zerocopy);
}

static void a_guest_is_moved_by_precopy(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, go_precopy);
	spec.ram = RAM_PRIVATE;
	live_run(&spec, go_precopy);
}

static void a_guest_is_moved_by_postcopy(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, go_postcopy);
}

/* The mode of one move must not stay for the next. */
static void go_cpr(struct fleet *fleet)
{
	static const enum move_method next[] = {MOVE_ZEROCOPY, MOVE_CPR, MOVE_PRECOPY};
	struct move_report report;

	go_there_and_back(fleet, MOVE_CPR);
	for (size_t i = 0; i < ARRAY_SIZE(next); i++) {
		const struct move_options options = {.method = next[i], .deadline = LIVE_DEADLINE};

		assert_ok(fleet_move(fleet, (unsigned int[]){0}, 1, 1 - fleet_guest_stack(fleet, 0),
			&options, &report));
		assert_int_equal(report.same_memory, !move_copies(next[i]));
		assert_one_qemu(fleet, 0);
		assert_marked(fleet, 0);
	}
}

static void go_cpr_is_refused(struct fleet *fleet)
{
	const struct move_options options = {.method = MOVE_CPR, .deadline = LIVE_DEADLINE};
	bool cold = fleet->spec.start == FLEET_COLD;
	struct move_report report;

	mark_guest(fleet, 0);
	assert_fails(fleet_move(fleet, (unsigned int[]){0}, 1, 1, &options, &report), ERROR_GUEST,
		cold	    ? "start the fleet from a template"
		: has_cpr() ? "without aux-ram-share=on"
			    : "no migration mode cpr-transfer");
	assert_false(report.moved);
	assert_one_qemu(fleet, 0);
	assert_marked(fleet, 0);
}

static void a_guest_is_moved_by_cpr_transfer(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	if (!has_cpr())
		skip();
	spec.qemu_args = cpr_arguments;
	live_run(&spec, go_cpr);
}

/* By a QEMU that has it not, or that was not started for it, or not by us. */
static void cpr_transfer_is_refused(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, go_cpr_is_refused);
	if (!has_cpr())
		return;
	spec.start = FLEET_COLD;
	spec.qemu_args = cpr_arguments;
	live_run(&spec, go_cpr_is_refused);
}

static void a_cold_guest_is_moved(void **state)
{
	(void)state;
	static const struct nic_spec e1000[] = {{"lan", "e1000"}};
	struct fleet_spec spec = movable(1);

	spec.start = FLEET_COLD;
	spec.nics = e1000;
	live_run(&spec, go_zerocopy);
}

/* ---- refusals ---- */

/* Replaces words of the target's arguments. */
static void spoil(struct fleet_item *item, const char *from, const char *to)
{
	json_t *argv = json_object_get(item->receive, "argv");
	size_t found = 0;

	for (size_t i = 0; i < json_array_size(argv); i++) {
		const char *word = json_string_value(json_array_get(argv, i));
		const char *at = strstr(word, from);
		_cleanup_free_ char *spoiled = NULL;

		if (!at)
			continue;
		spoiled = format_string("%.*s%s%s", (int)(at - word), word, to, at + strlen(from));
		json_array_set_new(argv, i, json_string(spoiled));
		found++;
	}
	assert_true(found > 0);
}

/* The move of a spoilt item fails for this reason, and the guest has noticed nothing. */
static void assert_refused(
	struct fleet *fleet, struct fleet_item *item, bool ignore_identity, const char *why)
{
	const struct move_options options = {
		.deadline = LIVE_DEADLINE, .ignore_identity = ignore_identity};
	struct move_report report;

	assert_fails(move_run(&item->item, 1, &options, &report), ERROR_GUEST, why);
	assert_false(report.moved);
	assert_one_qemu(fleet, 0);
	assert_port_of(fleet, 0, "g0n0");
	assert_marked(fleet, 0);
	fleet_item_deinit(item);
}

static void refuse_other_memory(struct fleet *fleet)
{
	const struct guest *guest = &fleet->guests[0];
	_cleanup_free_ char *copy = format_string("%s.copy", guest->ram_path);
	_cleanup_close_ int ram = open(guest->ram_path, O_RDONLY);

	mark_guest(fleet, 0);
	/* As like as can be: the same bytes in another file, but for what has changed since. */
	assert_ok(ram_copy(ram, copy, fleet_guest_memory(fleet, 0) + GUEST_RAM_TAIL_BYTES));
	for (int ignore = 0; ignore <= 1; ignore++) {
		struct fleet_item item = {0};

		assert_ok(fleet_item_init(fleet, 0, 1, MOVE_ZEROCOPY, &item));
		spoil(&item, guest->ram_path, copy);
		assert_refused(fleet, &item, ignore,
			ignore ? "the target's memory is not the source's: it differs at"
			       : "the target maps other memory than the source");
	}
}

static void a_target_with_other_memory_is_refused(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, refuse_other_memory);
}

/* "pc-q35-7.2" of "pc-q35-7.2,usb=off,…": what q35 means to this QEMU. */
static char *machine_of(const struct fleet_item *item)
{
	const json_t *argv = json_object_get(item->receive, "argv");
	const json_t *word;
	size_t i;

	json_array_foreach (argv, i, word) {
		const char *text = json_string_value(word);

		if (strncmp(text, "pc-q35-", 7) == 0)
			return format_string("%.*s", (int)strcspn(text, ","), text);
	}
	fail_msg("the guest has no machine");
	return NULL;
}

static void refuse_other_machines(struct fleet *fleet)
{
	static const char *const spoilt[][3] = {
		{"qemu64", "max", "cpu is \"max-x86_64-cpu\", not \"qemu64-x86_64-cpu\""},
		{NULL, "pc-q35-7.1", "machine is"},
		{"1,maxcpus=2", "2,maxcpus=2", "vcpus is 2, not 1"},
	};

	mark_guest(fleet, 0);
	for (size_t i = 0; i < ARRAY_SIZE(spoilt); i++) {
		struct fleet_item item = {0};

		assert_ok(fleet_item_init(fleet, 0, 1, MOVE_ZEROCOPY, &item));
		_cleanup_free_ char *machine = machine_of(&item);

		spoil(&item, spoilt[i][0] ? spoilt[i][0] : machine, spoilt[i][1]);
		assert_refused(fleet, &item, false, spoilt[i][2]);
	}
}

static void a_target_that_is_another_machine_is_refused(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, refuse_other_machines);
}

static void refuse_the_impossible(struct fleet *fleet)
{
	const struct move_options options = {.deadline = LIVE_DEADLINE};
	const unsigned int guest = 0;
	struct move_report report;

	mark_guest(fleet, 0);
	assert_fails(fleet_move(fleet, &guest, 1, 1, &options, &report), ERROR_GUEST,
		"its memory is no file that another QEMU could share");
	assert_fails(fleet_move(fleet, &guest, 1, 0, &options, &report), ERROR_USAGE,
		"on stack 0 already");
	assert_fails(fleet_move(fleet, &guest, 1, 7, &options, &report), ERROR_USAGE, "no stack 7");
	assert_marked(fleet, 0);
}

static void what_cannot_be_moved_is_refused_before_it_stops(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	spec.ram = RAM_PRIVATE;
	live_run(&spec, refuse_the_impossible);
}

static void digest_everything(struct fleet *fleet)
{
	const struct move_options options = {.digest_all = true, .deadline = LIVE_DEADLINE};
	const struct move_options copying = {
		.method = MOVE_PRECOPY, .digest_all = true, .deadline = LIVE_DEADLINE};
	struct move_report report;
	const unsigned int guest = 0;

	mark_guest(fleet, 0);
	assert_ok(fleet_move(fleet, &guest, 1, 1, &options, &report));
	assert_in_range(report.digest_pages, 1000, (128 << 20) / 4096);
	assert_marked(fleet, 0);
	assert_ok(fleet_move(fleet, &guest, 1, 0, &copying, &report));
	assert_marked(fleet, 0);
}

static void all_of_the_memory_can_be_compared(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, digest_everything);
}

/* ---- figures, for who asks ---- */

static void move_large(struct fleet *fleet)
{
	const unsigned int guest = 0;
	const char *const fill[] = {
		"/sbin/fleetlab-guest", "fill", "--percent", "85", "--daemon", NULL};
	_cleanup_(exec_result_deinit) struct exec_result filled = {0};
	struct move_report report;

	assert_ok(agent_exec(fleet_agent(fleet, 0), fill, NULL, 0, LIVE_DEADLINE, &filled));
	assert_int_equal(filled.exit_status, 0);
	for (unsigned int to = 1; to < 8; to++) {
		const struct move_options options = {
			.method = to == 7 ? MOVE_PRECOPY : MOVE_ZEROCOPY,
			.populate = to > 3,
			.deadline = LIVE_DEADLINE};

		assert_ok(fleet_move(fleet, &guest, 1, to % 2, &options, &report));
		print_report(&options, &report);
	}
}

static void a_large_guest_is_moved(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	if (!getenv("FLEETLAB_TEST_LARGE_MIB"))
		skip();
	spec.start = FLEET_COLD;
	spec.memory_bytes = strtoull(getenv("FLEETLAB_TEST_LARGE_MIB"), NULL, 10) << 20;
	live_run(&spec, move_large);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_is_moved_without_copying),
		cmocka_unit_test(a_guest_is_moved_by_precopy),
		cmocka_unit_test(a_guest_is_moved_by_postcopy),
		cmocka_unit_test(a_guest_is_moved_by_cpr_transfer),
		cmocka_unit_test(cpr_transfer_is_refused),
		cmocka_unit_test(a_cold_guest_is_moved),
		cmocka_unit_test(a_target_with_other_memory_is_refused),
		cmocka_unit_test(a_target_that_is_another_machine_is_refused),
		cmocka_unit_test(what_cannot_be_moved_is_refused_before_it_stops),
		cmocka_unit_test(all_of_the_memory_can_be_compared),
		cmocka_unit_test(a_large_guest_is_moved),
	};

	return live_main(argc, argv, "moves", tests, ARRAY_SIZE(tests));
}
