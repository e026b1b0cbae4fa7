/* Compressing a large answer takes long: meanwhile everybody else is served. */
#include "harness/base/test/support.h"

#include "dashboard/server/test/http.h"
#include "harness/record/synthetic.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <zlib.h>

/* Each waits here, in place of the C library's, as if it took for ever. */
static atomic_bool slow;
static sem_t begun, go_on;

int deflate(z_stream *stream, int flush)
{
	static int (*next)(z_stream *, int);

	if (!next)
		next = (int (*)(z_stream *, int))dlsym(RTLD_NEXT, "deflate");
	if (atomic_load(&slow)) {
		sem_post(&begun);
		sem_wait(&go_on);
	}
	return next(stream, flush);
}

static void wait_until_begun(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += TEST_TIMEOUT_MS / 1000;
	assert_int_equal(sem_timedwait(&begun, &until), 0);
}

static int ask_for_packed(const char *target)
{
	_cleanup_free_ char *request =
		format_string("GET %s HTTP/1.1\r\nHost: localhost:%u\r\nAccept-Encoding: gzip\r\n"
			      "Connection: close\r\n\r\n",
			target, port);
	int fd = connect_to_it();

	send_text(fd, request);
	return fd;
}

static void assert_packed(int fd)
{
	_cleanup_free_ char *text = read_all(fd);

	assert_non_null(strstr(text, "HTTP/1.1 200"));
	assert_non_null(strstr(text, "Content-Encoding: gzip"));
	close(fd);
}

static void test_others_are_served_while_answers_are_packed(void **state)
{
	/* as many as there are threads that send; the first is kept, made for who took it plain */
	static const char *const large[] = {"/api/v1/runs?limit=900", "/api/v1/runs?limit=901"};
	const struct synthetic_options options = {.seed = 5, .count = 12};
	int fds[ARRAY_SIZE(large)];

	(void)state;
	assert_int_equal(sem_init(&begun, 0, 0), 0);
	assert_int_equal(sem_init(&go_on, 0, 0), 0);
	assert_ok(synthetic_store(&options, scratch, NULL));
	start();
	wait_for_runs(12);
	_cleanup_reply_ struct reply plain = get(large[0]);

	assert_int_equal(plain.status, 200);
	assert_null(reply_header(&plain, "Content-Encoding"));
	atomic_store(&slow, true);
	for (size_t i = 0; i < ARRAY_SIZE(large); i++) {
		fds[i] = ask_for_packed(large[i]);
		wait_until_begun();
	}
	/* pages, and what is kept in the form that is wanted */
	for (int i = 0; i < 8; i++) {
		_cleanup_reply_ struct reply page = get("/");
		_cleanup_reply_ struct reply kept = get(large[0]);

		assert_int_equal(page.status, 200);
		assert_int_equal(kept.status, 200);
	}
	atomic_store(&slow, false);
	for (size_t i = 0; i < 64; i++) /* whoever else packs something, too */
		sem_post(&go_on);
	for (size_t i = 0; i < ARRAY_SIZE(large); i++)
		assert_packed(fds[i]);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_others_are_served_while_answers_are_packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
