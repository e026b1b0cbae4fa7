/* The loads that run through a migration, as processes of this host: they find what is damaged, and
 * say what they reached. */
#include "workloads/host/test/guest_program.h"
#include "workloads/guest/disk_block.h"

#include <fcntl.h>

/* The file in which a process keeps what it has filled. */
static int open_memory(pid_t pid, int flags)
{
	for (int number = 3; number < 16; number++) {
		_cleanup_free_ char *path = format_string("/proc/%d/fd/%d", pid, number);
		char target[64] = "";

		if (readlink(path, target, sizeof(target) - 1) > 0 &&
			strncmp(target, "/memfd:", 7) == 0)
			return open(path, flags | O_CLOEXEC);
	}
	fail_msg("process %d has no memory file", pid);
	return -1;
}

static void filled_memory_is_verified_page_by_page(void **state)
{
	(void)state;
	_cleanup_free_ char *output = scratch_path("fill");
	_cleanup_free_ char *option = format_string("--output=%s", output);
	struct running fill =
		guest_start(GUEST_WORDS("fill", "--mib=4", "--seed=7", "--daemon", option));
	_cleanup_free_ char *verify = format_string("--verify=%d", fill.pid);
	_cleanup_json_ json_t *intact = guest_succeeds(GUEST_WORDS("fill", verify));

	assert_int_equal(member(intact, "pages"), 1024);
	assert_true(truth(intact, "intact"));
	/* One bit of one page. */
	_cleanup_close_ int fd = open_memory(fill.pid, O_RDWR);
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, 1000 * 4096 + 4095), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 1000 * 4096 + 4095), 1);
	_cleanup_json_ json_t *damaged = guest_succeeds(GUEST_WORDS("fill", verify));

	assert_false(truth(damaged, "intact"));
	assert_int_equal(member(damaged, "bad_pages"), 1);
	assert_int_equal(member(damaged, "first_bad_page"), 1000);
	_cleanup_json_ json_t *result = guest_collect(&fill, false);

	assert_int_equal(member(result, "pages"), 1024);
	guest_fails("keeps no filled memory", GUEST_WORDS("fill", "--verify=1"));
}

static int compare_words(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

/* No page is another's double, none is zero, in one guest and between guests. */
static void filled_pages_all_differ(void **state)
{
	(void)state;
	enum { PAGES = 2 * 512 };
	_cleanup_free_ uint64_t *firsts = calloc(PAGES, sizeof(*firsts));
	static const char *const seeds[] = {"--seed=0", "--seed=1"};

	for (int i = 0; i < 2; i++) {
		struct running fill = guest_start(
			GUEST_WORDS("fill", "--mib=2", seeds[i], "--daemon", "--output=/dev/null"));
		_cleanup_close_ int fd = open_memory(fill.pid, O_RDONLY);

		for (int page = 0; page < 512; page++) {
			assert_int_equal(pread(fd, &firsts[i * 512 + page], 8, page * 4096), 8);
			assert_true(firsts[i * 512 + page] != 0);
		}
		guest_kill(&fill);
	}
	qsort(firsts, PAGES, sizeof(*firsts), compare_words);
	for (int i = 1; i < PAGES; i++)
		assert_true(firsts[i] != firsts[i - 1]);
}

static void more_memory_than_there_is_is_refused(void **state)
{
	(void)state;
	guest_fails("are wanted", GUEST_WORDS("fill", "--mib=1048576"));
	guest_fails("available", GUEST_WORDS("dirty", "--percent=100"));
}

/* A disk written to; returns what the writer said. */
static json_t *write_disk(const char *path, const char *mib)
{
	_cleanup_free_ char *device = format_string("--device=%s", path);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(ftruncate(fd, 4 << 20), 0);
	return guest_succeeds(GUEST_WORDS("disk-write", device, mib, "--rate=2000", "--seconds=1"));
}

static json_t *check_disk(
	const char *path, const char *mib, json_int_t run, json_int_t acknowledged)
{
	_cleanup_free_ char *device = format_string("--device=%s", path);
	_cleanup_free_ char *number = format_string("--run=%lld", (long long)run);
	_cleanup_free_ char *count = format_string("--acknowledged=%lld", (long long)acknowledged);

	return guest_succeeds(GUEST_WORDS("disk-check", device, mib, number, count));
}

static void every_acknowledged_block_is_looked_for(void **state)
{
	(void)state;
	static const char *const sizes[] = {"--mib=1", "--mib=4"};
	_cleanup_free_ char *path = scratch_path("disk");

	/* Gone round more than once, and not even once. */
	for (int i = 0; i < 2; i++) {
		json_int_t slots = i ? 1024 : 256;
		_cleanup_json_ json_t *writer = write_disk(path, sizes[i]);
		json_int_t run = member(writer, "run"), count = member(writer, "acknowledged");
		_cleanup_json_ json_t *checked = check_disk(path, sizes[i], run, count);

		assert_true(count > 0);
		assert_int_equal(member(checked, "checked"), count < slots ? count : slots);
		assert_true(truth(checked, "intact"));
		/* One more was acknowledged, and is not there. */
		_cleanup_json_ json_t *lost = check_disk(path, sizes[i], run, count + 1);

		assert_int_equal(member(lost, "lost") + member(lost, "damaged"), 1);
		assert_false(truth(lost, "intact"));
		/* What another run has written does not count. */
		_cleanup_json_ json_t *other = check_disk(path, sizes[i], run ^ 1, count);

		assert_int_equal(member(other, "damaged"), count < slots ? count : slots);
	}
}

static void a_damaged_block_is_found(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("disk");
	_cleanup_json_ json_t *writer = write_disk(path, "--mib=1");
	json_int_t run = member(writer, "run"), count = member(writer, "acknowledged");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	struct disk_block block;

	assert_int_equal(pread(fd, &block, sizeof(block), 0), sizeof(block));
	assert_true(disk_block_is_whole(&block, (uint64_t)run, 256));
	block.filler[300] ^= 4;
	assert_int_equal(pwrite(fd, &block, sizeof(block), 0), sizeof(block));
	_cleanup_json_ json_t *checked = check_disk(path, "--mib=1", run, count);

	assert_int_equal(member(checked, "damaged"), 1);
	/* Whole, but of the round before. */
	disk_block_make(&block, (uint64_t)run, 0, 256);
	assert_int_equal(pwrite(fd, &block, sizeof(block), 0), sizeof(block));
	_cleanup_json_ json_t *older = check_disk(path, "--mib=1", run, count);

	assert_int_equal(member(older, "lost"), count > 256 ? 1 : 0);
	assert_int_equal(member(older, "damaged"), 0);
}

static void a_disk_that_is_too_small_is_refused(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("disk");
	_cleanup_free_ char *device = format_string("--device=%s", path);

	assert_ok(fs_write_atomic(path, "x", 1));
	guest_fails("is smaller than 16 MiB", GUEST_WORDS("disk-write", device));
	guest_fails("what has disk-write written?", GUEST_WORDS("disk-check", device));
}

static json_int_t sum(const json_t *numbers)
{
	json_int_t total = 0;
	json_t *number;
	size_t i;

	json_array_foreach (numbers, i, number)
		total += json_integer_value(number);
	return total;
}

/* What was counted in windows is what was done, but for the last, unfinished window. */
static void dirtying_is_counted_in_windows(void **state)
{
	(void)state;
	_cleanup_free_ char *output = scratch_path("dirty");
	_cleanup_free_ char *option = format_string("--output=%s", output);
	struct running dirty = guest_start(GUEST_WORDS("dirty", "--mib=2", "--rate=0",
		"--seconds=1", "--window-ms=5", "--daemon", option));
	_cleanup_json_ json_t *result = guest_collect(&dirty, true);
	const json_t *windows = json_object_get(result, "pages_per_window");
	json_int_t took = member(result, "end_ns") - member(result, "start_ns");
	json_int_t pages = member(result, "pages");

	assert_int_equal(json_array_size(windows), took / 5000000);
	assert_in_range(sum(windows), 1, pages);
	assert_in_range(pages - sum(windows), 0, pages / 2);
	assert_true(took >= 1000000000);
	/* And with a rate: not more than that. */
	_cleanup_json_ json_t *slow =
		guest_succeeds(GUEST_WORDS("dirty", "--mib=1", "--rate=500", "--seconds=1"));

	assert_in_range(member(slow, "pages"), 1, 500);
	assert_in_range(member(slow, "reached_rate"), 1, 500);
}

static void what_runs_in_the_background_can_be_ended(void **state)
{
	(void)state;
	static const char *const commands[][3] = {{"dirty", "--mib=1", "--seconds=3600"},
		{"clock-gap", "--threshold-us=1000000", "--seconds=3600"},
		{"echo", "--port=0", "--seconds=0"}};
	_cleanup_free_ char *output = scratch_path("output");
	_cleanup_free_ char *option = format_string("--output=%s", output);

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		struct running running = guest_start(GUEST_WORDS(
			commands[i][0], commands[i][1], commands[i][2], "--daemon", option));
		_cleanup_json_ json_t *result = guest_collect(&running, false);

		assert_null(json_object_get(result, "error"));
	}
}

/* It has ended by itself, and its number belongs to someone else. */
static void collecting_never_ends_another_process(void **state)
{
	(void)state;
	_cleanup_free_ char *output = scratch_path("output");
	_cleanup_free_ char *option = format_string("--output=%s", output);
	_cleanup_free_ char *own = format_string("--pid=%d", getpid());

	assert_ok(fs_write_atomic(output, "{}\n", 3));
	_cleanup_json_ json_t *result = guest_succeeds(GUEST_WORDS("collect", own, option));

	assert_int_equal(json_object_size(result), 0);
	assert_ok(fs_write_atomic(output, "", 0));
	guest_fails("ended without a result", GUEST_WORDS("collect", own, option));
}

static void one_that_does_not_end_in_time_is_an_error(void **state)
{
	(void)state;
	_cleanup_free_ char *output = scratch_path("output");
	_cleanup_free_ char *option = format_string("--output=%s", output);
	struct running echo = guest_start(GUEST_WORDS("echo", "--port=0", "--daemon", option));
	_cleanup_free_ char *pid = format_string("--pid=%d", echo.pid);

	guest_freeze(&echo);
	guest_fails("has not ended within 50 ms",
		GUEST_WORDS("collect", pid, option, "--deadline-ms=50"));
	guest_kill(&echo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(filled_memory_is_verified_page_by_page),
		scratch_test(filled_pages_all_differ),
		scratch_test(more_memory_than_there_is_is_refused),
		scratch_test(every_acknowledged_block_is_looked_for),
		scratch_test(a_damaged_block_is_found),
		scratch_test(a_disk_that_is_too_small_is_refused),
		scratch_test(dirtying_is_counted_in_windows),
		scratch_test(what_runs_in_the_background_can_be_ended),
		scratch_test(collecting_never_ends_another_process),
		scratch_test(one_that_does_not_end_in_time_is_an_error),
	};

	return cmocka_run_group_tests(tests, become_subreaper, NULL);
}
