/* What labs need is downloaded once, and ^C does not wait for it. */
#include "harness/base/test/support.h"
#include "harness/base/log.h"
#include "harness/engine/interrupt.h"
#include "harness/engine/provide.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* A line in the scratch directory for each download, which is in a process of its own. */
static void write_line(const char *text)
{
	_cleanup_free_ char *path = scratch_path("downloads");
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	_cleanup_free_ char *line = format_string("%s\n", text);

	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		_exit(99);
}

static struct error *note(const char *need)
{
	write_line(need);
	return strcmp(need, "cheese") == 0 ? error_new(ERROR_SETUP, "no cheese") : NULL;
}

static struct error *interrupt_and_hang(const char *need)
{
	_cleanup_free_ char *pid = format_string("%d", getpid());

	(void)need;
	write_line(pid);
	kill(getppid(), SIGINT);
	while (getppid() > 0)
		pause();
	return NULL;
}

static char *downloads(void)
{
	_cleanup_free_ char *path = scratch_path("downloads");
	char *text = NULL;

	assert_ok(fs_read(path, 4096, &text, NULL));
	return text;
}

static void each_thing_is_downloaded_once(void **state)
{
	const struct mechanism mechanism = {.name = "fake", .provide = note};
	_cleanup_free_ char *text = NULL;
	struct needs needs = {0};

	(void)state;
	for (int trial = 0; trial < 3; trial++) {
		needs_add(&needs, &mechanism, "cheese");
		needs_add(&needs, &mechanism, "wine");
	}
	/* That one cannot be had is for the trials that need it. */
	assert_ok(needs_provide(&needs));
	text = downloads();
	assert_string_equal(text, "cheese\nwine\n");
}

static void an_interrupt_does_not_wait(void **state)
{
	const struct mechanism mechanism = {.name = "fake", .provide = interrupt_and_hang};
	_cleanup_free_ char *text = NULL;
	struct needs needs = {0};

	(void)state;
	needs_add(&needs, &mechanism, "a slow thing");
	needs_add(&needs, &mechanism, "another");
	interrupt_catch();
	_cleanup_error_ struct error *err = needs_provide(&needs);

	assert_non_null(err);
	assert_int_equal(error_kind(err), ERROR_INTERRUPTED);
	text = downloads();
	assert_int_equal(kill((pid_t)strtol(text, NULL, 10), 0), -1); /* nobody is left */
	assert_string_equal(strchr(text, '\n'), "\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(each_thing_is_downloaded_once),
		scratch_test(an_interrupt_does_not_wait), /* the process stays interrupted */
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
