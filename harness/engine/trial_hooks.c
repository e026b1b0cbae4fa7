/* What a mechanism's hooks may do with their trial: declared in mechanisms/mechanism.h. */
#include "harness/engine/trial_internal.h"

#include <glib.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

const char *trial_variant(const struct trial *trial)
{
	return trial->variant->name;
}

const char *trial_experiment(const struct trial *trial)
{
	return trial->experiment->name;
}

bool trial_is_reversed(const struct trial *trial)
{
	return trial->reversed;
}

const char *trial_choice(const struct trial *trial, const char *param)
{
	const char *value = json_string_value(json_object_get(trial->parameters, param));

	if (!value) /* not declared: a bug of the mechanism, met by its first test */
		abort();
	return value;
}

int64_t trial_integer(const struct trial *trial, const char *param)
{
	return (int64_t)llround(trial_real(trial, param));
}

double trial_real(const struct trial *trial, const char *param)
{
	return strtod(trial_choice(trial, param), NULL);
}

bool trial_boolean(const struct trial *trial, const char *param)
{
	return strcmp(trial_choice(trial, param), "true") == 0;
}

struct fleet *trial_fleet(struct trial *trial)
{
	return trial->fleet;
}

struct peer *trial_peer(const struct trial *trial)
{
	return trial->peer;
}

bool trial_has_peer(const struct trial *trial)
{
	return trial->peer_uri != NULL;
}

struct deadline trial_deadline(const struct trial *trial)
{
	return trial->deadline;
}

void trial_set_state(struct trial *trial, void *state)
{
	trial->state = state;
}

void *trial_state(const struct trial *trial)
{
	return trial->state;
}

void *trial_keep_object(struct trial *trial, void *object, void (*destroy)(void *object))
{
	if (trial->kept_count == TRIAL_KEPT_MAX)
		abort();
	trial->kept[trial->kept_count++] = (struct trial_kept){object, destroy};
	return object;
}

void *trial_keep(struct trial *trial, void *allocation)
{
	return trial_keep_object(trial, allocation, free);
}

/* A parent that is gone takes the lab along: nothing to do about a failed line. */
static struct error *tell(struct trial *trial, json_t *line)
{
	if (!line)
		return error_new(
			ERROR_INTERNAL, "a reading of %s cannot be told", trial->mechanism->name);
	error_destroy(jsonline_send(trial->out_fd, line, "the run"));
	return NULL;
}

struct error *trial_effective(struct trial *trial, const char *param, json_t *value)
{
	return tell(trial, value ? json_pack("{s:{s:o}}", "effective", param, value) : NULL);
}

struct error *trial_sample(struct trial *trial, const char *metric, json_t *at, double value)
{
	const struct metric *row = mechanism_metric(trial->mechanism, metric);

	if (!row || !isfinite(value)) {
		json_decref(at);
		return error_new(ERROR_INTERNAL, "mechanism %s gave %s for metric '%s'",
			trial->mechanism->name, row ? "no finite number" : "a sample", metric);
	}
	return tell(trial, json_pack("{s:{s:s, s:s, s:o*, s:f}}", "sample", "metric", metric,
				   "unit", row->unit, "at", at, "value", value));
}

struct error *trial_evidence(struct trial *trial, const char *name, bool ok, double value,
	const char *unit, const char *format, ...)
{
	gchar *raw, *text;
	va_list args;
	struct error *err;

	va_start(args, format);
	raw = g_strdup_vprintf(format, args);
	va_end(args);
	text = g_utf8_make_valid(raw, -1); /* it may quote a guest */
	g_free(raw);
	err = tell(trial, json_pack("{s:{s:s, s:s, s:f, s:s, s:b}}", "evidence", "name", name,
				  "text", text, "value", value, "unit", unit, "ok", ok));
	g_free(text);
	return err;
}
