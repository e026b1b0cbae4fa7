/* What labs need beside images and, having no network, cannot download: it is, before the first
 * trial of a run. */
#pragma once

#include "mechanisms/mechanism.h"

enum { NEEDS_MAX = 16 };

/* Each thing once, whichever trials need it. */
struct needs {
	struct need {
		const struct mechanism *mechanism;
		const char *name; /* static */
	} items[NEEDS_MAX];
	size_t count;
};

void needs_add(struct needs *needs, const struct mechanism *mechanism, const char *name);

/* Has the mechanisms download them. Where that fails it warns: trials that need it will fail by
 * themselves and say why, others need not. ERROR_INTERRUPTED after ^C. */
struct error *needs_provide(const struct needs *needs);
