/* What of a table is emulated, by the trials that it is made of. Internal to report/. */
#pragma once

#include <jansson.h>

/*
 * Texts, new reference: "CPU by tcg" where the host's CPU is emulated, then what these trials say
 * of themselves (their parameter "emulated"), with the variants it holds for where it does not hold
 * for all: "two machines: … (phys)". Empty when no trial is concerned.
 *
 * `selectors` are entries as of paper_selectors(), of this mechanism; NULL: all trials.
 */
json_t *emulation_of(const json_t *record, const char *mechanism, const json_t *selectors);

/* What the trials of each variant of a mechanism say of themselves, for many tables; new reference.
 */
json_t *emulation_by_variant(const json_t *record, const char *mechanism);

/* As emulation_of(), of the variants of that name in an experiment. */
json_t *emulation_of_variants(const json_t *record, const json_t *by_variant,
	const char *experiment, const json_t *names);

/* The texts that a part of a view has as "emulated", in one: "CPU by tcg; …", "" where there are
 * none; caller frees. */
char *emulation_text(const json_t *part);
