/* The message beside a status: see status.h. One per thread, so that threads do not mix theirs. */
#include "workloads/shm/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[512];

const char *shm_message(void)
{
	return message;
}

enum shm_status shm_fail(enum shm_status status, const char *format, ...)
{
	char text[sizeof(message)]; /* as an argument may be the message set before */
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	memcpy(message, text, sizeof(message));
	return status;
}

enum shm_status shm_fail_errno(const char *format, ...)
{
	const char *reason = strerror(errno);
	char text[sizeof(message)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return shm_fail(SHM_SYSTEM, "%.350s: %.150s", text, reason);
}
