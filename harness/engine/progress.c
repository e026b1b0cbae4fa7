/* How far a run is: see progress.h. */
#include "harness/engine/progress.h"
#include "harness/base/clock.h"
#include "harness/base/log.h"

#include <string.h>
#include <sys/ioctl.h>

struct progress {
	bool terminal;
	bool shown; /* the bar is on the screen */
	size_t done, total;
};

struct progress *progress_create(void)
{
	struct progress *progress = calloc(1, sizeof(*progress));

	if (!progress)
		abort();
	progress->terminal = isatty(STDERR_FILENO) && log_level() == LOG_NORMAL;
	return progress;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static size_t terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static void clear_bar(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}

static void show_bar(struct progress *progress, const json_t *planned, const char *left)
{
	enum { BAR = 20 };
	size_t filled = progress->total ? progress->done * BAR / progress->total : 0;
	char bar[BAR + 1], line[256];

	for (size_t i = 0; i < BAR; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[BAR] = '\0';
	snprintf(line, sizeof(line), "[%s] %zu/%zu  %s %s %s  %s left", bar, progress->done,
		progress->total, text_of(planned, "mechanism"), text_of(planned, "experiment"),
		text_of(planned, "variant"), left);
	fprintf(stderr, "\r\033[K%.*s", (int)terminal_width() - 1, line);
	fflush(stderr);
	progress->shown = true;
}

void progress_trial(
	struct progress *progress, const json_t *planned, size_t done, size_t total, double left_s)
{
	char left[32];

	progress->done = done;
	progress->total = total;
	duration_format(left_s, left, sizeof(left));
	if (progress->terminal)
		show_bar(progress, planned, left);
	else
		log_info("trial %zu of %zu: %s %s %s (%s left)", done + 1, total,
			text_of(planned, "mechanism"), text_of(planned, "experiment"),
			text_of(planned, "variant"), left);
}

void progress_result(struct progress *progress, const json_t *result)
{
	const char *outcome = text_of(result, "outcome");
	char took[32];

	duration_format(json_number_value(json_object_get(result, "wall_s")), took, sizeof(took));
	if (strcmp(outcome, "ok") != 0) {
		clear_bar(progress);
		log_warning("%s %s %s: trial %s: %s", text_of(result, "mechanism"),
			text_of(result, "experiment"), text_of(result, "variant"), outcome,
			text_of(result, "reason"));
	} else {
		log_debug("  ok in %s", took);
	}
}

void progress_destroy(struct progress *progress)
{
	if (!progress)
		return;
	clear_bar(progress);
	fflush(stderr);
	free(progress);
}
