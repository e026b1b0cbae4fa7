/* The lab's side of a trial: runs the mechanism's hooks in order and tells the parent what happens,
 * one JSON line each. Must never outlive the lab nor write anywhere but its log directory. */
#include "harness/engine/trial_internal.h"
#include "harness/base/fs.h"
#include "harness/engine/handicap.h"

#include <fcntl.h>
#include <signal.h>

static void tell(struct trial *trial, json_t *line)
{
	error_destroy(jsonline_send(trial->out_fd, line, "the run"));
}

static struct error *enter_phase(struct trial *trial, const char *phase)
{
	tell(trial, json_pack("{s:s}", "phase", phase));
	return NULL;
}

static struct error *call(
	struct trial *trial, const char *phase, struct error *(*hook)(struct trial *trial))
{
	if (!hook)
		return NULL;
	try_(enter_phase(trial, phase));
	return hook(trial);
}

static struct error *boot(struct trial_job *job)
{
	struct trial *trial = job->trial;

	try_(enter_phase(trial, "boot"));
	try_(fleet_open(job->spec, &job->host, trial->deadline, &trial->fleet));
	tell(trial, json_pack("{s:f}", "ready_s", fleet_ready_s(trial->fleet)));
	return NULL;
}

/* A drill's trial proves that it was slowed down: a drill of nothing must not count as missed. */
static struct error *measure_braked(struct trial *trial)
{
	struct handicap_brake brake = {0};
	double wanted = 1 - 1 / trial->handicap, stopped;
	struct error *err;

	try_(handicap_start(trial->handicap, &brake));
	err = trial->mechanism->measure(trial);
	handicap_stop(&brake, &stopped);
	if (err)
		return err;
	return trial_evidence(trial, "drill", stopped > wanted / 2 && stopped < 2 * wanted, stopped,
		"", "DRILL: guests were stopped for %.0f %% of the time, %.0f %% wanted",
		100 * stopped, 100 * wanted);
}

static struct error *run_hooks(struct trial_job *job)
{
	struct trial *trial = job->trial;
	const struct mechanism *mechanism = trial->mechanism;

	try_(call(trial, "prepare", mechanism->prepare));
	if (job->make_template) {
		json_t *argv;

		try_(enter_phase(trial, "template"));
		try_(fleet_make_template(job->spec, &job->host, trial->deadline, &argv));
		tell(trial, json_pack("{s:o}", "template", argv));
		return NULL;
	}
	try_(boot(job));
	try_(call(trial, "setup", mechanism->setup));
	try_(call(trial, "measure", trial->handicap > 0 ? measure_braked : mechanism->measure));
	return call(trial, "evidence", mechanism->evidence);
}

/* The trial's own log takes whatever libraries print. */
static void redirect_output(const char *log_dir)
{
	_cleanup_free_ char *path = format_string("%s/lab.log", log_dir);
	_cleanup_close_ int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null >= 0)
		dup2(null, STDIN_FILENO);
	if (log >= 0) {
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
	}
}

int trial_lab_body(void *context)
{
	struct trial_job *job = context;
	struct trial *trial = job->trial;
	struct error *err;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	redirect_output(trial->log_dir);
	err = run_hooks(job);
	if (trial->mechanism->teardown)
		trial->mechanism->teardown(trial);
	if (err) {
		json_t *line = json_object();

		jsonline_put_error(line, err);
		tell(trial, line);
		error_destroy(err);
		return 1;
	}
	tell(trial, json_pack("{s:b}", "done", 1));
	return 0;
}
