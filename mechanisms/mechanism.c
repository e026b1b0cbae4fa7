/* The list of mechanisms and look-ups in their descriptors: see mechanism.h. */
#include "mechanisms/mechanism.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MECHANISM(name) extern const struct mechanism mechanism_##name;
#include "mechanisms/mechanisms.def"
#undef MECHANISM

static const struct mechanism *const mechanisms[] = {
#define MECHANISM(name) &mechanism_##name,
#include "mechanisms/mechanisms.def"
#undef MECHANISM
};

static const char *const profile_names[PROFILE_COUNT] = {
	[PROFILE_SMOKE] = "smoke",
	[PROFILE_QUICK] = "quick",
	[PROFILE_PAPER] = "paper",
	[PROFILE_NIGHTLY] = "nightly",
};

const struct mechanism *mechanism_at(size_t index)
{
	return index < ARRAY_SIZE(mechanisms) ? mechanisms[index] : NULL;
}

const struct mechanism *mechanism_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(mechanisms); i++) {
		if (strcmp(mechanisms[i]->name, name) == 0)
			return mechanisms[i];
	}
	return NULL;
}

#define DEFINE_LOOKUP(type, member)                                                                \
	const struct type *mechanism_##type(const struct mechanism *mechanism, const char *name)   \
	{                                                                                          \
		for (const struct type *row = mechanism->member; row->name; row++) {               \
			if (strcmp(row->name, name) == 0)                                          \
				return row;                                                        \
		}                                                                                  \
		return NULL;                                                                       \
	}

DEFINE_LOOKUP(variant, variants)
DEFINE_LOOKUP(metric, metrics)
DEFINE_LOOKUP(param, params)
DEFINE_LOOKUP(experiment, experiments)

const char *profile_name(enum profile profile)
{
	return profile_names[profile];
}

const char *role_name(enum role role)
{
	return role == ROLE_SUBJECT ? "subject" : "baseline";
}

bool profile_parse(const char *name, enum profile *profile)
{
	for (int i = 0; i < PROFILE_COUNT; i++) {
		if (strcmp(profile_names[i], name) == 0) {
			*profile = (enum profile)i;
			return true;
		}
	}
	return false;
}

static bool choice_allowed(const char *choices, const char *value)
{
	size_t length = strlen(value);

	for (const char *p = choices; *p && length > 0;) {
		size_t word = strcspn(p, " ");

		if (word == length && strncmp(p, value, word) == 0)
			return true;
		p += word + strspn(p + word, " ");
	}
	return false;
}

static struct error *bad_value(const struct mechanism *mechanism, const struct param *param,
	const char *value, const char *wanted)
{
	return error_hint(error_new(ERROR_USAGE, "parameter %s of %s: '%s' is not %s", param->name,
				  mechanism->name, value, wanted),
		"fleetlab show %s", mechanism->name);
}

struct error *param_check(
	const struct mechanism *mechanism, const struct param *param, const char *value)
{
	char wanted[160];
	char *end;
	double number;

	switch (param->type) {
	case PARAM_BOOLEAN:
		if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
			return NULL;
		return bad_value(mechanism, param, value, "true or false");
	case PARAM_CHOICE:
		if (choice_allowed(param->choices, value))
			return NULL;
		snprintf(wanted, sizeof(wanted), "one of: %s", param->choices);
		return bad_value(mechanism, param, value, wanted);
	case PARAM_INTEGER:
	case PARAM_REAL:
		break;
	}
	errno = 0;
	number = strtod(value, &end);
	snprintf(wanted, sizeof(wanted), "a %s from %.15g to %.15g%s%s",
		param->type == PARAM_INTEGER ? "whole number" : "number", param->min, param->max,
		param->unit[0] ? " " : "", param->unit);
	if (end == value || *end || errno || !isfinite(number) || number < param->min ||
		number > param->max || (param->type == PARAM_INTEGER && number != rint(number)))
		return bad_value(mechanism, param, value, wanted);
	return NULL;
}
