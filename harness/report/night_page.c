/* What a night's summary says: see night_page.h. The record may be damaged: nothing in it is relied
 * on. */
#include "harness/report/night_page.h"

#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/night.h"

#include <math.h>
#include <string.h>

static bool is(const json_t *object, const char *key, const char *value)
{
	return strcmp(json_text(object, key), value) == 0;
}

static size_t total(const json_t *night, const char *key)
{
	return (size_t)json_number(json_object_get(night, "totals"), key, 0);
}

static void add_text(json_t *texts, char *text)
{
	json_array_append_new(texts, json_string(text));
	free(text);
}

void night_effect(const json_t *verdict, char *out)
{
	const json_t *within = json_object_get(verdict, "within");
	double effect = json_number(verdict, "effect", NAN);

	if (!isfinite(effect))
		snprintf(out, FIGURE_SIZE, "-");
	else if (json_array_size(within) == 2)
		snprintf(out, FIGURE_SIZE, "%+.1f %% [%+.1f, %+.1f]", 100 * effect,
			100 * json_number_value(json_array_get(within, 0)),
			100 * json_number_value(json_array_get(within, 1)));
	else
		snprintf(out, FIGURE_SIZE, "%+.1f %%", 100 * effect);
}

/* ---- the headline ---- */

static void add_count(char **text, size_t count, const char *one, const char *many)
{
	char *longer;

	if (count == 0)
		return;
	longer = format_string(
		"%s%s%zu %s", *text, **text ? ", " : "", count, count == 1 ? one : many);
	free(*text);
	*text = longer;
}

static char *judged_headline(const json_t *night)
{
	char *text = format_string("%s", "");
	size_t tonight = total(night, "regressions") + total(night, "improvements") +
			 total(night, "changes");
	size_t confirmed = total(night, "confirmed");

	add_count(&text, total(night, "regressions"), "regression confirmed",
		"regressions confirmed");
	add_count(&text, total(night, "improvements"), "improvement confirmed",
		"improvements confirmed");
	add_count(&text, total(night, "changes"), "change confirmed", "changes confirmed");
	add_count(&text, total(night, "recovered"), "metric recovered", "metrics recovered");
	add_count(&text, confirmed > tonight ? confirmed - tonight : 0,
		"change of an earlier night stands", "changes of earlier nights stand");
	add_count(&text, total(night, "suspect"), "suspect, not confirmed",
		"suspects, not confirmed");
	add_count(&text, total(night, "trials_failed"), "trial failed or invalid",
		"trials failed or invalid");
	if (!*text) {
		free(text);
		text = total(night, "learning") > 0 && total(night, "quiet") == 0
			       ? format_string("still learning: too few nights to judge")
			       : format_string("quiet");
	}
	return text;
}

char *night_headline(const json_t *night)
{
	_cleanup_free_ char *judged = NULL;

	if (is(night, "state", "not-started"))
		return format_string("not started: %s", json_text(night, "reason"));
	if (is(night, "state", "in-progress"))
		return format_string("in progress %s", json_text(night, "reason"));
	judged = judged_headline(night);
	if (is(night, "state", "incomplete"))
		return total(night, "regressions") + total(night, "improvements") +
					       total(night, "changes") >
				       0
			       ? format_string("incomplete: %s; before: %s",
					 json_text(night, "reason"), judged)
			       : format_string("incomplete: %s", json_text(night, "reason"));
	return format_string("%s (%zu metrics)", judged, total(night, "metrics"));
}

/* ---- sections ---- */

static json_t *new_section(json_t *page, const char *heading, const char *align)
{
	json_t *section = json_pack("{s:s, s:[], s:[], s:s, s:[]}", "heading", heading, "texts",
		"columns", "align", align, "rows");

	json_array_append_new(json_object_get(page, "sections"), section);
	return section;
}

static void set_columns(json_t *section, size_t count, const char *const *names)
{
	for (size_t i = 0; i < count; i++)
		json_array_append_new(json_object_get(section, "columns"), json_string(names[i]));
}

static void add_row(json_t *section, size_t count, const char *const *cells)
{
	json_t *row = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(row, json_string(cells[i]));
	json_array_append_new(json_object_get(section, "rows"), row);
}

static void usual_text(const json_t *verdict, char *out)
{
	const json_t *usual = json_object_get(verdict, "usual");

	if (json_array_size(usual) == 2)
		snprintf(out, FIGURE_SIZE, "%.4g [%.4g, %.4g]",
			json_number(verdict, "baseline", NAN),
			json_number_value(json_array_get(usual, 0)),
			json_number_value(json_array_get(usual, 1)));
	else
		snprintf(out, FIGURE_SIZE, "-");
}

static char *confirmation_text(const json_t *verdict)
{
	const json_t *fresh = json_object_get(verdict, "confirmation");

	if (!fresh)
		return format_string("none");
	return format_string("%s: %.4g, %.0f pairs, run %s", json_text(fresh, "answer"),
		json_number(fresh, "value", NAN), json_number(fresh, "pairs", 0),
		json_text(fresh, "run"));
}

static void add_metric(json_t *section, const json_t *row, const char *mark)
{
	const json_t *verdict = json_object_get(row, "verdict");
	char effect[FIGURE_SIZE], usual[FIGURE_SIZE], value[FIGURE_SIZE];
	_cleanup_free_ char *name = format_string("%s%s", mark, json_text(row, "name"));
	_cleanup_free_ char *fresh = confirmation_text(verdict);

	night_effect(verdict, effect);
	usual_text(verdict, usual);
	figure_value(json_number(row, "value", NAN), json_text(row, "unit"), value);
	add_row(section, 6,
		(const char *const[]){
			name, effect, json_text(verdict, "direction"), value, usual, fresh});
}

static const char *const metric_columns[] = {
	"metric", "effect", "direction", "tonight", "usual (5 to 95 %)", "fresh trials"};

enum which { TOLD, STANDING, SUSPECTS, RECOVERED };

static bool belongs(const json_t *row, enum which which)
{
	const json_t *verdict = json_object_get(row, "verdict");
	bool alert = json_is_true(json_object_get(verdict, "alert"));

	switch (which) {
	case TOLD:
		return alert;
	case STANDING:
		return !alert && is(verdict, "state", "confirmed");
	case SUSPECTS:
		return is(verdict, "state", "suspect");
	default:
		return is(verdict, "state", "recovered");
	}
}

static void add_story(json_t *section, const json_t *row, enum which which)
{
	const json_t *verdict = json_object_get(row, "verdict");
	const json_t *cause = json_object_get(verdict, "attribution");

	if (cause && which != STANDING)
		add_text(json_object_get(section, "texts"),
			format_string("%s: since night %s; %s", json_text(row, "name"),
				json_text(verdict, "since"), json_text(cause, "text")));
	else if (which == STANDING)
		add_text(json_object_get(section, "texts"),
			format_string("%s: since night %s", json_text(row, "name"),
				json_text(verdict, "since")));
	if (which == SUSPECTS)
		add_text(json_object_get(section, "texts"),
			format_string(
				"%s: %s", json_text(row, "name"), json_text(verdict, "reason")));
}

static void add_metrics(json_t *page, const json_t *night, enum which which, const char *heading)
{
	json_t *section = NULL;
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(night, "metrics"), i, row) {
		if (!belongs(row, which))
			continue;
		if (!section) {
			section = new_section(page, heading, "lrlrll");
			set_columns(section, 6, metric_columns);
		}
		add_metric(section, row, "");
		add_story(section, row, which);
	}
}

static void add_all(json_t *page, const json_t *night)
{
	static const char *const columns[] = {
		"metric", "state", "tonight", "usual (5 to 95 %)", "nights", "A/A"};
	json_t *section = new_section(page, "All metrics", "llrlrr");
	const json_t *row;
	size_t i;

	set_columns(section, 6, columns);
	json_array_foreach (json_object_get(night, "metrics"), i, row) {
		const json_t *verdict = json_object_get(row, "verdict");
		char value[FIGURE_SIZE], usual[FIGURE_SIZE], nights[FIGURE_SIZE], aa[FIGURE_SIZE];

		figure_value(json_number(row, "value", NAN), json_text(row, "unit"), value);
		usual_text(verdict, usual);
		snprintf(nights, sizeof(nights), "%.0f", json_number(verdict, "nights", 0));
		if (json_object_get(row, "aa"))
			snprintf(aa, sizeof(aa), "%.3f", json_number(row, "aa", NAN));
		else
			snprintf(aa, sizeof(aa), "-");
		add_row(section, 6,
			(const char *const[]){json_text(row, "name"), json_text(verdict, "state"),
				value, usual, nights, aa});
	}
	if (json_array_size(json_object_get(section, "rows")) == 0)
		add_text(json_object_get(section, "texts"), format_string("nothing was judged"));
}

static char *share_text(const json_t *ledger, const char *key)
{
	double share = json_number(ledger, key, NAN);

	return isfinite(share) ? format_string("%.2f", share) : format_string("not known yet");
}

static void add_drill_metrics(json_t *section, const json_t *drill)
{
	const json_t *row;
	size_t i;

	set_columns(section, 6, metric_columns);
	json_array_foreach (json_object_get(drill, "metrics"), i, row)
		add_metric(section, row, "DRILL ");
}

static void add_drill(json_t *page, const json_t *night)
{
	const json_t *drill = json_object_get(night, "drill");
	const json_t *ledger = json_object_get(night, "ledger");
	json_t *section, *texts;

	if (!json_is_object(drill) && json_number(ledger, "drills", 0) == 0)
		return;
	section = new_section(page, "DRILL: nothing in this section is real", "lrlrll");
	texts = json_object_get(section, "texts");
	if (json_is_object(drill)) {
		const char *by = json_text(drill, "caught_by"),
			   *reason = json_text(drill, "reason");

		add_text(texts,
			format_string(
				"%s %s, variant %s slowed down %.4g times (%s), night %.0f of "
				"the drill: %s%s%s%s%s",
				json_text(drill, "mechanism"), json_text(drill, "experiment"),
				json_text(drill, "variant"), json_number(drill, "slowdown", NAN),
				json_text(drill, "how"), json_number(drill, "night", 0) + 1,
				json_text(drill, "state"), *by ? " by " : "", by,
				*reason ? ": " : "", reason));
		add_drill_metrics(section, drill);
	}
	_cleanup_free_ char *precision = share_text(ledger, "precision");
	_cleanup_free_ char *recall = share_text(ledger, "recall");
	_cleanup_free_ char *delay = json_object_get(ledger, "delay_median")
					     ? format_string(", median delay %.1f nights",
						       json_number(ledger, "delay_median", NAN))
					     : format_string("%s", "");

	add_text(texts,
		format_string("all drills: %.0f begun, %.0f caught, %.0f missed, %.0f void, %.0f "
			      "open; %.0f false alarms over %.0f control readings; precision %s, "
			      "recall %s%s",
			json_number(ledger, "drills", 0), json_number(ledger, "caught", 0),
			json_number(ledger, "missed", 0), json_number(ledger, "void", 0),
			json_number(ledger, "open", 0), json_number(ledger, "false_alarms", 0),
			json_number(ledger, "controls", 0), precision, recall, delay));
}

static void add_runs(json_t *page, const json_t *night)
{
	static const char *const columns[] = {
		"run", "purpose", "what", "state", "ok", "failed", "invalid"};
	json_t *section = new_section(page, "Runs", "llllrrr");
	const json_t *run;
	size_t i;

	set_columns(section, 7, columns);
	json_array_foreach (json_object_get(night, "runs"), i, run) {
		const json_t *trials = json_object_get(run, "trials");
		const char *reason = json_text(run, "reason");
		_cleanup_free_ char *what = format_string(
			"%s %s", json_text(run, "mechanism"), json_text(run, "experiment"));
		_cleanup_free_ char *state = format_string(
			"%s%s%s", json_text(run, "state"), *reason ? ": " : "", reason);
		char ok[FIGURE_SIZE], failed[FIGURE_SIZE], invalid[FIGURE_SIZE];

		snprintf(ok, sizeof(ok), "%.0f", json_number(trials, "ok", 0));
		snprintf(failed, sizeof(failed), "%.0f", json_number(trials, "failed", 0));
		snprintf(invalid, sizeof(invalid), "%.0f", json_number(trials, "invalid", 0));
		add_row(section, 7,
			(const char *const[]){json_text(run, "id"), json_text(run, "purpose"),
				*what == ' ' ? "all" : what, state, ok, failed, invalid});
	}
	if (json_array_size(json_object_get(section, "rows")) == 0)
		add_text(json_object_get(section, "texts"), format_string("none"));
}

static void add_changes(json_t *page, const json_t *night)
{
	static const char *const columns[] = {"what", "field", "before", "now"};
	const json_t *changes = json_object_get(json_object_get(night, "host"), "changed"), *one;
	json_t *section;
	size_t i;

	if (json_array_size(changes) == 0)
		return;
	section = new_section(page, "New on this host since the last night", "llll");
	set_columns(section, 4, columns);
	json_array_foreach (changes, i, one)
		add_row(section, 4,
			(const char *const[]){json_text(one, "kind"), json_text(one, "field"),
				json_text(one, "before"), json_text(one, "after")});
}

static void add_lead(json_t *page, const json_t *night)
{
	json_t *lead = json_object_get(page, "lead");
	const json_t *reasons = json_object_get(json_object_get(night, "use"), "reasons"), *one;
	const json_t *hook = json_object_get(night, "hook");
	double resumed = json_number(night, "resumed", 0);
	size_t i;

	add_text(lead,
		format_string("begun %s, ended %s, exit status %.0f", json_text(night, "started"),
			json_text(night, "finished"), json_number(night, "exit_status", 0)));
	if (resumed > 0)
		add_text(lead, format_string("it was cut and went on, %.0f time%s", resumed,
				       resumed == 1 ? "" : "s"));
	if (json_is_true(json_object_get(night, "forced")))
		add_text(lead, format_string("FORCED: the host was in use, readings may be off"));
	json_array_foreach (reasons, i, one) {
		if (json_is_string(one))
			add_text(lead, format_string("in use: %s", json_string_value(one)));
	}
	json_array_foreach (json_object_get(night, "notes"), i, one) {
		if (json_is_string(one))
			add_text(lead, format_string("%s", json_string_value(one)));
	}
	if (hook && !json_is_true(json_object_get(hook, "ok")))
		add_text(lead,
			format_string("the hook failed: %s; nobody was told: fleetlab nightly "
				      "--resume --hook COMMAND",
				json_text(hook, "reason")));
}

json_t *night_page(const json_t *night)
{
	_cleanup_free_ char *headline = night_headline(night);
	_cleanup_free_ char *title = format_string("%sfleetlab night %s",
		json_is_true(json_object_get(night, "synthetic")) ? "SYNTHETIC: " : "",
		json_text(night, "id"));
	json_t *page = json_pack(
		"{s:s, s:s, s:[], s:[]}", "title", title, "headline", headline, "lead", "sections");

	add_lead(page, night);
	add_metrics(page, night, TOLD, "Confirmed tonight");
	add_metrics(page, night, RECOVERED, "Recovered");
	add_metrics(page, night, STANDING, "Standing from earlier nights");
	add_metrics(page, night, SUSPECTS, "Suspect, not confirmed");
	add_changes(page, night);
	if (!is(night, "state", "not-started")) {
		add_all(page, night);
		add_drill(page, night);
		add_runs(page, night);
	}
	return page;
}
