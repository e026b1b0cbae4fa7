/* The README of an exported run: see artifact.h. Must never print a command that a shell would take
 * for more than it says: redo.h sees to that. */
#include "harness/report/artifact.h"

#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/markdown.h"
#include "harness/report/view.h"

#include <string.h>

static void put_contents(const struct artifact *artifact, const char *id, FILE *out)
{
	fprintf(out, "## What is here\n\n"
		     "- `record.json`: the record of the run: host, plan, every trial with its raw "
		     "samples and evidence, verdicts\n");
	if (artifact->journal)
		fputs("- `journal.jsonl`: the journal it was made from, a line for each trial that "
		      "ended\n",
			out);
	if (artifact->logs)
		fprintf(out,
			"- `trial-*/`: what the trials' guests and labs wrote (%zu files); a file "
			"is "
			"missing where nothing was written\n",
			artifact->logs);
	if (json_array_size(artifact->images))
		fputs("- `images/`: what the guests' images were made of\n", out);
	fprintf(out,
		"- `SHA256SUMS`: `sha256sum -c SHA256SUMS`\n\n"
		"Nothing has to be run to look at it:\n\n"
		"    fleetlab import %s\n"
		"    fleetlab report %s\n\n",
		artifact->archive, id);
}

/* A row for each claim of the paper that can be run; their disk and time added up. */
static void add_claims(json_t *table, const json_t *paper)
{
	const json_t *claim;
	size_t i;

	json_array_foreach (json_object_get(paper, "claims"), i, claim) {
		const char *verdict = json_text(claim, "verdict");
		bool ran = json_number(claim, "wall_s", 0) > 0;
		char took[FIGURE_SIZE] = "-", disk[FIGURE_SIZE] = "-";
		_cleanup_free_ char *command = NULL;

		if (!json_object_get(claim, "command"))
			continue;
		command = format_string("`%s`", json_text(claim, "command"));
		if (ran) {
			figure_duration(json_number(claim, "wall_s", 0), took);
			figure_bytes(json_number(claim, "disk_bytes", 0), disk);
		}
		markdown_row(table, 5,
			(const char *const[5]){
				json_text(claim, "id"), verdict, command, took, disk});
	}
}

static void put_commands(const json_t *view, const char *commit, FILE *out)
{
	static const char *const head[] = {"claim", "verdict here", "command", "time", "disk"};
	_cleanup_free_ char *shown = markdown_text(commit);
	_cleanup_json_ json_t *table = json_array();
	const json_t *paper;
	size_t i;

	markdown_row(table, ARRAY_SIZE(head), head);
	json_array_foreach (json_object_get(view, "papers"), i, paper)
		add_claims(table, paper);
	fprintf(out,
		"## Measuring it again: one command per claim\n\n"
		"With fleetlab at commit %s (`ci/with-deps make`), on a host of your own. Time and "
		"disk are what the claim's trials took here; the first run also builds the images "
		"below. The disk of a trial is its logs: guests run in memory.\n\n",
		shown);
	markdown_table(table, "lllrr", out);
}

static void put_images(const json_t *images, FILE *out)
{
	static const char *const head[] = {"image", "content hash", "disk", "made of"};
	_cleanup_json_ json_t *table = json_array();
	const json_t *image;
	size_t i;

	if (json_array_size(images) == 0)
		return;
	markdown_row(table, ARRAY_SIZE(head), head);
	json_array_foreach (images, i, image) {
		_cleanup_free_ char *name = markdown_text(json_text(image, "name"));
		_cleanup_free_ char *hash = markdown_text(json_text(image, "hash"));
		_cleanup_free_ char *manifest = NULL;
		char disk[FIGURE_SIZE] = "-";

		if (json_object_get(image, "bytes"))
			figure_bytes(json_number(image, "bytes", 0), disk);
		manifest = json_object_get(image, "manifest")
				   ? format_string("`%s`", json_text(image, "manifest"))
				   : format_string("not on the exporting host any more");
		markdown_row(table, 4, (const char *const[4]){name, hash, disk, manifest});
	}
	fputs("## Guest images\n\n", out);
	markdown_table(table, "llrl", out);
}

struct error *artifact_readme(const struct artifact *artifact, FILE *out)
{
	const struct report_options options = {0};
	const json_t *json = artifact->record->json;
	_cleanup_free_ char *id = markdown_text(json_text(json, "id"));
	_cleanup_json_ json_t *view = NULL;

	try_(view_make(artifact->record, &options, &view));
	fprintf(out, "# Run %s\n\n", id);
	fputs("What it takes to examine the claims that this run has graded.\n\n", out);
	put_contents(artifact, json_text(json, "id"), out);
	put_commands(view, json_text(json_object_get(json, "build"), "commit"), out);
	put_images(artifact->images, out);
	fputs("# The report\n\n", out);
	return report_render(artifact->record, REPORT_MARKDOWN, &options, out);
}
