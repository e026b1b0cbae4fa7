/* The report for a terminal: see report.h. Must never print a line wider than the page. */
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/emulation.h"
#include "harness/report/figures.h"
#include "harness/report/formats.h"
#include "harness/report/series.h"
#include "harness/report/text.h"

#include <math.h>
#include <string.h>

/* No list of trials is longer, unless verbose. */
#define MOST_LISTED 12

static void put_run(const json_t *view, const struct page *page)
{
	const json_t *run = json_object_get(view, "run"), *host = json_object_get(view, "host");
	const json_t *peer = json_object_get(view, "peer");
	char took[FIGURE_SIZE], cpu[FIGURE_SIZE];
	const json_t *note;
	size_t i;

	figure_duration(json_number(run, "wall_s", 0), took);
	figure_cpu(host, cpu);
	page_heading(page, json_text(run, "id"));
	page_wrap(page, 0, 2, "run:  profile %s, seed %.0f, %s, %s in trials; fleetlab %s (%s)",
		json_text(run, "profile"), json_number(run, "seed", 0), json_text(run, "state"),
		took, json_text(run, "version"), json_text(run, "commit"));
	page_wrap(page, 0, 6, "host: %s; Linux %s; QEMU %s; libvirt %s", cpu,
		json_text(host, "kernel"), json_text(host, "qemu"), json_text(host, "libvirt"));
	page_wrap(page, 0, 6, "      accelerator %s%s%s%s", json_text(host, "accelerator"),
		json_is_true(json_object_get(host, "emulated"))
			? " (emulated CPU: times are not those of hardware)"
			: "",
		*json_text(host, "reason") ? ": " : "", json_text(host, "reason"));
	if (peer) {
		figure_cpu(peer, cpu);
		page_wrap(page, 0, 6, "peer: %s; Linux %s; QEMU %s%s", cpu,
			json_text(peer, "kernel"), json_text(peer, "qemu"),
			json_is_true(json_object_get(peer, "same_host")) ? "; this host itself"
									 : "");
	}
	if (json_is_true(json_object_get(run, "synthetic")))
		page_wrap(page, 0, 2, "SYNTHETIC: made for a test, measured nowhere.");
	if (json_is_true(json_object_get(run, "altered")))
		page_wrap(page, 0, 2,
			"ALTERED: this record was changed after it was written. "
			"The verdicts below are computed from its samples.");
	json_array_foreach (json_object_get(run, "notes"), i, note)
		page_wrap(page, 2, 4, "%s", json_string_value(note));
}

void text_emulation(const json_t *table, const struct page *page)
{
	_cleanup_free_ char *list = emulation_text(table);

	if (*list)
		page_wrap(page, 2, 4, "emulated: %s", list);
}

/* The answer first: "in short: C1 reproduced, C2 contradicted". */
static void put_verdicts(const struct page *page, const json_t *paper)
{
	_cleanup_free_ char *list = format_string("%s", "");
	const json_t *claim;
	size_t i;

	json_array_foreach (json_object_get(paper, "claims"), i, claim) {
		char *longer = format_string("%s%s%s %s", list, i ? ", " : "",
			json_text(claim, "id"), json_text(claim, "verdict"));

		free(list);
		list = longer;
	}
	page_wrap(page, 2, 4, "in short: %s", list);
}

static void put_paper(
	const struct page *page, const json_t *paper, const struct report_options *options)
{
	char heading[160];

	page_blank(page);
	snprintf(heading, sizeof(heading), "%s  %s (%s)", json_text(paper, "id"),
		json_text(paper, "short"), json_text(paper, "mechanism"));
	page_heading(page, heading);
	page_wrap(page, 2, 2, "%s", json_text(paper, "title"));
	put_verdicts(page, paper);
	text_tables(page, paper, options->brief);
	text_claims(page, paper, options->verbose);
	if (!options->brief)
		text_also(page, paper);
}

static void put_problems(const json_t *view, const struct page *page, bool verbose)
{
	const json_t *problems = json_object_get(view, "problems"), *problem;
	const json_t *trials = json_object_get(view, "trials");
	size_t i;

	page_blank(page);
	page_wrap(page, 0, 8,
		"trials: %.0f planned, %.0f ended: %.0f ok, %.0f failed, %.0f invalid, %.0f "
		"skipped",
		json_number(trials, "planned", 0), json_number(trials, "finished", 0),
		json_number(trials, "ok", 0), json_number(trials, "failed", 0),
		json_number(trials, "invalid", 0), json_number(trials, "skipped", 0));
	json_array_foreach (problems, i, problem) {
		if (i == MOST_LISTED && !verbose) {
			page_wrap(page, 2, 4, "and %zu more trials (--verbose)",
				json_array_size(problems) - i);
			break;
		}
		page_wrap(page, 2, 4, "%s: trial %.0f, %s, %s, block %.0f: %s",
			json_text(problem, "outcome"), json_number(problem, "index", 0),
			json_text(problem, "experiment"), json_text(problem, "variant"),
			json_number(problem, "block", 0), json_text(problem, "reason"));
	}
}

static void put_outlier(const struct page *page, const json_t *trial, bool verbose)
{
	const json_t *readings = json_object_get(trial, "readings"), *one;
	size_t more = json_array_size(readings) - 1, i;

	json_array_foreach (readings, i, one) {
		_cleanup_free_ char *name = series_name(one);
		char value[FIGURE_SIZE], rest[48] = "";

		if (i > 0 && !verbose)
			break;
		if (more > 0 && !verbose)
			snprintf(rest, sizeof(rest), "; %zu more metric%s", more,
				more == 1 ? "" : "s");
		figure_value(json_number(one, "value", NAN), json_text(one, "unit"), value);
		page_wrap(page, 2, 4, "trial %.0f, %s: %s %s, %s%s", json_number(trial, "index", 0),
			json_text(trial, "variant"), name, value, json_text(one, "reason"), rest);
	}
}

static void put_outliers(
	const json_t *view, const struct page *page, const struct report_options *options)
{
	const json_t *outliers = json_object_get(view, "outliers"), *trial;
	size_t count = json_array_size(outliers), i;

	if (!count)
		return;
	page_wrap(page, 0, 2, "outliers: %zu trial%s apart (counted like the others%s)", count,
		count == 1 ? " stands" : "s stand", options->brief ? "; report lists them" : "");
	if (options->brief)
		return;
	json_array_foreach (outliers, i, trial) {
		if (i == MOST_LISTED / 2 && !options->verbose) {
			page_wrap(page, 2, 4, "and %zu more trials (--verbose)", count - i);
			break;
		}
		put_outlier(page, trial, options->verbose);
	}
}

/* Of what brief leaves out: how much, and how to get it. */
static void put_left_out(
	const json_t *view, const struct page *page, const struct report_options *options)
{
	const json_t *paper;
	size_t count = 0, i;

	json_array_foreach (json_object_get(view, "papers"), i, paper)
		count += json_array_size(json_object_get(paper, "also"));
	if (count)
		page_wrap(page, 0, 2, "also measured, %zu table%s: fleetlab report %s%s", count,
			count == 1 ? "" : "s", json_text(json_object_get(view, "run"), "id"),
			options->results ? options->results : "");
}

static void put_samples(const json_t *record, const struct page *page)
{
	const json_t *trial, *sample, *value;
	size_t t, s, v;

	page_blank(page);
	page_heading(page, "samples");
	json_array_foreach (json_object_get(record, "trials"), t, trial) {
		page_wrap(page, 2, 4, "trial %.0f: %s, %s, block %.0f.%.0f, %s, %.1f s",
			json_number(trial, "index", 0), json_text(trial, "experiment"),
			json_text(trial, "variant"), json_number(trial, "block", 0),
			json_number(trial, "half", 0), json_text(trial, "outcome"),
			json_number(trial, "wall_s", 0));
		json_array_foreach (json_object_get(trial, "samples"), s, sample) {
			_cleanup_free_ char *name = series_name(sample);
			_cleanup_free_ char *values = NULL;
			size_t size;
			FILE *list = open_memstream(&values, &size);

			if (!list)
				continue;
			json_array_foreach (json_object_get(sample, "values"), v, value) {
				char number[FIGURE_SIZE];

				figure_number(json_number_value(value), number);
				fprintf(list, " %s", number);
			}
			fclose(list);
			page_wrap(
				page, 4, 6, "%s (%s):%s", name, json_text(sample, "unit"), values);
		}
	}
}

struct word {
	const char *word, *meaning;
};

static void put_word(const struct page *page, const struct word *word)
{
	page_wrap(page, 2, 18, "%-15s %s", word->word, word->meaning);
}

static bool is_used(const json_t *view, const char *verdict)
{
	const json_t *paper, *claim, *test;
	size_t p, c, t;

	json_array_foreach (json_object_get(view, "papers"), p, paper) {
		json_array_foreach (json_object_get(paper, "claims"), c, claim) {
			if (strcmp(json_text(claim, "verdict"), verdict) == 0)
				return true;
			json_array_foreach (json_object_get(claim, "tests"), t, test) {
				if (strcmp(json_text(test, "verdict"), verdict) == 0)
					return true;
			}
		}
	}
	return false;
}

/* Only the verdicts that occur: a legend is read when it is short. */
static void put_legend(const json_t *view, const struct page *page, bool brief)
{
	static const struct word verdicts[] = {
		{"reproduced", "the direction holds, and the size where the paper gives one"},
		{"direction-only", "the direction holds, the effect is stronger or weaker"},
		{"contradicted", "the 95 % interval excludes what the paper says"},
		{"inconclusive", "these trials do not decide it; the reason says why"},
		{"not-comparable", "an absolute value, on another kind of host than the paper's"},
		{"not-run", "nothing of it was measured, or there is nothing to grade"},
	};
	static const struct word words[] = {
		{"+ 2", "another test of the claim above, whose own row has the test that decided"},
		{"x", "a ratio, paired within blocks of trials that ran close together"},
		{"/ paper", "measured divided by published"},
		{"evidence", "trials in which the mechanism's work was seen from outside; "
			     "others never count"},
		{"n", "trials, each on a freshly booted fleet; figures are their medians"},
		{"gain", "how much better the best subject is than the best baseline, of medians"},
	};

	page_blank(page);
	page_wrap(page, 0, 2, "how to read this:");
	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
		if (is_used(view, verdicts[i].word))
			put_word(page, &verdicts[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(words) - brief;
		i++) /* the last is of what brief leaves out */
		put_word(page, &words[i]);
}

static void put_aa_row(const struct page *page, const json_t *row)
{
	_cleanup_free_ char *name = series_name(row);
	const char *word = json_object_get(row, "low") ? "" : ": too few to tell";
	char ratio[FIGURE_SIZE];

	if (json_is_true(json_object_get(row, "differs")))
		word = ": DIFFERS, comparisons on this host are not to be believed";
	figure_interval(json_number(row, "median", NAN), json_number(row, "low", NAN),
		json_number(row, "high", NAN), "x", ratio);
	page_wrap(page, 2, 4, "%s %s, %s, %s: %s, %.0f pairs%s", json_text(row, "mechanism"),
		json_text(row, "experiment"), json_text(row, "variant"), name, ratio,
		json_number(row, "pairs", 0), word);
}

static void put_aa(const json_t *view, const struct page *page)
{
	const json_t *rows = json_object_get(view, "aa"), *row;
	size_t i;

	if (!rows)
		return;
	page_blank(page);
	page_heading(page, "A/A: one variant against itself, B over A");
	text_emulation(view, page);
	if (json_array_size(rows) == 0)
		page_wrap(page, 2, 4, "no pair of readings that a ratio can be made of");
	json_array_foreach (rows, i, row)
		put_aa_row(page, row);
}

void text_render(const json_t *view, const json_t *record, const struct page *page,
	const struct report_options *options)
{
	const json_t *paper, *other;
	size_t i;

	put_run(view, page);
	json_array_foreach (json_object_get(view, "papers"), i, paper)
		put_paper(page, paper, options);
	if (json_object_get(view, "drill"))
		page_wrap(page, 0, 2,
			"DRILL: a variant was slowed down on purpose; no claim is "
			"graded");
	put_aa(view, page);
	if (json_array_size(json_object_get(view, "not_run")))
		page_blank(page);
	json_array_foreach (json_object_get(view, "not_run"), i, other)
		page_wrap(page, 0, 3, "%s  %s: %s", json_text(other, "id"),
			json_text(other, "short"), json_text(other, "why"));
	put_problems(view, page, options->verbose);
	put_outliers(view, page, options);
	if (options->brief)
		put_left_out(view, page, options);
	if (options->verbose)
		put_samples(record, page);
	put_legend(view, page, options->brief);
	text_summary(view, page);
}
