/* The words by which run and nightly are told what to run: mechanisms, parameters, a directory. */
#pragma once

#include "mechanisms/mechanism.h"

enum { CHOSEN_MAX = 16 };

struct chosen {
	const struct mechanism *mechanisms[CHOSEN_MAX];
	size_t count;
	json_t *overrides; /* of parameters: {"name" or "mechanism.name": "value"}; owned */
};

void chosen_init(struct chosen *chosen);
void chosen_deinit(struct chosen *chosen);

/* One by name; one that is named twice is there once. `how` is how it is named in the error's
 * remedy: "fleetlab run %s". */
struct error *choose_mechanism(struct chosen *chosen, const char *name, const char *how)
	__attribute__((format(printf, 3, 0)));

/* All that implement a paper and have something to run in the profile. */
void choose_all(struct chosen *chosen, enum profile profile);

/* An option's word that goes into a record: ERROR_USAGE unless it is UTF-8. */
struct error *choose_text(const char *option, const char *word);

/* "NAME=VALUE", of -p. */
struct error *choose_parameter(struct chosen *chosen, const char *text);

/* Sets *dir, which is freed before, to the option's word. */
struct error *choose_directory(const char *option, const char *word, char **dir);
