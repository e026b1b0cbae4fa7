/*
 * kill -9 at each step of the night that confirms a regression, and again at each step of the night
 * that goes on with it: whatever comes then, people are told of it, in one night. SYNTHETIC
 * readings. A step is a file that the night has put in place, since what is in no file did not
 * happen.
 */
#include "harness/nightly/test/fake_lab.h"

#include "harness/base/log.h"
#include "harness/base/process.h"
#include "harness/record/samples.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { LEARNED = 12, NIGHTS_AFTER = 3, MOST_STEPS = 100 };

/* ---- steps ---- */

static int steps, last_step; /* the latter: none when 0 */

/* In place of the C library's: what fs_write_atomic() ends with. */
int rename(const char *from, const char *to)
{
	int result = (int)syscall(SYS_rename, from, to);

	if (++steps == last_step)
		raise(SIGKILL);
	return result;
}

/* ---- telling ---- */

static const json_t *delay_row(const json_t *night)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(night, "metrics"), i, row) {
		if (strcmp(json_text(row, "variant"), "delay") == 0)
			return row;
	}
	return NULL;
}

static struct error *tell(void *context, json_t *night, bool *told)
{
	const json_t *verdict = json_object_get(delay_row(night), "verdict");
	_cleanup_free_ char *path = scratch_path("told");
	FILE *out = fopen(path, "a");

	(void)context;
	(void)told;
	assert_non_null(out);
	if (json_is_true(json_object_get(verdict, "alert")))
		fprintf(out, "%s\n", json_text(night, "id"));
	fclose(out);
	return NULL;
}

/* In how many nights people were told of an alert; a night that is told twice is one. */
static size_t nights_told(void)
{
	_cleanup_free_ char *path = scratch_path("told");
	_cleanup_free_ char *text = NULL;
	_cleanup_error_ struct error *none = fs_read(path, 1 << 16, &text, NULL);
	const char *before = "";
	size_t count = 0;
	char *rest = NULL;

	for (char *id = none ? NULL : strtok_r(text, "\n", &rest); id;
		id = strtok_r(NULL, "\n", &rest)) {
		count += strcmp(id, before) != 0;
		before = id;
	}
	return count;
}

/* ---- nights ---- */

/* In a process of its own; false when it was killed. */
static bool spend_night(struct fake_lab *lab, int at_step, bool resume_only)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		steps = 0;
		last_step = at_step;
		json_decref(fake_night_with(lab,
			(struct night_options){
				.force_busy = true, .resume_only = resume_only, .tell = tell}));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
	return WIFEXITED(status);
}

/* The hour at which the night was to end has come while nothing ran. */
static void let_its_time_pass(void)
{
	_cleanup_free_ char *results = scratch_path("results");
	_cleanup_(night_list_deinit) struct night_list list = {0};

	assert_ok(night_list_load(results, NULL, &list));
	json_t *last = list.nights[list.count - 1];

	if (!night_is(last, "in-progress"))
		return;
	json_object_set(last, "end_by", json_object_get(last, "started"));
	assert_ok(night_save(last, results));
}

static void copy_tree(const char *from, const char *to)
{
	_cleanup_free_ char *source = scratch_path(from);
	_cleanup_free_ char *target = scratch_path(to);
	const char *const words[] = {"cp", "-r", source, target, NULL};

	assert_ok(fs_remove_tree(target));
	assert_ok(process_check(words, NULL, deadline_after_ms(TEST_TIMEOUT_MS), NULL));
}

/* Nights to compare with, and the first one of a regression, which nobody is told of yet. */
static void begin_regression(struct fake_lab *lab)
{
	fake_lab_init(lab, 1);
	for (int i = 0; i < LEARNED; i++)
		json_decref(fake_night(lab));
	lab->slow_delay = 1.5;
	json_decref(fake_night_with(lab, (struct night_options){.force_busy = true, .tell = tell}));
	assert_int_equal(nights_told(), 0);
	/* Nobody looks at these again, and they are to be copied often. */
	_cleanup_free_ char *runs = scratch_path("results/runs");

	assert_ok(fs_remove_tree(runs));
	copy_tree("results", "before");
}

static void begin_anew(void)
{
	_cleanup_free_ char *told = scratch_path("told");

	copy_tree("before", "results");
	assert_true(unlink(told) == 0 || errno == ENOENT);
}

/* Both cuts, and what comes then; false when the second came too late. */
static bool is_cut_twice(struct fake_lab *lab, int first, int second, bool in_time)
{
	begin_anew();
	if (spend_night(lab, first, false))
		return false;
	bool ended = spend_night(lab, second, true);

	if (in_time)
		spend_night(lab, 0, true);
	else
		let_its_time_pass();
	for (int i = 0; i < NIGHTS_AFTER && nights_told() == 0; i++)
		spend_night(lab, 0, false);
	spend_night(lab, 0, false); /* it is not told again */
	if (nights_told() != 1)
		fail_msg("killed at step %d, then at step %d%s: told in %zu nights", first, second,
			in_time ? "" : " and its time was over", nights_told());
	return !ended;
}

static void an_alert_is_told_whatever_cuts_the_night(void **state)
{
	struct fake_lab lab;
	int first, cuts = 0;

	(void)state;
	begin_regression(&lab);
	for (first = 1; first < MOST_STEPS; first++) {
		begin_anew();
		if (spend_night(&lab, first, false))
			break;
		is_cut_twice(&lab, first, first, true);
		/* Half of all pairs: each step is met by every other one. */
		for (int second = 1 + first % 2; is_cut_twice(&lab, first, second, false);
			second += 2)
			cuts++;
	}
	printf("%d steps, %d pairs of cuts\n", first - 1, cuts);
	assert_true(first > 10 && first < MOST_STEPS);
	gsl_rng_free(lab.rng);
}

int main(void)
{
	const struct CMUnitTest tests[] = {scratch_test(an_alert_is_told_whatever_cuts_the_night)};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
