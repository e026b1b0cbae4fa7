/* ^C and SIGTERM as a flag and a descriptor that polls can include. */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>
#include <time.h>

/* Catches SIGINT and SIGTERM from now on; the first one interrupts, a second one ends at once. */
void interrupt_catch(void);
bool interrupted(void);
/* Interrupts by itself, too, when nobody else has: at this time of the host's clock, also where
 * that is set or the host sleeps meanwhile, and in any case when as much time has gone by as there
 * is until then now. At once for a time that has passed; 0: not any more. */
struct error *interrupt_at(time_t when);
/* It was that, and no signal of somebody's. */
bool interrupted_by_time(void);
/* Which signal that was; 0 when there was none. */
int interrupted_by(void);
/* Readable once interrupted; -1 before interrupt_catch(). */
int interrupt_fd(void);
