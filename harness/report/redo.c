/* The command that measures a claim again: see redo.h. */
#include "harness/report/redo.h"

#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "mechanisms/mechanism.h"

#include <ctype.h>
#include <string.h>

static bool is_plain(const char *word)
{
	for (const char *p = word; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("_.=:,+-", *p))
			return false;
	}
	return *word;
}

static bool can_run(const json_t *claim)
{
	const json_t *test;
	size_t i;

	json_array_foreach (json_object_get(claim, "tests"), i, test) {
		if (strcmp(json_text(test, "kind"), "none") != 0)
			return true;
	}
	return false;
}

/* The parameter that starts at word `index` of the command, or NULL; *words is what it takes. */
static const char *param_at(const json_t *command, size_t index, size_t *words)
{
	const char *word = json_string_value(json_array_get(command, index));

	*words = 1;
	if (!word)
		return NULL;
	if (strcmp(word, "-p") == 0 || strcmp(word, "--param") == 0) {
		*words = 2;
		word = json_string_value(json_array_get(command, index + 1));
		return word ? word : "";
	}
	if (strncmp(word, "--param=", 8) == 0)
		return word + 8;
	return strncmp(word, "-p", 2) == 0 ? word + 2 : NULL;
}

char *redo_command(const json_t *record, const json_t *paper, const json_t *claim)
{
	const json_t *command = json_object_get(record, "command");
	const char *profile = json_text(json_object_get(record, "plan"), "profile");
	char *text;
	size_t words;

	if (!can_run(claim) || !is_plain(profile) || !mechanism_find(json_text(paper, "mechanism")))
		return NULL;
	text = format_string("fleetlab run %s --only %s --profile %s",
		json_text(paper, "mechanism"), json_text(claim, "id"), profile);
	for (size_t i = 0; i < json_array_size(command); i += words) {
		const char *param = param_at(command, i, &words);
		char *longer;

		if (!param)
			continue;
		if (!is_plain(param)) {
			free(text);
			return NULL;
		}
		longer = format_string("%s -p %s", text, param);
		free(text);
		text = longer;
	}
	return text;
}
