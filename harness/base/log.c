/* Messages to stderr: see log.h. */
#include "harness/base/log.h"

#include <stdarg.h>

static enum log_level level = LOG_NORMAL;

void log_set_level(enum log_level new_level)
{
	level = new_level;
}

enum log_level log_level(void)
{
	return level;
}

static void print(const char *mark, const char *format, va_list args)
{
	flockfile(stderr);
	fprintf(stderr, "fleetlab: %s", mark);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	funlockfile(stderr);
}

#define DEFINE_LOG(name, condition, mark)                                                          \
	void name(const char *format, ...)                                                         \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		if (!(condition))                                                                  \
			return;                                                                    \
		va_start(args, format);                                                            \
		print(mark, format, args);                                                         \
		va_end(args);                                                                      \
	}

DEFINE_LOG(log_info, level >= LOG_NORMAL, "")
DEFINE_LOG(log_debug, level >= LOG_VERBOSE, "")
DEFINE_LOG(log_warning, true, "warning: ")

void log_error(const struct error *err)
{
	fprintf(stderr, "fleetlab: %s\n", error_message(err));
	if (error_remedy(err))
		fprintf(stderr, "  try: %s\n", error_remedy(err));
}
