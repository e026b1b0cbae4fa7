/* Which build this is. */
#pragma once

extern const char fleetlab_version[]; /* "0.1.0" */
extern const char fleetlab_commit[];  /* abbreviated git commit, or "unknown" */
