/* One night and what befalls it: cuts, a host in use, damaged records, runs that fail. SYNTHETIC
 * readings. */
#include "harness/nightly/test/stored_nights.h"

#include "harness/base/log.h"
#include "harness/host/use.h"
#include "harness/nightly/hook.h"
#include "harness/nightly/judge.h"
#include "harness/nightly/night_internal.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- cuts ---- */

static struct error *interrupt_aa(const struct run_options *options)
{
	return options->plan.aa ? error_new(ERROR_INTERRUPTED, "interrupted") : NULL;
}

static void a_cut_night_goes_on(void **state)
{
	_cleanup_(night_list_deinit) struct night_list list = {0};
	_cleanup_json_ json_t *cut = NULL;
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.refuse = interrupt_aa;
	cut = fake_night(&lab);
	assert_string_equal(json_text(cut, "state"), "in-progress");
	assert_int_equal(json_number(cut, "exit_status", 0), NIGHT_INTERRUPTED);
	assert_non_null(strstr(json_text(cut, "reason"), "--resume"));
	lab.refuse = NULL;
	lab.runs = 0;
	night = fake_night(&lab);
	assert_string_equal(json_text(night, "state"), "complete");
	assert_string_equal(json_text(night, "id"), json_text(cut, "id"));
	assert_int_equal(json_number(night, "resumed", 0), 1);
	assert_string_equal(
		json_text(run_of(night, "aa"), "id"), json_text(run_of(cut, "aa"), "id"));
	assert_int_equal(lab.runs, 1); /* what was measured is not measured again */
	load_nights(&list);
	assert_int_equal(list.count, 1);
	gsl_rng_free(lab.rng);
}

static void resuming_takes_the_nights_own_plan(void **state)
{
	_cleanup_json_ json_t *parameters = json_pack("{s:s}", "readings", "7");
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.refuse = interrupt_aa;
	json_decref(fake_night_with(
		&lab, (struct night_options){.force_busy = true, .overrides = parameters}));
	lab.refuse = NULL;
	night = fake_night_with(
		&lab, (struct night_options){.force_busy = true, .resume_only = true});
	assert_string_equal(json_text(night, "state"), "complete");
	assert_true(json_equal(
		json_object_get(json_object_get(night, "asked"), "parameters"), parameters));
	assert_null(fake_night_with(
		&lab, (struct night_options){.force_busy = true, .resume_only = true}));
	gsl_rng_free(lab.rng);
}

static void a_night_whose_time_is_over_is_closed(void **state)
{
	_cleanup_(night_list_deinit) struct night_list list = {0};
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.refuse = interrupt_aa;
	/* So little time that it is no use to go on. */
	json_decref(fake_night_with(
		&lab, (struct night_options){.force_busy = true, .end_by = time(NULL) + 9}));
	lab.refuse = NULL;
	night = fake_night(&lab);
	assert_string_equal(json_text(night, "state"), "complete");
	assert_int_equal(json_number(night, "resumed", 0), 0);
	load_nights(&list);
	assert_int_equal(list.count, 2);
	assert_string_equal(json_text(list.nights[0], "state"), "incomplete");
	assert_non_null(strstr(json_text(list.nights[0], "reason"), "its time was over"));
	gsl_rng_free(lab.rng);
}

/* Other mechanisms or parameters are not what the cut night was to measure. */
static void another_plan_is_another_night(void **state)
{
	_cleanup_json_ json_t *parameters = json_pack("{s:s}", "readings", "7");
	_cleanup_(night_list_deinit) struct night_list list = {0};
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.refuse = interrupt_aa;
	json_decref(fake_night(&lab));
	lab.refuse = NULL;
	json_decref(fake_night_with(
		&lab, (struct night_options){.force_busy = true, .overrides = parameters}));
	load_nights(&list);
	assert_int_equal(list.count, 2);
	assert_string_equal(json_text(list.nights[0], "state"), "incomplete");
	assert_string_equal(json_text(list.nights[1], "state"), "complete");
	gsl_rng_free(lab.rng);
}

/* The kernel ended it between the journal's file and its first line. */
static void a_run_that_had_not_begun_is_begun_anew(void **state)
{
	_cleanup_json_ json_t *cut = NULL;
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.refuse = interrupt_aa;
	cut = fake_night(&lab);
	const char *id = json_text(run_of(cut, "aa"), "id");
	_cleanup_free_ char *dir = format_string("%s/results/runs/%s", scratch, id);
	_cleanup_free_ char *journal = format_string("%s/journal.jsonl", dir);

	assert_ok(fs_make_dirs(dir));
	assert_ok(fs_write_atomic(journal, "{\"run\": {\"id\":", 15));
	lab.refuse = NULL;
	night = fake_night(&lab);
	assert_string_equal(json_text(night, "state"), "complete");
	assert_int_equal(lab.resumed, 0);
	assert_true(access(journal, F_OK) < 0);
	assert_string_equal(json_text(run_of(night, "aa"), "state"), "complete");
	const json_t *notes = json_object_get(night, "notes");

	assert_int_equal(json_array_size(notes), 1);
	assert_non_null(strstr(json_string_value(json_array_get(notes, 0)), "begun anew"));
	gsl_rng_free(lab.rng);
}

/* A kill between the record of an interrupted run and what the night says of it. */
static void an_interrupted_run_goes_on_though_it_is_planned(void **state)
{
	_cleanup_json_ json_t *cut = NULL;
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.aa_state = "interrupted";
	cut = fake_night(&lab);
	assert_string_equal(json_text(run_of(cut, "aa"), "state"), "interrupted");
	json_object_set_new((json_t *)run_of(cut, "aa"), "state", json_string("planned"));
	save_night(cut);
	lab.aa_state = NULL;
	night = fake_night(&lab);
	assert_string_equal(json_text(night, "state"), "complete");
	assert_string_equal(json_text(run_of(night, "aa"), "state"), "complete");
	gsl_rng_free(lab.rng);
}

/* What the night's own end has interrupted is over, whoever goes on with the night. */
static void a_run_that_the_end_interrupted_is_taken_as_it_is(void **state)
{
	_cleanup_json_ json_t *cut = NULL;
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.aa_state = "interrupted";
	cut = fake_night(&lab);
	json_object_set_new((json_t *)run_of(cut, "aa"), "state", json_string("budget"));
	save_night(cut);
	lab.runs = 0;
	night = fake_night(&lab);
	assert_string_equal(json_text(night, "state"), "complete");
	assert_int_equal(lab.runs, 0);
	gsl_rng_free(lab.rng);
}

/* ---- the end ---- */

/* Whatever the record says, and sooner if the one who goes on says so. */
static void a_night_that_goes_on_ends(void **state)
{
	_cleanup_json_ json_t *cut = NULL;
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.refuse = interrupt_aa;
	cut = fake_night(&lab);
	json_object_set_new(cut, "end_by", json_string("2099-01-01T00:00:00Z"));
	save_night(cut);
	json_decref(fake_night_with(&lab, (struct night_options){.force_busy = true,
						  .end_by = time(NULL) + NIGHT_MOST_S * 3}));
	assert_true(lab.longest_s <= NIGHT_MOST_S);
	lab.refuse = NULL;
	lab.longest_s = 0;
	night = fake_night_with(
		&lab, (struct night_options){.force_busy = true, .end_by = time(NULL) + 600});
	assert_string_equal(json_text(night, "state"), "complete");
	assert_int_equal(json_number(night, "resumed", 0), 2);
	assert_true(lab.longest_s > 0 && lab.longest_s <= 600);
	gsl_rng_free(lab.rng);
}

/* ---- telling ---- */

static char *told[4];
static size_t told_count;

static struct error *tell(void *context, json_t *night, bool *all)
{
	(void)context;
	(void)all;
	assert_true(told_count < ARRAY_SIZE(told));
	told[told_count++] = format_string("%s", json_text(night, "id"));
	return NULL;
}

static struct error *die(void *context, json_t *night, bool *all)
{
	(void)all;
	(void)context;
	(void)night;
	raise(SIGKILL);
	return NULL;
}

static void forget_told(void)
{
	while (told_count > 0)
		free(told[--told_count]);
}

/* Killed when all was done but the telling; returns its id, caller frees. */
static char *spend_untold_night(struct fake_lab *lab)
{
	_cleanup_json_ json_t *night = NULL;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		fake_night_with(lab, (struct night_options){.force_busy = true, .tell = die});
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	night = last_night();
	assert_string_equal(json_text(night, "state"), "complete");
	return format_string("%s", json_text(night, "id"));
}

static void a_night_is_told_by_the_next_if_it_was_killed_before(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	_cleanup_free_ char *killed = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	killed = spend_untold_night(&lab);
	night = fake_night_with(&lab, (struct night_options){.force_busy = true, .tell = tell});
	assert_int_equal(told_count, 2);
	assert_string_equal(told[0], killed);
	assert_string_equal(told[1], json_text(night, "id"));
	forget_told();
	json_decref(
		fake_night_with(&lab, (struct night_options){.force_busy = true, .tell = tell}));
	assert_int_equal(told_count, 1); /* each once */
	forget_told();
	gsl_rng_free(lab.rng);
}

static struct error *fail_to_tell(void *context, json_t *night, bool *all)
{
	(void)context;
	(void)night;
	(void)all;
	return error_new(ERROR_SETUP, "no mail here");
}

static struct error *tell_nobody(void *context, json_t *night, bool *all)
{
	(void)context;
	(void)night;
	*all = false;
	return NULL;
}

static void a_night_is_told_until_that_succeeds(void **state)
{
	struct error *(*const ways[])(void *, json_t *, bool *) = {fail_to_tell, tell_nobody};
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_json_ json_t *night = fake_night_with(
			&lab, (struct night_options){.force_busy = true, .tell = ways[i]});

		for (size_t times = 0; times < 2; times++)
			assert_null(fake_night_with(
				&lab, (struct night_options){.force_busy = true,
					      .resume_only = true,
					      .tell = times == 0 ? ways[i] : tell}));
		assert_int_equal(told_count, 1);
		assert_string_equal(told[0], json_text(night, "id"));
		forget_told();
	}
	gsl_rng_free(lab.rng);
}

static void resuming_tells_too(void **state)
{
	const struct night_options resume = {.force_busy = true, .resume_only = true, .tell = tell};
	_cleanup_free_ char *killed = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	killed = spend_untold_night(&lab);
	assert_null(fake_night_with(&lab, resume));
	assert_int_equal(told_count, 1);
	assert_string_equal(told[0], killed);
	assert_null(fake_night_with(&lab, resume));
	assert_int_equal(told_count, 1);
	forget_told();
	gsl_rng_free(lab.rng);
}

/* A night whose time is over cannot go on, and says so. */
static void resuming_too_late_closes_the_night(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.refuse = interrupt_aa;
	json_decref(fake_night_with(
		&lab, (struct night_options){.force_busy = true, .end_by = time(NULL) + 9}));
	assert_null(fake_night_with(&lab,
		(struct night_options){.force_busy = true, .resume_only = true, .tell = tell}));
	night = last_night();
	assert_string_equal(json_text(night, "state"), "incomplete");
	assert_non_null(strstr(json_text(night, "reason"), "its time was over"));
	assert_int_equal(told_count, 1);
	assert_string_equal(told[0], json_text(night, "id"));
	forget_told();
	gsl_rng_free(lab.rng);
}

/* ---- a host in use ---- */

static void add_process(const char *pid, const char *name)
{
	_cleanup_free_ char *dir = format_string("%s/proc/%s", scratch, pid);
	_cleanup_free_ char *comm = format_string("%s/comm", dir);
	_cleanup_free_ char *cmdline = format_string("%s/cmdline", dir);

	assert_ok(fs_make_dirs(dir));
	assert_ok(fs_write_atomic(comm, name, strlen(name)));
	assert_ok(fs_write_atomic(cmdline, name, strlen(name)));
}

static void a_host_in_use_is_left_alone(void **state)
{
	_cleanup_free_ char *proc = fake_proc("64.00");
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	night = fake_night_with(&lab, (struct night_options){.proc = proc, .most_load = 0.0001});
	assert_string_equal(json_text(night, "state"), "not-started");
	assert_non_null(strstr(json_text(night, "reason"), "the load is"));
	assert_int_equal(json_number(night, "exit_status", 0), NIGHT_NOT_STARTED);
	assert_int_equal(lab.runs, 0);
	gsl_rng_free(lab.rng);
}

/* A load average that is high for longer than killed labs are waited for, then low. */
static void *calm_down(void *path)
{
	struct deadline high = deadline_after_ms(NIGHT_LAB_END_MS * 5 / 4);

	for (;;) {
		FILE *out = fopen(path, "w"); /* waits for a reader */

		fputs(deadline_passed(high) ? "0.00 0 0 1/100 1\n" : "64.00 0 0 1/100 1\n", out);
		fclose(out);
	}
	return NULL;
}

static json_t *cut_night(struct fake_lab *lab)
{
	json_t *cut;

	lab->refuse = interrupt_aa;
	cut = fake_night(lab);
	lab->refuse = NULL;
	return cut;
}

/* What the night did itself a moment ago is in the load of a minute: that is waited out. */
static void a_night_that_goes_on_waits_for_its_own_load(void **state)
{
	_cleanup_free_ char *proc = scratch_path("calming");
	_cleanup_free_ char *path = scratch_path("calming/loadavg");
	_cleanup_json_ json_t *cut = NULL;
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;
	pthread_t thread;

	(void)state;
	signal(SIGPIPE, SIG_IGN); /* who reads the load closes it when that suits him */
	assert_ok(fs_make_dirs(proc));
	assert_int_equal(mkfifo(path, 0600), 0);
	fake_lab_init(&lab, 1);
	cut = cut_night(&lab);
	assert_int_equal(pthread_create(&thread, NULL, calm_down, path), 0);
	night = fake_night_with(&lab,
		(struct night_options){.proc = proc, .most_load = 0.0001, .resume_only = true});
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	assert_string_equal(json_text(night, "id"), json_text(cut, "id"));
	assert_string_equal(json_text(night, "state"), "complete");
	gsl_rng_free(lab.rng);
}

/* Who does not want to wait finds it as it was. */
static void a_host_in_use_ends_no_night_that_has_time(void **state)
{
	_cleanup_free_ char *proc = NULL;
	_cleanup_json_ json_t *cut = NULL;
	_cleanup_json_ json_t *refused = NULL;
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	cut = cut_night(&lab);
	proc = fake_proc("64.00");
	refused = fake_night_with(&lab,
		(struct night_options){
			.proc = proc, .most_load = 0.0001, .resume_only = true, .start_by = 1});
	assert_string_equal(json_text(refused, "state"), "in-progress");
	assert_int_equal(json_number(refused, "exit_status", 0), NIGHT_NOT_STARTED);
	assert_non_null(strstr(json_text(refused, "reason"), "the load is"));
	assert_non_null(strstr(json_text(refused, "reason"), "--resume"));
	night = fake_night_with(
		&lab, (struct night_options){.force_busy = true, .resume_only = true});
	assert_string_equal(json_text(night, "id"), json_text(cut, "id"));
	assert_string_equal(json_text(night, "state"), "complete");
	assert_string_equal(json_text(night, "reason"), "");
	gsl_rng_free(lab.rng);
}

static void virtual_machines_are_use(void **state)
{
	_cleanup_free_ char *proc = fake_proc("0.00");
	_cleanup_json_ json_t *use = NULL;
	_cleanup_json_ json_t *none = NULL;

	(void)state;
	add_process("10", "bash");
	none = host_use(proc, 0.5);
	assert_int_equal(json_array_size(json_object_get(none, "reasons")), 0);
	assert_true(json_number(none, "load_per_core", -1) == 0);
	add_process("4711", "qemu-system-x86");
	use = host_use(proc, 0.5);
	assert_int_equal(json_array_size(json_object_get(use, "reasons")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(use, "reasons"), 0)),
		"process 4711 (qemu-system-x86) is a virtual machine");
}

static void force_says_so(void **state)
{
	_cleanup_free_ char *proc = fake_proc("64.00");
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	night = fake_night_with(&lab,
		(struct night_options){.proc = proc, .most_load = 0.0001, .force_busy = true});
	assert_string_equal(json_text(night, "state"), "complete");
	assert_true(json_is_true(json_object_get(night, "forced")));
	gsl_rng_free(lab.rng);
}

/* ---- runs that fail, records that are damaged ---- */

static struct error *no_disk(const struct run_options *options)
{
	(void)options;
	return error_new(ERROR_SETUP, "no room on the disk");
}

static void nothing_measured_is_incomplete(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.refuse = no_disk;
	night = fake_night(&lab);
	assert_string_equal(json_text(night, "state"), "incomplete");
	assert_non_null(strstr(json_text(night, "reason"), "no room on the disk"));
	assert_int_equal(json_number(night, "exit_status", 0), 1);
	gsl_rng_free(lab.rng);
}

static void failed_trials_are_told(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	lab.outcome = "failed";
	night = fake_night(&lab);
	assert_int_equal(json_number(night, "exit_status", 0), NIGHT_TRIALS_FAILED);
	/* One of the measured and one of the A/A arm. */
	assert_int_equal(json_number(json_object_get(night, "totals"), "trials_failed", 0), 2);
	gsl_rng_free(lab.rng);
}

static void damaged_nights_are_left_out(void **state)
{
	_cleanup_free_ char *path = scratch_path("results/nightly/20200101T000000Z-abcdef.json");
	_cleanup_free_ char *strange = scratch_path("results/nightly/20200102T000000Z-abcdef.json");
	_cleanup_(night_list_deinit) struct night_list list = {0};
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	spend_nights(&lab, 1);
	assert_ok(fs_write_atomic(path, "{\"schema\":", 10));
	assert_ok(fs_write_atomic(strange, "{\"schema\": \"fleetlab.run/1\"}", 28));
	spend_nights(&lab, 1);
	load_nights(&list);
	assert_int_equal(list.count, 2);
	assert_int_equal(json_array_size(list.damaged), 2);
	assert_int_equal(
		json_number(
			json_object_get(row_of(json_object_get(list.nights[1], "metrics"), "delay"),
				"verdict"),
			"nights", -1),
		1);
	gsl_rng_free(lab.rng);
}

/* ---- years ---- */

/* So many copies of a night, a second apart, before it. */
static void add_nights_before(const json_t *night, size_t count)
{
	json_int_t when = json_integer_value(json_object_get(night, "night"));

	for (size_t i = 1; i <= count; i++) {
		_cleanup_json_ json_t *copy = json_deep_copy(night);
		char utc[24];

		clock_format_utc((time_t)(when - (json_int_t)i), true, utc, sizeof(utc));
		_cleanup_free_ char *id = format_string("%s-abcdef", utc);

		json_object_set_new(copy, "id", json_string(id));
		json_object_set_new(copy, "night", json_integer(when - (json_int_t)i));
		save_night(copy);
	}
}

static void only_the_last_nights_are_looked_back_at(void **state)
{
	_cleanup_(night_list_deinit) struct night_list list = {0};
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	night = fake_night(&lab);
	add_nights_before(night, NIGHTS_MAX + 3);
	load_nights(&list);
	assert_int_equal(list.count, NIGHTS_MAX);
	assert_string_equal(json_text(list.nights[NIGHTS_MAX - 1], "id"), json_text(night, "id"));
	gsl_rng_free(lab.rng);
}

/* What nobody will write again is kept in short: readings, alerts, and the last memory. */
static void what_is_over_is_kept_in_short(void **state)
{
	_cleanup_(night_list_deinit) struct night_list list = {0};
	_cleanup_json_ json_t *untold = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	untold = fake_night(&lab);
	for (int i = 0; i < 2; i++)
		json_decref(fake_night_with(
			&lab, (struct night_options){.force_busy = true, .tell = tell}));
	json_object_set_new(untold, "untold", json_true());
	save_night(untold);
	load_nights(&list);
	assert_int_equal(list.count, 3);
	assert_true(json_equal(list.nights[0], untold));
	assert_null(json_object_get(list.nights[1], "memory"));
	assert_non_null(json_object_get(list.nights[2], "memory"));
	const json_t *whole = row_of(json_object_get(untold, "metrics"), "delay");
	const json_t *kept =
		night_row(json_object_get(list.nights[1], "metrics"), json_text(whole, "name"));

	assert_true(json_number(kept, "value", 0) > 0 && json_number(kept, "aa", 0) > 0);
	assert_string_equal(json_text(kept, "baseline"), json_text(whole, "baseline"));
	assert_non_null(json_object_get(kept, "verdict"));
	assert_int_equal(json_object_size(kept), 5);
	forget_told();
	gsl_rng_free(lab.rng);
}

/* A directory of a run, as the engine leaves it; path, caller frees. */
static char *leave_logs(const json_t *night, const char *purpose)
{
	_cleanup_free_ char *dir = format_string("%s/results/%sruns/%s/trial-0000", scratch,
		strncmp(purpose, "drill", 5) == 0 ? "nightly/drills/" : "",
		json_text(run_of(night, purpose), "id"));
	char *path = format_string("%s/lab.log", dir);

	assert_ok(fs_make_dirs(dir));
	assert_ok(fs_write_atomic(path, "", 0));
	return path;
}

static void logs_of_old_nights_are_dropped(void **state)
{
	static const char *const purposes[] = {"measure", "aa", "drill"};
	const struct night_options keeping = {.force_busy = true, .keep_logs = 1};
	_cleanup_json_ json_t *first = NULL;
	char *logs[ARRAY_SIZE(purposes)];
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 3);
	spend_nights(&lab, LEARNED);
	first = fake_night_with(&lab, (struct night_options){.force_busy = true, .drill = true});
	for (size_t i = 0; i < ARRAY_SIZE(purposes); i++)
		logs[i] = leave_logs(first, purposes[i]);
	json_decref(fake_night_with(&lab, keeping));
	for (size_t i = 0; i < ARRAY_SIZE(purposes); i++)
		assert_int_equal(access(logs[i], F_OK), 0);
	json_decref(fake_night_with(&lab, keeping));
	for (size_t i = 0; i < ARRAY_SIZE(purposes); i++) {
		_cleanup_free_ char *record = format_string(
			"%s/results/%s", scratch, json_text(run_of(first, purposes[i]), "record"));

		assert_true(access(logs[i], F_OK) < 0);
		assert_int_equal(access(record, F_OK), 0);
		free(logs[i]);
	}
	gsl_rng_free(lab.rng);
}

/* ---- the hook ---- */

static void the_hook_gets_the_summary(void **state)
{
	_cleanup_json_ json_t *night = json_pack("{s:s, s:s, s:i, s:{s:i}}", "id", "N", "state",
		"complete", "exit_status", 3, "totals", "regressions", 2);
	_cleanup_free_ char *out = scratch_path("out");
	_cleanup_free_ char *command = format_string(
		"{ cat; echo \"$FLEETLAB_NIGHT_ID $FLEETLAB_NIGHT_EXIT $FLEETLAB_NIGHT_REGRESSIONS "
		"$FLEETLAB_NIGHT_HEADLINE $FLEETLAB_NIGHT_HTML\"; } >%s",
		out);
	_cleanup_free_ char *said = NULL;
	struct hook hook = {command, "the summary\n", "two things", "r", "m", "h", "j"};

	(void)state;
	hook_run(&hook, night);
	assert_true(json_is_true(json_object_get(json_object_get(night, "hook"), "ok")));
	assert_ok(fs_read(out, 4096, &said, NULL));
	assert_string_equal(said, "the summary\nN 3 2 two things h\n");
	hook.command = "echo no mail here >&2; exit 7";
	hook_run(&hook, night);
	assert_false(json_is_true(json_object_get(json_object_get(night, "hook"), "ok")));
	assert_non_null(strstr(json_text(json_object_get(night, "hook"), "reason"),
		"exit status 7: no mail here"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_cut_night_goes_on),
		scratch_test(resuming_takes_the_nights_own_plan),
		scratch_test(a_night_whose_time_is_over_is_closed),
		scratch_test(another_plan_is_another_night),
		scratch_test(a_run_that_had_not_begun_is_begun_anew),
		scratch_test(an_interrupted_run_goes_on_though_it_is_planned),
		scratch_test(a_run_that_the_end_interrupted_is_taken_as_it_is),
		scratch_test(a_night_that_goes_on_ends),
		scratch_test(a_night_is_told_by_the_next_if_it_was_killed_before),
		scratch_test(a_night_is_told_until_that_succeeds),
		scratch_test(resuming_tells_too),
		scratch_test(resuming_too_late_closes_the_night),
		scratch_test(a_host_in_use_is_left_alone),
		scratch_test(a_night_that_goes_on_waits_for_its_own_load),
		scratch_test(a_host_in_use_ends_no_night_that_has_time),
		scratch_test(virtual_machines_are_use),
		scratch_test(force_says_so),
		scratch_test(nothing_measured_is_incomplete),
		scratch_test(failed_trials_are_told),
		scratch_test(damaged_nights_are_left_out),
		scratch_test(only_the_last_nights_are_looked_back_at),
		scratch_test(what_is_over_is_kept_in_short),
		scratch_test(logs_of_old_nights_are_dropped),
		scratch_test(the_hook_gets_the_summary),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
