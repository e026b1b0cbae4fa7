/* Clients that mean harm, or mean nothing: the server answers others meanwhile, stays within
 * bounded memory, and sends no file that is not its own. What is random comes from a seed, which is
 * printed when a test fails. */
#include "harness/base/test/support.h"

#include "dashboard/server/test/http.h"
#include "harness/record/synthetic.h"

#include <sys/resource.h>
#include <sys/stat.h>

#define SECRET "this-is-outside-of-the-store"
#define REQUESTS 4000

static int set_up(void **state)
{
	const struct synthetic_options options = {.seed = 5, .count = 3};
	_cleanup_free_ char *secret = NULL;

	if (scratch_make(state) != 0)
		return -1;
	assert_ok(synthetic_store(&options, scratch, NULL));
	secret = scratch_path("secret.txt"); /* in the directory, but not of the store's kinds */
	assert_ok(fs_write_atomic(secret, SECRET, strlen(SECRET)));
	start_with((struct server_options){.request_ms = 2000});
	wait_for_runs(3);
	return 0;
}

static int tear_down(void **state)
{
	stop();
	return scratch_remove(state);
}

#define hostile_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Somebody else is served as ever. */
static void assert_serves(void)
{
	json_decref(get_json("overview", 200));
}

/* xorshift64: the same on every host. */
static uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* ---- fuzzed requests ---- */

static const char *const good[] = {"GET /api/v1/overview HTTP/1.1\r\nHost: localhost:%u\r\n\r\n",
	"GET /api/v1/runs?limit=5&offset=1 HTTP/1.1\r\nHost: localhost:%u\r\n"
	"If-None-Match: W/\"x\", *\r\nAccept-Encoding: gzip;q=0.5, br\r\n\r\n",
	"HEAD /api/v1/claims/C1 HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nCookie: fleetlab=abc; "
	"a=b\r\n\r\n",
	"GET /api/v1/runs/latest/samples?mechanism=shmipc&experiment=roundtrip&metric=roundtrip"
	"&at=%%7B%%22ints%%22%%3A8192%%7D HTTP/1.1\r\nHost: localhost:%u\r\n\r\n",
	"GET /api/v1/runs/latest/logs/trial-0000/g0.console?offset=9 HTTP/1.1\r\n"
	"Host: [::1]:%u\r\nOrigin: http://localhost\r\nAuthorization: Bearer x\r\n\r\n",
	"GET /api/v1/runs/latest/events HTTP/1.1\r\nHost: localhost:%u\r\nLast-Event-ID: 3\r\n\r\n",
	"POST /api/v1/runs HTTP/1.1\r\nHost: localhost:%u\r\nTransfer-Encoding: chunked\r\n\r\n"
	"5\r\nhello\r\n0\r\n\r\n",
	"GET /icon.svg HTTP/1.0\r\nHost: localhost:%u\r\nConnection: keep-alive\r\n\r\n"};

static const char *const bits[] = {"%00", "%2e%2e/", "../", "//", "\r\n", "\n", "\r", " ", "\t",
	"?", "&", "=", "#", "%", "%%", "\"", "{", "[[[[", "-1", "99999999999999999999",
	"Host: x\r\n", "Content-Length: -1\r\n", "Content-Length: 99999999999\r\n",
	"Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n", "Upgrade: websocket\r\n",
	"HTTP/9.9", "\xff\xfe", "\xc0\xaf", "Range: bytes=0-\r\n", ": \r\n", "\r\n\r\n"};

/* One request with a few bytes changed, put in, cut out or repeated; *size may hold NULs. */
static char *mutate(uint64_t *seed, size_t *size)
{
	enum { ROOM = 8192 };
	char *text = calloc(1, ROOM);
	int length =
		snprintf(text, ROOM / 2, good[draw(seed) % ARRAY_SIZE(good)], port); /* NOLINT */
	size_t used = (size_t)length;

	for (uint64_t changes = 1 + draw(seed) % 6; changes > 0; changes--) {
		size_t at = draw(seed) % used;
		const char *bit = bits[draw(seed) % ARRAY_SIZE(bits)];
		size_t bit_size = strlen(bit);

		switch (draw(seed) % 5) {
		case 0:
			text[at] = (char)draw(seed);
			break;
		case 1:
			text[at] ^= (char)(1 << draw(seed) % 8);
			break;
		case 2:
			if (used + bit_size < ROOM) {
				memmove(text + at + bit_size, text + at, used - at);
				memcpy(text + at, bit, bit_size); /* NOLINT: bytes */
				used += bit_size;
			}
			break;
		case 3: {
			size_t gone = draw(seed) % (used - at);

			memmove(text + at, text + at + gone, used - at - gone);
			used -= gone;
			break;
		}
		default:
			if (2 * used - at < ROOM) {
				memmove(text + used, text + at, used - at);
				used += used - at;
			}
		}
		used = used ? used : 1;
	}
	*size = used;
	return text;
}

/* Sends it and the end of what we send, and takes what comes for as long as it comes at once. */
static void assault(const char *bytes, size_t size, uint64_t seed)
{
	int fd = connect_to_it();
	char answer[65536];
	ssize_t n;

	send_bytes(fd, bytes, size);
	shutdown(fd, SHUT_WR);
	do {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};

		/* an event stream stays open: it is left after a while */
		n = poll(&pfd, 1, 50) > 0 ? recv(fd, answer, sizeof(answer), 0) : 0;
		if (n > 0 && memmem(answer, (size_t)n, SECRET, strlen(SECRET)))
			fail_msg("the secret got out, seed %llx", (unsigned long long)seed);
	} while (n > 0);
	close(fd);
}

static void test_fuzzed_requests(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15;
	size_t before;

	(void)state;
	/* what is kept and loaded once is loaded before the measurement */
	for (int i = 0; i < 500; i++) {
		size_t size;
		uint64_t one = seed;
		_cleanup_free_ char *text = mutate(&seed, &size);

		assault(text, size, one);
	}
	before = resident_bytes();
	for (int i = 500; i < REQUESTS; i++) {
		size_t size;
		uint64_t one = seed;
		_cleanup_free_ char *text = mutate(&seed, &size);

		assault(text, size, one);
	}
	assert_serves();
	/* ASan keeps what is freed for a while: 256 MiB of it */
	if (resident_bytes() > before + ((size_t)320 << 20))
		fail_msg("%zu MiB more after %d requests", (resident_bytes() - before) >> 20,
			REQUESTS);
}

static void test_noise(void **state)
{
	uint64_t seed = 42;

	(void)state;
	for (int i = 0; i < 300; i++) {
		uint64_t bytes[64];
		uint64_t one = seed;

		for (size_t k = 0; k < ARRAY_SIZE(bytes); k++)
			bytes[k] = draw(&seed);
		assault((char *)bytes, 1 + draw(&seed) % sizeof(bytes), one);
	}
	/* a TLS client that took the wrong port */
	assault("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, 0);
	assert_serves();
}

/* ---- paths ---- */

static void test_no_path_leads_out(void **state)
{
	static const char *const ups[] = {"../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..\\",
		"%252e%252e/", "....//", "..;/", "%c0%ae%c0%ae/", "./../", "%00../", "/"};
	static const char *const prefixes[] = {"/", "/api/v1/", "/api/v1/runs/",
		"/api/v1/runs/latest/logs/", "/api/v1/runs/latest/", "/api/v1/nights/",
		"/api/v1/fleets/", "/api/v1/papers/", "/assets/"};
	static const char *const ends[] = {"secret.txt", "etc/passwd", "index.sqlite", "SYNTHETIC"};

	(void)state;
	for (size_t u = 0; u < ARRAY_SIZE(ups); u++) {
		for (size_t p = 0; p < ARRAY_SIZE(prefixes); p++) {
			for (int depth = 1; depth <= 4; depth++) {
				for (size_t e = 0; e < ARRAY_SIZE(ends); e++) {
					_cleanup_free_ char *target = format_string("%s%s%s%s%s%s",
						prefixes[p], ups[u], depth > 1 ? ups[u] : "",
						depth > 2 ? ups[u] : "", depth > 3 ? ups[u] : "",
						ends[e]);
					_cleanup_reply_ struct reply reply = get(target);

					if (strstr(reply.text, SECRET) ||
						strstr(reply.text, "root:") ||
						strstr(reply.text, "SQLite"))
						fail_msg("%s gives %.200s", target, reply.text);
				}
			}
		}
	}
}

/* ---- sizes ---- */

static void test_huge_requests_are_cut(void **state)
{
	enum { HUGE = 4 << 20 };
	_cleanup_free_ char *huge = malloc(HUGE + 1);
	static const char *const heads[] = {
		"", "GET /", "GET / HTTP/1.1\r\nHost: ", "GET / HTTP/1.1\r\nCookie: ", "GET /?"};

	(void)state;
	memset(huge, 'a', HUGE);
	huge[HUGE] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		int fd = connect_to_it();
		_cleanup_free_ char *answer = NULL;

		send_text(fd, heads[i]);
		send_bytes(fd, huge, HUGE); /* ends when the server closes */
		shutdown(fd, SHUT_WR);
		answer = read_all(fd);
		close(fd);
		if (strncmp(answer, "HTTP/1.1 200", 12) == 0)
			fail_msg("'%s…' was taken", heads[i]);
	}
	_cleanup_free_ char *many = NULL;
	size_t size;
	FILE *out = open_memstream(&many, &size);

	fprintf(out, "GET / HTTP/1.1\r\nHost: localhost:%u\r\n", port);
	for (int i = 0; i < 10000; i++)
		fprintf(out, "X-%d: y\r\n", i);
	fputs("\r\n", out);
	fclose(out);
	assault(many, size, 0);
	assert_serves();
}

static void test_many_requests_on_one_connection(void **state)
{
	enum { PIPELINED = 500 };
	_cleanup_free_ char *one =
		format_string("GET /api/v1/overview HTTP/1.1\r\nHost: localhost:%u\r\n%s\r\n", port,
			"If-None-Match: *\r\n");
	_cleanup_free_ char *last = format_string(
		"GET /api/v1/ HTTP/1.1\r\nHost: localhost:%u\r\nConnection: close\r\n\r\n", port);
	_cleanup_free_ char *answer = NULL;
	int fd = connect_to_it();
	size_t count = 0;

	(void)state;
	for (int i = 0; i < PIPELINED; i++)
		send_text(fd, one);
	send_text(fd, last);
	answer = read_all(fd);
	close(fd);
	for (const char *at = answer; (at = strstr(at, "HTTP/1.1 304")); at++)
		count++;
	assert_int_equal(count, PIPELINED);
}

/* ---- slow ones ---- */

/* They send a byte now and then, so that they are never silent. */
static void test_half_a_request_is_cut_off(void **state)
{
	int fds[50];
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);
	size_t open = ARRAY_SIZE(fds);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_to_it();
		send_text(fds[i], "GET /api/v1/overview HTTP/1.1\r\nX: ");
	}
	while (open > 0) {
		if (deadline_passed(deadline))
			fail_msg("%zu slow clients are still served", open);
		open = 0;
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			struct pollfd pfd = {.fd = fds[i], .events = POLLIN};
			char byte;

			if (poll(&pfd, 1, 0) > 0 && recv(fds[i], &byte, 1, MSG_PEEK) <= 0)
				continue;
			open++;
			send_bytes(fds[i], "a", 1);
		}
		assert_serves();
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

static void test_who_does_not_read_is_in_nobodys_way(void **state)
{
	_cleanup_free_ char *request = format_string(
		"GET /api/v1/runs/latest/record.json HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", port);
	int fds[60];
	size_t before;

	(void)state;
	assert_serves();
	before = resident_bytes();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_to_it();
		for (int k = 0; k < 50; k++)
			send_text(fds[i], request);
	}
	for (int i = 0; i < 20; i++)
		assert_serves();
	assert_true(resident_bytes() < before + ((size_t)256 << 20));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	assert_serves();
}

/* ---- many ---- */

static void test_a_thousand_connections(void **state)
{
	enum { MANY = 1000 };
	const struct rlimit files = {.rlim_cur = 4096, .rlim_max = 4096};
	_cleanup_free_ char *request = format_string(
		"GET /api/v1/overview HTTP/1.1\r\nHost: localhost:%u\r\nConnection: close\r\n\r\n",
		port);
	static int fds[MANY];
	size_t before = resident_bytes();

	(void)state;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0) {
		print_message("skipped: no %d open files are allowed here\n", 4096);
		skip();
	}
	for (size_t i = 0; i < MANY; i++) {
		fds[i] = connect_to_it();
		send_text(fds[i], "GET "); /* half of a method keeps it open */
	}
	assert_serves();
	/* of each its request's buffer and little more */
	assert_true(resident_bytes() < before + MANY * ((size_t)128 << 10));
	for (size_t i = 0; i < MANY; i++)
		send_text(fds[i], request + 4);
	for (size_t i = 0; i < MANY; i++) {
		_cleanup_free_ char *answer = read_all(fds[i]);

		close(fds[i]);
		/* one that was too slow for us to get to was cut off */
		if (*answer && strncmp(answer, "HTTP/1.1 200", 12) != 0)
			fail_msg("connection %zu: %.80s", i, answer);
	}
	assert_serves();
}

static void test_connections_come_and_go(void **state)
{
	_cleanup_free_ char *request = format_string(
		"GET /api/v1/runs/latest HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", port);

	(void)state;
	/* gone while a worker makes the answer */
	for (int i = 0; i < 500; i++) {
		int fd = connect_to_it();

		send_text(fd, request);
		close(fd);
	}
	assert_serves();
}

/* The server ends while clients of all kinds are there. */
static void test_the_end_comes_in_the_midst(void **state)
{
	static const char *const targets[] = {
		"/api/v1/runs/latest", "/api/v1/events", "/api/v1/runs/x/events", "/"};
	int fds[40];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		_cleanup_free_ char *request =
			format_string("GET %s HTTP/1.1\r\nHost: localhost:%u\r\n%s",
				targets[i % ARRAY_SIZE(targets)], port, i % 3 ? "\r\n" : "");

		fds[i] = connect_to_it();
		send_text(fds[i], request);
	}
	stop();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		_cleanup_free_ char *rest = read_all(fds[i]);

		close(fds[i]);
	}
	start();
	wait_for_runs(3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(test_fuzzed_requests),
		hostile_test(test_noise),
		hostile_test(test_no_path_leads_out),
		hostile_test(test_huge_requests_are_cut),
		hostile_test(test_many_requests_on_one_connection),
		hostile_test(test_half_a_request_is_cut_off),
		hostile_test(test_who_does_not_read_is_in_nobodys_way),
		hostile_test(test_a_thousand_connections),
		hostile_test(test_connections_come_and_go),
		hostile_test(test_the_end_comes_in_the_midst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
