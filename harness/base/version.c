/* Which build this is: set by the Makefile. */
#include "harness/base/version.h"

const char fleetlab_version[] = FLEETLAB_VERSION;
const char fleetlab_commit[] = FLEETLAB_COMMIT;
