/* ^C and SIGTERM as a flag and a descriptor that polls can include. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Catches SIGINT and SIGTERM from now on; the first one interrupts, a second one ends at once. */
void interrupt_catch(void);
bool interrupted(void);
/* Interrupts by itself after so long, too, when nobody else has; 0 or less: not any more. */
void interrupt_after_ms(int64_t ms);
/* It was that, and no signal of somebody's. */
bool interrupted_by_time(void);
/* Which signal that was; 0 when there was none. */
int interrupted_by(void);
/* Readable once interrupted; -1 before interrupt_catch(). */
int interrupt_fd(void);
