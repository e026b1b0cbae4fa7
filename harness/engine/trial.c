/* The parent's side of a trial: see trial.h. Must survive whatever happens in the lab. */
#include "harness/engine/trial_internal.h"
#include "harness/base/fs.h"
#include "harness/engine/clean.h"
#include "harness/engine/interrupt.h"
#include "harness/fleet/peer.h"
#include "harness/fleet/ram.h"
#include "harness/host/facts.h"
#include "harness/host/knobs.h"
#include "harness/lab/lab.h"
#include "harness/record/cut.h"
#include "harness/record/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

/* A reason may be a guest's words: so much of them is kept, for readers. A record could hold more.
 */
#define REASON_BYTES 4096

/* A lab that has said its last word still has its namespaces to take down. */
#define LAB_END_MS 20000
#define TEMPLATE_DEADLINE_MS 180000
#define PEER_TIMEOUT_MS 60000
#define PEER_MARGIN_S                                                                              \
	60 /* how long the lab there may outlive a trial whose end it was not told                 \
	    */

void trial_destroy(struct trial *trial)
{
	if (!trial)
		return;
	fleet_close(trial->fleet);
	peer_close(trial->peer);
	for (size_t i = 0; i < trial->kept_count; i++)
		trial->kept[i].destroy(trial->kept[i].object);
	free(trial);
}

static const char *text_of(json_t *planned, const char *name)
{
	const char *text = json_string_value(json_object_get(planned, name));

	return text ? text : "";
}

static struct error *trial_create(json_t *planned, struct trial **trial)
{
	struct trial *made = calloc(1, sizeof(*made));

	if (!made)
		abort();
	made->out_fd = -1;
	made->parameters = json_object_get(planned, "parameters");
	made->reversed = json_integer_value(json_object_get(planned, "half")) == 1;
	made->peer_uri = json_string_value(json_object_get(planned, "peer"));
	made->mechanism = mechanism_find(text_of(planned, "mechanism"));
	if (made->mechanism) {
		made->experiment =
			mechanism_experiment(made->mechanism, text_of(planned, "experiment"));
		made->variant = mechanism_variant(made->mechanism, text_of(planned, "variant"));
	}
	if (made->mechanism && !made->mechanism->handicap)
		made->handicap = json_number_value(json_object_get(planned, "handicap"));
	if (!made->mechanism || !made->experiment || !made->variant) {
		free(made);
		return error_new(ERROR_SETUP,
			"the plan names %s/%s/%s, which this build does not have",
			text_of(planned, "mechanism"), text_of(planned, "experiment"),
			text_of(planned, "variant"));
	}
	*trial = made;
	return NULL;
}

struct error *trial_fleet_spec(json_t *planned, struct trial **trial, struct fleet_spec *spec)
{
	_cleanup_(cleanup_trial) struct trial *made = NULL;

	*spec = (struct fleet_spec){0};
	try_(trial_create(planned, &made));
	if (made->mechanism->fleet)
		try_(made->mechanism->fleet(made, spec));
	*trial = take_ptr(made);
	return NULL;
}

void trial_needs(const struct trial *trial, struct needs *needs)
{
	const char *name = trial->mechanism->needs ? trial->mechanism->needs(trial) : NULL;

	if (name)
		needs_add(needs, trial->mechanism, name);
}

/* ---- collecting what the lab says ---- */

struct collected {
	json_t *samples, *evidence, *effective, *template;
	char *phase, *error, *remedy;
	double ready_s;
	bool done;
};

static void collected_deinit(struct collected *collected)
{
	json_decref(collected->samples);
	json_decref(collected->evidence);
	json_decref(collected->effective);
	json_decref(collected->template);
	free(collected->phase);
	free(collected->error);
	free(collected->remedy);
}

static void set_text(char **text, json_t *value)
{
	if (!json_is_string(value))
		return;
	free(*text);
	*text = format_string("%s", json_string_value(value));
}

/* Readings of the same metric at the same place become one sample with many values. */
static void add_sample(struct collected *collected, json_t *reading)
{
	json_t *value = json_object_get(reading, "value");
	json_t *sample;
	size_t i;

	json_array_foreach (collected->samples, i, sample) {
		json_t *at = json_object_get(sample, "at");
		json_t *its_at = json_object_get(reading, "at");

		if (json_equal(json_object_get(sample, "metric"),
			    json_object_get(reading, "metric")) &&
			((!at && !its_at) || json_equal(at, its_at))) {
			json_array_append(json_object_get(sample, "values"), value);
			return;
		}
	}
	json_object_set_new(reading, "values", json_pack("[O]", value));
	json_object_del(reading, "value");
	json_array_append(collected->samples, reading);
}

static void collect(struct collected *collected, json_t *line)
{
	json_t *value;

	if ((value = json_object_get(line, "sample")))
		add_sample(collected, value);
	else if ((value = json_object_get(line, "evidence")))
		json_array_append(collected->evidence, value);
	else if ((value = json_object_get(line, "effective")))
		json_object_update(collected->effective, value);
	else if ((value = json_object_get(line, "template")))
		collected->template = json_incref(value);
	else if ((value = json_object_get(line, "phase")))
		set_text(&collected->phase, value);
	else if ((value = json_object_get(line, "ready_s")))
		collected->ready_s = json_number_value(value);
	else if (json_object_get(line, "done"))
		collected->done = true;
	set_text(&collected->error, json_object_get(line, "error"));
	set_text(&collected->remedy, json_object_get(line, "remedy"));
}

/* Reads lines until the lab closes the pipe. ERROR_TIMEOUT: it has hung; ERROR_INTERRUPTED: ^C. */
static struct error *listen_to(int fd, struct deadline deadline, struct collected *collected)
{
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = fd};

	for (;;) {
		struct pollfd pfds[2] = {
			{.fd = fd, .events = POLLIN},
			{.fd = interrupt_fd(), .events = POLLIN},
		};
		_cleanup_json_ json_t *line = NULL;

		/* Bytes may wait in the reader's buffer: only an empty one needs the descriptor. */
		if (reader.used == reader.consumed || !memchr(reader.buffer + reader.consumed, '\n',
							      reader.used - reader.consumed)) {
			if (poll(pfds, 2, deadline_left_ms(deadline)) < 0 && errno != EINTR)
				return error_errno(errno, "cannot listen to the lab");
			if (interrupted())
				return error_new(ERROR_INTERRUPTED, "interrupted");
			if (!pfds[0].revents && !deadline_passed(deadline))
				continue;
		}
		try_(jsonline_receive(&reader, "the lab", deadline, &line));
		if (!line)
			return NULL;
		collect(collected, line);
	}
}

/* The lab's init tells of a signal that ended the body by an exit status over 128. */
static char *crash_reason(int status, const char *phase)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	const char *signal_name = code > 128 ? sigabbrev_np(code - 128) : NULL;

	return signal_name ? format_string("crashed: SIG%s in phase '%s'", signal_name,
				     phase ? phase : "start")
			   : format_string("crashed with status %d in phase '%s'", code,
				     phase ? phase : "start");
}

/* Runs one lab to its end. *reason is set when it did not end well; an error stops the run. */
static struct error *run_lab(struct trial_job *job, struct collected *collected, char **reason)
{
	struct lab_options options = {
		.name = "lab",
		.mask_kvm = strcmp(job->host.accelerator, "kvm") != 0,
		.body = trial_lab_body,
		.context = job,
	};
	_cleanup_(lab_kill) struct lab lab = {.alive_fd = -1};
	_cleanup_close_ int out = -1;
	_cleanup_error_ struct error *err = NULL;
	int pair[2], status = 0;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create a pipe for the lab");
	out = pair[0];
	job->trial->out_fd = pair[1];
	err = lab_open(&options, &lab);
	close(pair[1]);
	job->trial->out_fd = -1;
	if (err)
		return take_ptr(err);
	err = listen_to(out, job->trial->deadline, collected);
	if (err && error_kind(err) == ERROR_TIMEOUT) {
		*reason = format_string("hung: the deadline passed in phase '%s'",
			collected->phase ? collected->phase : "start");
		return NULL;
	}
	if (err && error_kind(err) == ERROR_INTERRUPTED)
		return take_ptr(err);
	if (err) {
		*reason = format_string("%s", error_message(err));
		return NULL;
	}
	if (!lab_wait(&lab, deadline_after_ms(LAB_END_MS), &status))
		*reason = format_string("the lab did not end");
	else if (collected->error)
		*reason = format_string("%s (in phase '%s')", collected->error,
			collected->phase ? collected->phase : "start");
	else if (!collected->done && !collected->template)
		*reason = crash_reason(status, collected->phase);
	return NULL;
}

/* ---- templates ---- */

static struct error *boot_template(struct trial_job *job, struct template *template, char **reason)
{
	_cleanup_(collected_deinit) struct collected collected = {
		.samples = json_array(), .evidence = json_array(), .effective = json_object()};
	struct deadline deadline = job->trial->deadline;

	job->make_template = true;
	job->trial->deadline = deadline_after_ms(TEMPLATE_DEADLINE_MS);
	try_(run_lab(job, &collected, reason));
	job->make_template = false;
	job->trial->deadline = deadline;
	if (!*reason && !collected.template)
		*reason = format_string("the template's lab gave no template");
	if (!*reason)
		template->argv = take_ptr(collected.template);
	return NULL;
}

/* *reason is set when its boot failed. */
static struct error *provide_template(struct trial_job *job, struct resources *resources,
	uint64_t memory_bytes, struct template **template, char **reason)
{
	struct error *err;
	bool made;

	try_(resources_template(resources, job->spec, memory_bytes, template, &made));
	(*template)->next = NULL;
	if (!made)
		return NULL;
	job->host.template = *template;
	err = boot_template(job, *template, reason);
	if (err || *reason)
		resources_template_forget(resources, *template);
	return err;
}

static bool has_size(const struct template *list, uint64_t memory_bytes)
{
	while (list && list->memory_bytes != memory_bytes)
		list = list->next;
	return list != NULL;
}

/* One for each size of guest. */
static struct error *provide_templates(
	struct trial_job *job, struct resources *resources, char **reason)
{
	const struct fleet_spec *spec = job->spec;
	struct template *list = NULL;
	size_t sizes = 0;

	for (unsigned int i = 0; i < spec->count && !*reason; i++) {
		uint64_t bytes =
			spec->memory_bytes_each ? spec->memory_bytes_each[i] : spec->memory_bytes;
		struct template *template;

		if (has_size(list, bytes))
			continue;
		if (++sizes > FLEET_SIZES_MAX)
			return error_new(ERROR_USAGE,
				"clones of one fleet have at most %d different sizes",
				FLEET_SIZES_MAX);
		try_(provide_template(job, resources, bytes, &template, reason));
		if (*reason)
			break;
		template->next = list;
		list = template;
	}
	job->host.template = list;
	return NULL;
}

/* ---- the result ---- */

static bool all_evidence_ok(json_t *evidence)
{
	json_t *row;
	size_t i;

	json_array_foreach (evidence, i, row) {
		if (!json_is_true(json_object_get(row, "ok")))
			return false;
	}
	return true;
}

/* ok, failed or invalid; *why is set for the last one. */
static const char *outcome_of(const struct trial *trial, const struct collected *collected,
	const char *reason, const char **why)
{
	if (reason)
		return "failed";
	*why = "no evidence that the mechanism acted";
	if (trial->variant->role == ROLE_SUBJECT && json_array_size(collected->evidence) == 0)
		return "invalid";
	*why = "the evidence says that the mechanism did not act";
	if (!all_evidence_ok(collected->evidence))
		return "invalid";
	*why = "no sample was taken";
	if (json_array_size(collected->samples) == 0)
		return "invalid";
	*why = NULL;
	return "ok";
}

/* The plan has texts, as they are given; a record has numbers and truth values. */
static json_t *typed_parameters(const struct trial *trial)
{
	json_t *typed = json_object();
	const char *name;
	json_t *text;

	json_object_foreach (trial->parameters, name, text) {
		const struct param *param = mechanism_param(trial->mechanism, name);
		const char *value = json_string_value(text);

		if (param && value && param->type == PARAM_BOOLEAN)
			json_object_set_new(typed, name, json_boolean(strcmp(value, "true") == 0));
		else if (param && value && param->type == PARAM_INTEGER)
			json_object_set_new(
				typed, name, json_integer((json_int_t)strtod(value, NULL)));
		else if (param && value && param->type == PARAM_REAL)
			json_object_set_new(typed, name, json_real(strtod(value, NULL)));
		else
			json_object_set(typed, name, text);
	}
	return typed;
}

static json_t *reason_text(const char *reason)
{
	_cleanup_json_ json_t *whole = json_string(reason);

	return cut_text(whole, REASON_BYTES);
}

static json_t *make_result(json_t *planned, const struct trial *trial,
	const struct fleet_spec *spec, struct collected *collected, const char *reason,
	const char *started, double wall_s)
{
	const char *why = NULL;
	const char *outcome = outcome_of(trial, collected, reason, &why);
	json_t *result = json_copy(planned);
	json_t *parameters = typed_parameters(trial);
	json_object_update(parameters, collected->effective);
	json_object_set_new(result, "parameters", parameters);
	json_object_set_new(result, "role", json_string(role_name(trial->variant->role)));
	json_object_set_new(result, "boot",
		json_string(spec->count == 0		    ? "none"
			    : spec->start == FLEET_TEMPLATE ? "template"
							    : "cold"));
	json_object_set_new(result, "outcome", json_string(outcome));
	json_object_set_new(result, "reason", reason_text(reason ? reason : why ? why : ""));
	json_object_set(result, "samples", collected->samples);
	json_object_set(result, "evidence", collected->evidence);
	json_object_set_new(result, "ready_s", json_real(collected->ready_s));
	json_object_set_new(result, "started", json_string(started));
	json_object_set_new(result, "wall_s", json_real(wall_s));
	return result;
}

static const char *why_skipped(const struct trial *trial)
{
	const struct mechanism *mechanism = trial->mechanism;

	if (trial->peer_uri && trial->experiment->not_with_peer)
		return trial->experiment->not_with_peer;
	return mechanism->probe_variant ? mechanism->probe_variant(trial->variant) : NULL;
}

/* Failed, with nothing but the reason. */
static json_t *make_bare(json_t *planned, const struct trial *trial, const struct fleet_spec *spec,
	const char *reason, const char *started, double wall_s)
{
	_cleanup_(collected_deinit) struct collected nothing = {
		.samples = json_array(), .evidence = json_array(), .effective = json_object()};
	json_t *result = make_result(planned, trial, spec, &nothing, reason, started, wall_s);

	json_object_set_new(result, "warnings", json_array());
	return result;
}

static json_t *make_skipped(
	json_t *planned, const struct trial *trial, const struct fleet_spec *spec, const char *why)
{
	char now[24];
	json_t *result;

	clock_format_utc(time(NULL), false, now, sizeof(now));
	result = make_bare(planned, trial, spec, why, now, 0);
	json_object_set_new(result, "outcome", json_string("skipped"));
	return result;
}

/* What is in it comes from guests. A record with one trial that does not fit its schema would be
 * refused whole, and its run with it: such a trial has failed instead. Takes `result` over. */
static json_t *fit_for_record(
	json_t *planned, const struct trial *trial, const struct fleet_spec *spec, json_t *result)
{
	_cleanup_json_ json_t *owned = result;
	_cleanup_error_ struct error *unfit = schema_check_part("run", "trial", result);
	_cleanup_free_ char *reason = NULL;

	if (!unfit)
		return take_ptr(owned);
	reason = format_string("its result cannot be recorded: %s", error_message(unfit));
	return make_bare(planned, trial, spec, reason,
		json_string_value(json_object_get(result, "started")),
		json_number_value(json_object_get(result, "wall_s")));
}

/* What the lab needs of the host is taken before, and given back when nothing of the lab uses it
 * any more. That it cannot be had is this trial's failure. */
static struct error *borrow_and_run(
	struct trial_job *job, struct collected *collected, json_t *warnings, char **reason)
{
	_cleanup_error_ struct error *refused = ram_borrow_huge_pages(job->spec);
	struct error *err, *kept;

	if (refused) {
		*reason = format_string("%s", error_message(refused));
		return NULL;
	}
	err = run_lab(job, collected, reason);
	kept = knobs_give_back(warnings);
	if (!err)
		return kept;
	error_destroy(kept);
	return err;
}

/* The one that the record speaks of. */
static struct error *open_this_peer(
	const struct trial *trial, const json_t *host, struct peer **peer)
{
	_cleanup_free_ char *directory = peer_directory();
	_cleanup_(cleanup_peer) struct peer *opened = NULL;
	unsigned int lifetime_s = (unsigned int)trial->experiment->deadline_s + PEER_MARGIN_S;
	const char *what;

	try_(peer_open(trial->peer_uri, directory, deadline_after_ms(PEER_TIMEOUT_MS), lifetime_s,
		&opened));
	what = host ? host_facts_differ(host, peer_host(opened)) : NULL;
	if (what)
		return error_new(ERROR_SETUP,
			"the peer is not what it was when the run began: "
			"its %s is another",
			what);
	*peer = take_ptr(opened);
	return NULL;
}

/* One for each trial, as its lab is. That it cannot be had is this trial's failure. */
static struct peer *open_peer(const struct trial *trial, const json_t *host, char **reason)
{
	struct peer *peer = NULL;
	_cleanup_error_ struct error *err = open_this_peer(trial, host, &peer);

	if (err)
		*reason = format_string("%s", error_message(err));
	return peer;
}

struct error *trial_run(
	json_t *planned, struct resources *resources, const char *log_dir, json_t **result)
{
	_cleanup_(cleanup_trial) struct trial *trial = NULL;
	_cleanup_(collected_deinit) struct collected collected = {
		.samples = json_array(), .evidence = json_array(), .effective = json_object()};
	_cleanup_free_ char *reason = NULL;
	struct fleet_spec spec;
	struct trial_job job;
	_cleanup_json_ json_t *before = NULL;
	_cleanup_json_ json_t *warnings = json_array();
	const char *why_not;
	char started[24];
	int64_t begin;

	try_(trial_fleet_spec(planned, &trial, &spec));
	why_not = why_skipped(trial);
	if (why_not) {
		*result = make_skipped(planned, trial, &spec, why_not);
		return NULL;
	}
	try_(fs_make_dirs(log_dir));
	job = (struct trial_job){
		.trial = trial,
		.spec = &spec,
		.host = {.accelerator = resources_accelerator(resources), .log_dir = log_dir},
	};
	trial->log_dir = log_dir;
	if (spec.count > 0)
		try_(resources_image(resources, &spec.image, &job.host.image));
	if (spec.extra && spec.extra->image)
		try_(resources_image(resources, spec.extra->image, &job.host.inner_image));
	if (spec.count > 0 && spec.start == FLEET_TEMPLATE)
		try_(provide_templates(&job, resources, &reason));
	if (trial->peer_uri && !reason)
		trial->peer = job.host.peer = open_peer(trial, resources_peer(resources), &reason);
	before = clean_snapshot();
	begin = clock_now_ns();
	clock_format_utc(time(NULL), false, started, sizeof(started));
	trial->deadline = deadline_after_ms((int64_t)(trial->experiment->deadline_s * 1e3));
	if (!reason)
		try_(borrow_and_run(&job, &collected, warnings, &reason));
	*result = make_result(planned, trial, &spec, &collected, reason, started,
		clock_seconds(begin, clock_now_ns()));
	peer_close(take_ptr(trial->peer));
	clean_compare(before, warnings);
	json_object_set(*result, "warnings", warnings);
	*result = fit_for_record(planned, trial, &spec, *result);
	return NULL;
}
