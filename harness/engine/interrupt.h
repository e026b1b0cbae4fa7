/* ^C and SIGTERM as a flag and a descriptor that polls can include. */
#pragma once

#include <stdbool.h>

/* Catches SIGINT and SIGTERM from now on; the first one interrupts, a second one ends at once. */
void interrupt_catch(void);
bool interrupted(void);
/* Which signal that was; 0 when there was none. */
int interrupted_by(void);
/* Readable once interrupted; -1 before interrupt_catch(). */
int interrupt_fd(void);
