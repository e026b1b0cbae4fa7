/* A run from plan to record: see run.h. */
#include "harness/engine/run.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/base/version.h"
#include "harness/engine/interrupt.h"
#include "harness/engine/journal.h"
#include "harness/engine/progress.h"
#include "harness/engine/spare.h"
#include "harness/fleet/peer.h"
#include "harness/engine/trial.h"
#include "harness/host/facts.h"
#include "harness/host/knobs.h"
#include "harness/host/lock.h"
#include "harness/host/qemu.h"
#include "harness/record/record.h"
#include "harness/record/synthetic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* QEMU's own memory beside the guest's, measured: PSS of an idle q35 guest less its RAM. */
#define QEMU_OVERHEAD_BYTES ((uint64_t)48 << 20)

#define LAB_END_MS 1500
#define PEER_TIMEOUT_MS 60000

struct run {
	const struct run_options *options;
	char *dir;	/* RESULTS/runs/ID */
	json_t *header; /* the record without trials; its "plan" may grow */
	json_t *trials; /* results */
	struct journal *journal;
	struct resources *resources;
	struct host_lock *lock;
	int64_t begin_ns;
	double earlier_s; /* that this run had taken before it was interrupted */
	double spent_s;	  /* by trials of this run, and what the plan expected of them */
	double spent_expected_s;
};

static void run_deinit(struct run *run)
{
	journal_close(run->journal);
	resources_destroy(run->resources);
	host_lock_release(run->lock);
	json_decref(run->header);
	json_decref(run->trials);
	free(run->dir);
}

static json_t *plan_trials(const struct run *run)
{
	return json_object_get(json_object_get(run->header, "plan"), "trials");
}

static double budget_s(const struct run *run)
{
	return json_number_value(json_object_get(json_object_get(run->header, "plan"), "budget_s"));
}

/* ---- before the first trial ---- */

static struct error *look_at_host(struct run *run, json_t **facts)
{
	_cleanup_(accelerator_deinit) struct accelerator accelerator = {0};
	_cleanup_free_ char *qemu = NULL;
	_cleanup_free_ char *version = NULL;
	_cleanup_json_ json_t *warnings = json_array();
	struct deadline deadline = deadline_after_ms(60000);
	json_t *warning;
	size_t i;

	try_(knobs_recover(warnings));
	json_array_foreach (warnings, i, warning)
		log_warning("%s", json_string_value(warning));
	try_(qemu_usable(QEMU_DEFAULT, deadline, &qemu, &version));
	try_(accelerator_find(qemu, NULL, deadline, &accelerator));
	try_(host_facts(qemu, &accelerator, deadline, facts));
	run->resources = resources_create(accelerator.name);
	return NULL;
}

static const char *fact(const json_t *host, const char *object, const char *field)
{
	const char *text = json_string_value(json_object_get(json_object_get(host, object), field));

	return text ? text : "none";
}

/* Two machines of one trial are alike in what decides about it, as two stacks of a host are. A
 * guest that was started by one QEMU is received by the same, at the same place; under KVM it sees
 * the CPU as it is. */
static struct error *compare_peer(const json_t *here, const json_t *there)
{
	static const struct {
		const char *object, *field;
		bool kvm_only;
	} fields[] = {{"accelerator", "name", false}, {"qemu", "version", false},
		{"qemu", "path", false}, {"cpu", "model", true}};
	bool kvm = strcmp(fact(here, "accelerator", "name"), "kvm") == 0;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *a = fact(here, fields[i].object, fields[i].field);
		const char *b = fact(there, fields[i].object, fields[i].field);

		if (strcmp(a, b) != 0 && (kvm || !fields[i].kvm_only))
			return error_hint(
				error_new(ERROR_SETUP, "%s %s is %.60s here and %.60s on the peer",
					fields[i].object, fields[i].field, a, b),
				"guests move between equals only: make them so");
	}
	return NULL;
}

static bool has_peer_trials(const json_t *trials)
{
	json_t *planned;
	size_t i;

	json_array_foreach (trials, i, planned) {
		if (json_object_get(planned, "peer"))
			return true;
	}
	return false;
}

/* Before anything else: a peer that does not answer, or is another machine than was thought, is
 * found out now. `plan` names it; *host is its fingerprint, NULL without one. */
static struct error *look_at_peer(const json_t *plan, const json_t *facts, json_t **host)
{
	const char *uri = json_string_value(json_object_get(plan, "peer"));
	_cleanup_free_ char *directory = peer_directory();
	_cleanup_(cleanup_peer) struct peer *peer = NULL;

	*host = NULL;
	if (!uri)
		return NULL;
	if (!has_peer_trials(json_object_get(plan, "trials")))
		return error_hint(error_new(ERROR_USAGE,
					  "--peer: nothing in this plan uses a second machine"),
			"fleetlab run zerocopy --variant phys --peer …");
	try_(peer_open(uri, directory, deadline_after_ms(PEER_TIMEOUT_MS), 0, &peer));
	try_(compare_peer(facts, peer_host(peer)));
	*host = json_deep_copy(peer_host(peer));
	if (peer_is_here(peer))
		json_object_set_new(*host, "same_host", json_true());
	return NULL;
}

static struct error *check_probe(const struct run *run, json_t *facts)
{
	for (size_t i = 0; i < run->options->plan.mechanism_count; i++) {
		const struct mechanism *mechanism = run->options->plan.mechanisms[i];
		const char *why_not = mechanism->probe ? mechanism->probe(facts) : NULL;

		if (why_not)
			return error_hint(error_new(ERROR_SETUP, "%s cannot run on this host: %s",
						  mechanism->name, why_not),
				"fleetlab doctor");
	}
	return NULL;
}

static uint64_t guest_bytes(const struct fleet_spec *spec, unsigned int guest)
{
	return spec->memory_bytes_each ? spec->memory_bytes_each[guest] : spec->memory_bytes;
}

static uint64_t memory_of(const struct fleet_spec *spec)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < spec->count; i++)
		sum += guest_bytes(spec, i) + QEMU_OVERHEAD_BYTES;
	return sum;
}

static struct error *check_smallest(const struct fleet_spec *spec, const struct image *image)
{
	uint64_t least = guest_bytes(spec, 0);

	for (unsigned int i = 1; i < spec->count; i++)
		least = guest_bytes(spec, i) < least ? guest_bytes(spec, i) : least;
	if (least >= image->memory_min_bytes)
		return NULL;
	return error_hint(
		error_new(ERROR_USAGE, "image %s needs %llu MiB, this fleet's guests have %llu MiB",
			image->name, (unsigned long long)image->memory_min_bytes >> 20,
			(unsigned long long)least >> 20),
		"-p %s=%llu", spec->memory_bytes_each ? "memory_least_mib" : "memory_mib",
		(unsigned long long)image->memory_min_bytes >> 20);
}

/* Opens every image that the plan needs, and finds the fleet that needs most memory. */
static struct error *check_fleets(struct run *run)
{
	uint64_t most = 0, available = 0;
	unsigned int most_guests = 0;
	struct needs needs = {0};
	json_t *planned;
	size_t i;

	json_array_foreach (plan_trials(run), i, planned) {
		_cleanup_(cleanup_trial) struct trial *trial = NULL;
		const struct image *image;
		struct fleet_spec spec;
		uint64_t need;

		try_(trial_fleet_spec(planned, &trial, &spec));
		if (spec.count == 0)
			continue;
		if (spec.extra && spec.extra->image)
			try_(resources_image(run->resources, spec.extra->image, &image));
		try_(resources_image(run->resources, &spec.image, &image));
		try_(check_smallest(&spec, image));
		trial_needs(trial, &needs);
		need = memory_of(&spec);
		if (need > most) {
			most = need;
			most_guests = spec.count;
		}
	}
	try_(needs_provide(&needs));
	if (!host_meminfo("MemAvailable", &available) || most <= available)
		return NULL;
	return error_hint(
		error_new(ERROR_SETUP,
			"a fleet of %u guests needs %llu MiB of memory, %llu MiB are free",
			most_guests, (unsigned long long)most >> 20,
			(unsigned long long)available >> 20),
		"a smaller fleet (-p guests=…, -p memory_mib=…), or end what uses the memory");
}

static json_t *make_header(
	const struct run_options *options, const char *id, json_t *facts, json_t *plan)
{
	json_t *command = json_array(), *mechanisms = json_array();
	char now[24];

	for (size_t i = 0; mechanism_at(i); i++)
		json_array_append_new(mechanisms, json_string(mechanism_at(i)->name));
	for (int i = 0; i < options->argc; i++)
		json_array_append_new(command, json_string(options->argv[i]));
	clock_format_utc(time(NULL), false, now, sizeof(now));
	return json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s, s:o}, s:o, s:O, s:O}", "schema",
		"fleetlab.run/1", "id", id, "started", now, "state", "running", "build", "version",
		fleetlab_version, "commit", fleetlab_commit, "mechanisms", mechanisms, "command",
		command, "host", facts, "plan", plan);
}

static struct error *take_lock(struct run *run, const char *what)
{
	_cleanup_free_ char *text = format_string("run %s", what);

	/* The lab of a run that was killed holds its lock for as long as the kernel takes to end
	 * it. */
	int64_t wait_ms = run->options->wait_ms > LAB_END_MS ? run->options->wait_ms : LAB_END_MS;

	return host_lock_acquire(text, deadline_after_ms(wait_ms), &run->lock);
}

static void say_plan(const struct run *run)
{
	json_t *plan = json_object_get(run->header, "plan");
	double expected_s = json_number_value(json_object_get(plan, "expected_s"));
	double disk = json_number_value(json_object_get(plan, "expected_disk_bytes"));
	char time_text[32];

	duration_format(expected_s, time_text, sizeof(time_text));
	log_info("run %s: %zu trials, about %s, %.1f MB of disk; seed %lld; accelerator %s",
		json_string_value(json_object_get(run->header, "id")),
		json_array_size(plan_trials(run)), time_text, disk / 1e6,
		(long long)json_integer_value(json_object_get(plan, "seed")),
		resources_accelerator(run->resources));
}

static struct error *begin_new(struct run *run)
{
	_cleanup_json_ json_t *facts = NULL;
	_cleanup_json_ json_t *peer = NULL;
	_cleanup_json_ json_t *plan = NULL;
	const char *id = run->options->id;
	char fresh[40];

	try_(plan_create(&run->options->plan, &plan));
	record_new_id(fresh, sizeof(fresh));
	id = id ? id : fresh;
	try_(take_lock(run, id));
	try_(look_at_host(run, &facts));
	try_(check_probe(run, facts));
	try_(look_at_peer(plan, facts, &peer));
	run->header = make_header(run->options, id, facts, plan);
	if (peer)
		json_object_set(run->header, "peer", peer);
	resources_set_peer(run->resources, peer);
	run->trials = json_array();
	say_plan(run);
	try_(check_fleets(run));
	json_object_set_new(run->header, "images", resources_images_json(run->resources));
	run->dir = format_string("%s/runs/%s", run->options->results_dir, id);
	return journal_create(run->dir, run->header, &run->journal);
}

/* ---- resuming ---- */

DEFINE_CLEANUP(dir, DIR *, closedir)

static bool is_complete(const char *runs, const char *id)
{
	_cleanup_free_ char *path = format_string("%s/%s/complete", runs, id);

	return access(path, F_OK) == 0;
}

/* The latest run directory whose name begins with `prefix` that has a journal and is not complete.
 */
static struct error *find_unfinished(const char *results_dir, const char *prefix, char **id)
{
	_cleanup_free_ char *runs = format_string("%s/runs", results_dir);
	_cleanup_(cleanup_dir) DIR *dir = opendir(runs);
	_cleanup_free_ char *best = NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *journal =
			format_string("%s/%s/journal.jsonl", runs, entry->d_name);

		if (strcmp(prefix, "latest") != 0 &&
			strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		if (access(journal, R_OK) < 0 || is_complete(runs, entry->d_name))
			continue;
		if (!best || strcmp(entry->d_name, best) > 0) {
			free(best);
			best = format_string("%s", entry->d_name);
		}
	}
	if (!best)
		return error_hint(error_new(ERROR_USAGE, "there is no unfinished run '%s' in %s",
					  prefix, runs),
			"fleetlab list");
	*id = take_ptr(best);
	return NULL;
}

static struct error *differs(const struct run *run, const char *what)
{
	return error_hint(error_new(ERROR_SETUP,
				  "run %s began with another %s: its trials are not comparable",
				  json_string_value(json_object_get(run->header, "id")), what),
		"start a new run");
}

/* The trials of one record have one host and one build. */
static struct error *same_host(const struct run *run, const json_t *then, const json_t *facts)
{
	const char *commit =
		json_string_value(json_object_get(json_object_get(run->header, "build"), "commit"));
	const char *what = host_facts_differ(then, facts);

	if (what)
		return differs(run, what);
	return commit && strcmp(commit, fleetlab_commit) == 0 ? NULL
							      : differs(run, "build of fleetlab");
}

/* Who held the host until now may have been this very run. */
static struct error *check_unfinished(const struct run *run, const char *id)
{
	_cleanup_free_ char *runs = format_string("%s/runs", run->options->results_dir);
	_cleanup_free_ char *results = fs_results_words(run->options->results_dir);

	if (!is_complete(runs, id))
		return NULL;
	return error_hint(
		error_new(ERROR_USAGE, "run %s has come to its end while it was waited for", id),
		"fleetlab report %s%s", id, results);
}

static double number_of(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* What is spent stays spent; a budget that is given now is beside it. */
static void take_earlier(struct run *run)
{
	json_t *plan = json_object_get(run->header, "plan");
	const json_t *last = json_array_get(run->trials, json_array_size(run->trials) - 1);
	double given_s = run->options->plan.budget_s;

	run->earlier_s = fmax(number_of(plan, "spent_s"), number_of(last, "spent_s"));
	if (given_s > 0)
		json_object_set_new(plan, "budget_s", json_real(run->earlier_s + given_s));
}

static void say_budget(const struct run *run)
{
	double left_s = fmax(0, budget_s(run) - run->earlier_s);
	char left[32], whole[32];

	duration_format(left_s, left, sizeof(left));
	duration_format(budget_s(run), whole, sizeof(whole));
	if (budget_s(run) > 0)
		log_info("%s of its budget of %s are left", left, whole);
}

static struct error *begin_again(struct run *run)
{
	_cleanup_json_ json_t *facts = NULL;
	_cleanup_json_ json_t *peer = NULL;
	_cleanup_free_ char *id = NULL;

	try_(find_unfinished(run->options->results_dir, run->options->resume, &id));
	try_(take_lock(run, id));
	try_(check_unfinished(run, id));
	run->dir = format_string("%s/runs/%s", run->options->results_dir, id);
	try_(journal_resume(run->dir, &run->journal, &run->header, &run->trials));
	try_(look_at_host(run, &facts));
	try_(same_host(run, json_object_get(run->header, "host"), facts));
	try_(look_at_peer(json_object_get(run->header, "plan"), facts, &peer));
	if (peer)
		try_(same_host(run, json_object_get(run->header, "peer"), peer));
	resources_set_peer(run->resources, peer);
	take_earlier(run);
	if (run->options->plan.until_decided)
		json_object_set_new(
			json_object_get(run->header, "plan"), "until_decided", json_true());
	log_info("run %s goes on: %zu of %zu trials are done", id, json_array_size(run->trials),
		json_array_size(plan_trials(run)));
	say_budget(run);
	try_(check_fleets(run));
	_cleanup_json_ json_t *images = resources_images_json(run->resources);

	return json_equal(images, json_object_get(run->header, "images"))
		       ? NULL
		       : differs(run, "guest image");
}

/* ---- trials ---- */

/* Planned trials that have no result yet: those after the last one, since they run in order. */
static size_t next_index(const struct run *run)
{
	return json_array_size(run->trials);
}

/* Plans err; what this run's trials really took corrects the rest. */
static double expected_seconds(const struct run *run, const json_t *planned)
{
	double factor = run->spent_expected_s > 0 ? run->spent_s / run->spent_expected_s : 1;

	return plan_trial_seconds(planned) * factor;
}

static double seconds_from(const struct run *run, const json_t *trials, size_t first)
{
	double seconds = 0;

	for (size_t i = first; i < json_array_size(trials); i++)
		seconds += expected_seconds(run, json_array_get(trials, i));
	return seconds;
}

static uint64_t directory_bytes(const char *path)
{
	_cleanup_(cleanup_dir) DIR *dir = opendir(path);
	struct dirent *entry;
	uint64_t bytes = 0;

	while (dir && (entry = readdir(dir))) {
		struct stat st;

		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_size;
	}
	return bytes;
}

/* Since this process has begun. */
static double seconds_here(const struct run *run)
{
	return clock_seconds(run->begin_ns, clock_now_ns());
}

/* What is not in the journal did not happen: without room in it a run cannot go on. */
static struct error *note(struct run *run, const char *key, const json_t *value)
{
	_cleanup_free_ char *results = fs_results_words(run->options->results_dir);
	struct error *err = journal_append(run->journal, key, value);

	return err ? error_hint(err, "make room, then: fleetlab run --resume=%s%s",
			     json_string_value(json_object_get(run->header, "id")), results)
		   : NULL;
}

static struct error *run_one(struct run *run, struct progress *progress)
{
	size_t index = next_index(run);
	json_t *planned = json_array_get(plan_trials(run), index);
	_cleanup_free_ char *log_dir = format_string("%s/trial-%04zu", run->dir, index);
	_cleanup_json_ json_t *result = NULL;
	int64_t begin = clock_now_ns();

	progress_trial(progress, planned, index, json_array_size(plan_trials(run)),
		seconds_from(run, plan_trials(run), index));
	error_destroy(fs_remove_tree(log_dir)); /* of an interrupted attempt */
	try_(trial_run(planned, run->resources, log_dir, &result));
	json_object_set_new(
		result, "disk_bytes", json_integer((json_int_t)directory_bytes(log_dir)));
	json_object_set_new(result, "spent_s", json_real(run->earlier_s + seconds_here(run)));
	try_(note(run, "trial", result));
	json_array_append(run->trials, result);
	run->spent_s += clock_seconds(begin, clock_now_ns());
	run->spent_expected_s += plan_trial_seconds(planned);
	progress_result(progress, result);
	return NULL;
}

static bool fits_budget(const struct run *run, double next_s)
{
	double end_s = seconds_here(run) + next_s;

	return (budget_s(run) <= 0 || run->earlier_s + end_s <= budget_s(run)) &&
	       (run->options->limit_s <= 0 || end_s <= run->options->limit_s);
}

/* Spare time of a budget goes to the claim with the widest interval, a block at a time; with
 * --until-decided, to undecided ones only. *more: the plan has got such a block. */
static struct error *use_spare_time(struct run *run, bool *more)
{
	const char *mechanism, *experiment;
	json_t *plan = json_object_get(run->header, "plan");
	bool undecided_only = json_is_true(json_object_get(plan, "until_decided"));

	*more = false;
	if (budget_s(run) <= 0 ||
		!spare_choose(run->header, run->trials, undecided_only, &mechanism, &experiment))
		return NULL;
	_cleanup_json_ json_t *block = plan_another_block(plan, mechanism, experiment);

	if (json_array_size(block) == 0 || !fits_budget(run, seconds_from(run, block, 0)))
		return NULL;
	try_(note(run, "planned", block));
	plan_append(plan, block);
	*more = true;
	return NULL;
}

/* Runs what is planned; *state tells how it ended. */
static struct error *run_trials(struct run *run, const char **state)
{
	struct progress *progress = progress_create();
	struct error *err = NULL;

	*state = "complete";
	for (;;) {
		size_t index = next_index(run);
		bool more = index < json_array_size(plan_trials(run));

		if (!more)
			err = use_spare_time(run, &more);
		if (!more)
			break;
		if (interrupted()) {
			*state = "interrupted";
			break;
		}
		if (!fits_budget(
			    run, expected_seconds(run, json_array_get(plan_trials(run), index)))) {
			*state = "budget";
			break;
		}
		err = run_one(run, progress);
		if (err && error_kind(err) == ERROR_INTERRUPTED) {
			error_destroy(take_ptr(err));
			*state = "interrupted";
			break;
		}
		if (err)
			break;
	}
	progress_destroy(progress);
	return err;
}

/* A trial that was interrupted has left no line that tells what it took. */
static void put_spent(struct run *run, bool complete)
{
	json_t *plan = json_object_get(run->header, "plan");

	json_object_set_new(plan, "spent_s", json_real(run->earlier_s + seconds_here(run)));
	if (!complete)
		error_destroy(journal_append(
			run->journal, "plan", plan)); /* at least the record has it */
}

static struct error *finish(struct run *run, const char *state, json_t **record, char **path)
{
	bool is_complete = strcmp(state, "complete") == 0;

	put_spent(run, is_complete);
	_cleanup_json_ json_t *made = json_copy(run->header);
	_cleanup_free_ char *complete = format_string("%s/complete", run->dir);
	_cleanup_free_ char *results = fs_results_words(run->options->results_dir);
	char now[24];

	clock_format_utc(time(NULL), false, now, sizeof(now));
	json_object_set_new(made, "state", json_string(state));
	json_object_set_new(made, "finished", json_string(now));
	json_object_set(made, "trials", run->trials);
	struct error *err = record_save(made, run->options->results_dir, path);

	if (err)
		return error_hint(err, "every trial is in the journal; fleetlab run --resume=%s%s",
			json_string_value(json_object_get(run->header, "id")), results);
	if (is_complete)
		error_destroy(fs_write_atomic(complete, "", 0));
	*record = take_ptr(made);
	return NULL;
}

struct error *run_execute(const struct run_options *options, json_t **record, char **path)
{
	_cleanup_(run_deinit) struct run run = {.options = options};
	const char *state;
	struct error *err;

	/* Before anything is measured: a place that cannot be written to is found out now. */
	_cleanup_free_ char *runs = format_string("%s/runs", options->results_dir);

	err = fs_make_dirs(runs);
	if (!err && access(runs, W_OK) < 0)
		err = error_errno(errno, "cannot write results to %s", runs);
	if (!err && store_is_synthetic(options->results_dir))
		err = error_new(ERROR_USAGE,
			"%s is a store of synthetic records: what is measured does not belong "
			"there",
			options->results_dir);
	if (err)
		return error_hint(err, "--results DIR");
	interrupt_catch();
	run.begin_ns = clock_now_ns();
	try_(options->resume ? begin_again(&run) : begin_new(&run));
	try_(run_trials(&run, &state));
	return finish(&run, state, record, path);
}
