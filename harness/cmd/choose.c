/* What run and nightly are told to run: see choose.h. */
#include "harness/cmd/choose.h"
#include "harness/base/fs.h"
#include "harness/base/nearest.h"

#include <stdbool.h>
#include <string.h>

void chosen_init(struct chosen *chosen)
{
	*chosen = (struct chosen){.overrides = json_object()};
}

void chosen_deinit(struct chosen *chosen)
{
	json_decref(chosen->overrides);
}

static struct error *unknown_mechanism(const char *name, const char *how)
{
	struct error *err = error_new(ERROR_USAGE, "there is no mechanism '%s'", name);
	const char *names[64], *near;
	size_t known = 0;

	for (; mechanism_at(known) && known < ARRAY_SIZE(names); known++)
		names[known] = mechanism_at(known)->name;
	near = nearest_name(name, names, known);
	return near ? error_hint(err, how, near) : error_hint(err, "fleetlab list");
}

struct error *choose_mechanism(struct chosen *chosen, const char *name, const char *how)
{
	const struct mechanism *mechanism = mechanism_find(name);

	if (!mechanism)
		return unknown_mechanism(name, how);
	for (size_t i = 0; i < chosen->count; i++) {
		if (chosen->mechanisms[i] == mechanism)
			return NULL;
	}
	if (chosen->count == CHOSEN_MAX)
		return error_new(ERROR_USAGE, "more than %d mechanisms", CHOSEN_MAX);
	chosen->mechanisms[chosen->count++] = mechanism;
	return NULL;
}

static bool has_profile(const struct mechanism *mechanism, enum profile profile)
{
	for (const struct experiment *e = mechanism->experiments; e->name; e++) {
		if (e->sizes[profile].blocks > 0)
			return true;
	}
	return false;
}

void choose_all(struct chosen *chosen, enum profile profile)
{
	for (size_t i = 0; mechanism_at(i) && chosen->count < CHOSEN_MAX; i++) {
		const struct mechanism *mechanism = mechanism_at(i);

		if (strcmp(mechanism->name, "null") != 0 && has_profile(mechanism, profile))
			chosen->mechanisms[chosen->count++] = mechanism;
	}
}

/* Records are JSON, which has no other text. */
struct error *choose_text(const char *option, const char *word)
{
	_cleanup_json_ json_t *value = json_string(word);

	return value ? NULL
		     : error_hint(error_new(ERROR_USAGE, "%s: its text is not UTF-8", option),
			       "what a record keeps is: convert it, with iconv for example");
}

struct error *choose_parameter(struct chosen *chosen, const char *text)
{
	const char *equals = strchr(text, '=');

	try_(choose_text("-p", text));
	if (!equals || equals == text || !equals[1])
		return error_hint(
			error_new(ERROR_USAGE, "-p %s: a parameter is set as name=value", text),
			"fleetlab show MECHANISM lists the parameters");
	_cleanup_free_ char *name = format_string("%.*s", (int)(equals - text), text);

	json_object_set_new(chosen->overrides, name, json_string(equals + 1));
	return NULL;
}

struct error *choose_directory(const char *option, const char *word, char **dir)
{
	if (!word[0])
		return error_hint(
			error_new(ERROR_USAGE, "%s '': not a directory", option), "%s DIR", option);
	free(*dir);
	*dir = format_string("%s", word);
	return NULL;
}
