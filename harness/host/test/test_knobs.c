/* Borrowed knobs on a made-up /sys, with owners killed at the worst moments. The real settings of
 * the host are never touched: everything is relocated into a scratch directory. */
#include "harness/base/test/scratch_cache.h"
#include "harness/base/test/child.h"
#include "harness/host/knobs.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define KSM_RUN "/sys/kernel/mm/ksm/run"
#define KSM_SCAN "/sys/kernel/mm/ksm/pages_to_scan"
#define HUGE_PAGES "/proc/sys/vm/nr_hugepages"
#define THP "/sys/kernel/mm/transparent_hugepage/enabled"

/* What is written to a made-up knob replaces as many bytes, where a real one takes it as a whole:
 * the values here are chosen accordingly. */
static char *runtime;

static int made_up_host(void **state)
{
	if (scratch_make_cache(state) < 0)
		return -1;
	scratch_write("root" KSM_RUN, "0\n", 0644);
	scratch_write("root" KSM_SCAN, "100\n", 0644);
	scratch_write("root" HUGE_PAGES, "100\n", 0644);
	scratch_write("root" THP, "always [madvise] never\n", 0644);
	_cleanup_free_ char *root = scratch_path("root");

	free(runtime);
	runtime = scratch_path("run");
	knobs_relocate(root, runtime);
	return 0;
}

static int remove_host(void **state)
{
	knobs_relocate(NULL, NULL);
	return scratch_remove(state);
}

static void assert_knob(const char *knob, const char *expected)
{
	_cleanup_free_ char *path = format_string("%s/root%s", scratch, knob);
	_cleanup_free_ char *value = fs_read_line(path);

	assert_non_null(value);
	assert_string_equal(value, expected);
}

static void set_knob(const char *knob, const char *value)
{
	_cleanup_free_ char *name = format_string("root%s", knob);

	scratch_write(name, value, 0644);
}

static bool journal_exists(void)
{
	_cleanup_free_ char *path = scratch_path("run/knobs.json");

	return access(path, F_OK) == 0;
}

static struct error *borrow_ksm(const void *value)
{
	return knob_borrow(KSM_RUN, value);
}

/* The kernel may give less than it was asked for; what lies beyond that is somebody else's doing.
 */
static void fewer_huge_pages_are_given_back_too(void **state)
{
	_cleanup_json_ json_t *warnings = json_array();

	(void)state;
	assert_ok(knob_borrow(HUGE_PAGES, "900"));
	set_knob(HUGE_PAGES, "500\n");
	assert_ok(knobs_give_back(warnings));
	assert_knob(HUGE_PAGES, "100");
	assert_int_equal(json_array_size(warnings), 0);
	assert_ok(knob_borrow(HUGE_PAGES, "500"));
	set_knob(HUGE_PAGES, "900\n");
	assert_ok(knobs_give_back(warnings));
	assert_knob(HUGE_PAGES, "900");
	assert_int_equal(json_array_size(warnings), 1);
	assert_false(journal_exists());
}

static void borrowed_and_given_back(void **state)
{
	_cleanup_json_ json_t *warnings = json_array();

	(void)state;
	assert_ok(knob_borrow(KSM_RUN, "1"));
	assert_ok(knob_borrow(KSM_SCAN, "500"));
	assert_ok(knob_borrow(KSM_SCAN, "900"));
	assert_knob(KSM_SCAN, "900");
	assert_true(journal_exists());
	assert_ok(knobs_give_back(warnings));
	assert_knob(KSM_RUN, "0");
	assert_knob(KSM_SCAN, "100");
	assert_false(journal_exists());
	assert_int_equal(json_array_size(warnings), 0);
	assert_ok(knobs_give_back(warnings));
}

static void killed_owner_is_cleaned_up_after(void **state)
{
	_cleanup_json_ json_t *warnings = json_array();

	(void)state;
	child_kill(child_holding(borrow_ksm, "1"));
	assert_knob(KSM_RUN, "1");
	assert_ok(knobs_recover(warnings));
	assert_knob(KSM_RUN, "0");
	assert_false(journal_exists());
	assert_int_equal(json_array_size(warnings), 0);
}

/* A child that does `body`, and stands still before it. */
static pid_t traced(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(3);
		raise(SIGSTOP);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSTOPPED(status)) {
		print_message("no ptrace here\n");
		skip();
	}
	return pid;
}

/* Goes on for so many stops, two a system call; false when it has ended before, with *status. */
static bool step(pid_t pid, int stops, int *status)
{
	for (int i = 0; i < stops; i++) {
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		assert_int_equal(waitpid(pid, status, 0), pid);
		if (!WIFSTOPPED(*status))
			return false;
	}
	return true;
}

static int borrow_or_fail(void)
{
	return knob_borrow(KSM_RUN, "1") ? 2 : 0;
}

/*
 * Killed at every system call of knob_borrow(), one after the other: whatever has happened by then,
 * recovery leaves the old value and no journal. This covers in particular "on disk, not yet
 * changed" and "changed, not yet read back".
 */
static void killed_at_every_system_call(void **state)
{
	int reached_end = 0;
	int changed_before_kill = 0, journalled_unchanged = 0;

	(void)state;
	for (int stop_at = 1; !reached_end; stop_at++) {
		int status;
		pid_t pid = traced(borrow_or_fail);

		reached_end = !step(pid, stop_at, &status);
		if (!reached_end)
			child_kill(pid);
		_cleanup_free_ char *path = scratch_path("root" KSM_RUN);
		_cleanup_free_ char *value = fs_read_line(path);

		changed_before_kill += strcmp(value, "1") == 0;
		journalled_unchanged += journal_exists() && strcmp(value, "0") == 0;
		assert_ok(knobs_recover(NULL));
		assert_knob(KSM_RUN, "0");
		assert_false(journal_exists());
		assert_true(stop_at < 1000);
	}
	assert_true(changed_before_kill > 0);
	assert_true(journalled_unchanged > 0);
}

static int list_or_fail(void)
{
	json_t *entries;

	return knobs_list(&entries) ? 2 : 0;
}

/* Others read the journal without its lock, and whoever gives back the last knob removes it: at
 * every system call of the reading, one after the other. */
static void journal_removed_at_every_system_call(void **state)
{
	_cleanup_free_ char *path = scratch_path("run/knobs.json");
	bool reached_end = false;

	(void)state;
	for (int stop_at = 1; !reached_end; stop_at++) {
		int status;
		pid_t pid;

		scratch_write("run/knobs.json", "[]", 0644);
		pid = traced(list_or_fail);
		reached_end = !step(pid, stop_at, &status);
		assert_int_equal(unlink(path), 0);
		if (!reached_end) {
			ptrace(PTRACE_CONT, pid, NULL, NULL);
			assert_int_equal(waitpid(pid, &status, 0), pid);
		}
		assert_int_equal(status, 0);
		assert_true(stop_at < 1000);
	}
}

/* What a living owner has must not be given back because it cannot be looked at. */
static void an_owner_out_of_sight_is_not_dead(void **state)
{
	_cleanup_free_ char *boot = fs_read_line("/proc/sys/kernel/random/boot_id");
	_cleanup_free_ char *owner = scratch_path("run/out-of-sight");
	_cleanup_free_ char *journal =
		format_string("[{\"path\": \"" KSM_RUN "\", \"old\": \"0\", \"value\": \"1\", "
			      "\"owner\": \"out-of-sight\", \"boot_id\": \"%s\"}]",
			boot);
	_cleanup_json_ json_t *entries = NULL;

	(void)state;
	set_knob(KSM_RUN, "1\n");
	scratch_write("run/knobs.json", journal, 0644);
	assert_int_equal(symlink(owner, owner), 0); /* cannot be opened, and is there */
	assert_ok(knobs_recover(NULL));
	assert_knob(KSM_RUN, "1");
	assert_ok(knobs_list(&entries));
	assert_true(json_is_true(json_object_get(json_array_get(entries, 0), "alive")));
	assert_int_equal(unlink(owner), 0);
	assert_ok(knobs_recover(NULL));
	assert_knob(KSM_RUN, "0");
}

static void second_owner_is_told_who_has_it(void **state)
{
	pid_t pid = child_holding(borrow_ksm, "1");
	_cleanup_json_ json_t *entries = NULL;
	char pid_text[24];

	(void)state;
	snprintf(pid_text, sizeof(pid_text), "pid %d", (int)pid);
	_cleanup_error_ struct error *err = knob_borrow(KSM_RUN, "2");

	assert_non_null(err);
	assert_non_null(strstr(error_message(err), KSM_RUN));
	assert_non_null(strstr(error_message(err), pid_text));
	assert_knob(KSM_RUN, "1");
	assert_ok(knob_borrow(KSM_SCAN, "500"));
	assert_ok(knobs_list(&entries));
	assert_int_equal(json_array_size(entries), 2);
	assert_true(json_is_true(json_object_get(json_array_get(entries, 0), "alive")));

	/* Recovery leaves what the living have. */
	assert_ok(knobs_recover(NULL));
	assert_knob(KSM_RUN, "1");
	assert_ok(knobs_give_back(NULL));
	assert_knob(KSM_SCAN, "100");
	assert_knob(KSM_RUN, "1");
	child_kill(pid);
	assert_ok(knobs_recover(NULL));
	assert_knob(KSM_RUN, "0");
}

static void foreign_change_is_not_clobbered(void **state)
{
	_cleanup_json_ json_t *warnings = json_array();

	(void)state;
	assert_ok(knob_borrow(KSM_SCAN, "1000"));
	set_knob(KSM_SCAN, "777\n");
	assert_ok(knobs_give_back(warnings));
	assert_knob(KSM_SCAN, "777");
	assert_int_equal(json_array_size(warnings), 1);
	const char *warning = json_string_value(json_array_get(warnings, 0));

	assert_non_null(strstr(warning, KSM_SCAN));
	assert_non_null(strstr(warning, "777"));
	assert_non_null(strstr(warning, "100"));
	assert_false(journal_exists());
}

/* The old value of a choice is the word in brackets: writing the whole line back would fail on a
 * real kernel. */
static void choice(void **state)
{
	_cleanup_json_ json_t *entries = NULL;

	(void)state;
	set_knob(THP, "[a] n");
	assert_ok(knob_borrow(THP, "never"));
	assert_ok(knobs_list(&entries));
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(entries, 0), "old")), "a");
}

/* A journal from before a restart of the host is void: all settings are fresh then. */
static void other_boot(void **state)
{
	_cleanup_free_ char *path = scratch_path("run/knobs.json");
	_cleanup_json_ json_t *entries = NULL;

	(void)state;
	child_kill(child_holding(borrow_ksm, "1"));
	entries = json_load_file(path, 0, NULL);
	json_object_set_new(json_array_get(entries, 0), "boot_id", json_string("another"));
	assert_int_equal(json_dump_file(entries, path, 0), 0);
	assert_ok(knobs_recover(NULL));
	assert_knob(KSM_RUN, "1");
	assert_false(journal_exists());
}

static void only_what_is_on_the_list(void **state)
{
	static const char *const refused[] = {"/proc/sys/kernel/panic", "/etc/passwd",
		"/sys/kernel/mm/ksm/../../panic", "/sys/devices/system/cpu/cpu0/online",
		"sys/kernel/mm/ksm/run"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup_error_ struct error *err = knob_borrow(refused[i], "1");

		assert_non_null(err);
		assert_non_null(strstr(error_message(err), refused[i]));
	}
	set_knob("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
	assert_ok(knob_borrow(
		"/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance"));
	assert_ok(knobs_give_back(NULL));
}

/* A journal that was tampered with must not make us write anywhere. */
static void forged_journal(void **state)
{
	_cleanup_free_ char *boot = fs_read_line("/proc/sys/kernel/random/boot_id");
	_cleanup_free_ char *journal = format_string("[{\"path\": \"/etc/motd\", \"old\": \"x\", "
						     "\"value\": \"y\", \"boot_id\": \"%s\"}]",
		boot);

	(void)state;
	set_knob("/etc/motd", "y\n");
	scratch_write("run/knobs.json", journal, 0644);
	_cleanup_error_ struct error *err = knobs_recover(NULL);

	assert_non_null(err);
	assert_knob("/etc/motd", "y");
}

static void damaged_journal(void **state)
{
	_cleanup_json_ json_t *entries = NULL;

	(void)state;
	scratch_write("run/knobs.json", "[{\"path\"", 0644);
	_cleanup_error_ struct error *err = knob_borrow(KSM_RUN, "1");
	_cleanup_error_ struct error *err2 = knobs_list(&entries);

	assert_non_null(err);
	assert_non_null(error_remedy(err));
	assert_non_null(err2);
	assert_null(entries);
	assert_knob(KSM_RUN, "0");
}

static void missing_knob_and_value_not_taken(void **state)
{
	_cleanup_free_ char *path = scratch_path("root/sys/kernel/mm/ksm/link");

	(void)state;
	_cleanup_error_ struct error *missing = knob_borrow("/sys/kernel/mm/ksm/none", "1");

	assert_non_null(missing);
	assert_false(journal_exists());
	/* /dev/null takes every value and reads as empty: a kernel that ignores what is written. */
	assert_int_equal(symlink("/dev/null", path), 0);
	_cleanup_error_ struct error *ignored = knob_borrow("/sys/kernel/mm/ksm/link", "1");

	assert_non_null(ignored);
	assert_non_null(strstr(error_message(ignored), "reads"));
	assert_false(journal_exists());
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, made_up_host, remove_host)
	const struct CMUnitTest tests[] = {
		TEST(borrowed_and_given_back),
		TEST(fewer_huge_pages_are_given_back_too),
		TEST(killed_owner_is_cleaned_up_after),
		TEST(killed_at_every_system_call),
		TEST(journal_removed_at_every_system_call),
		TEST(an_owner_out_of_sight_is_not_dead),
		TEST(second_owner_is_told_who_has_it),
		TEST(foreign_change_is_not_clobbered),
		TEST(choice),
		TEST(other_boot),
		TEST(only_what_is_on_the_list),
		TEST(forged_journal),
		TEST(damaged_journal),
		TEST(missing_knob_and_value_not_taken),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(runtime);
	return failed;
}
