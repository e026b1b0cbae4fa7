/* What httperf prints is understood, or refused. Captured from httperf 0.9.0. */
#include "harness/base/test/support.h"
#include "workloads/host/web.h"

#include <math.h>

static const char some_time_out[] =
	"httperf --hog --timeout=1 --client=0/1 --server=10.77.0.1 --port=80 --uri=/index.html "
	"--send-buffer=4096 --recv-buffer=16384 --num-conns=200 --num-calls=2\n"
	"Maximum connect burst length: 1\n"
	"\n"
	"Total: connections 200 requests 398 replies 390 test-duration 2.512 s\n"
	"\n"
	"Connection rate: 79.6 conn/s (12.6 ms/conn, <=1 concurrent connections)\n"
	"Connection time [ms]: min 2.0 avg 2.6 max 9.5 median 2.5 stddev 0.9\n"
	"Connection time [ms]: connect 0.5\n"
	"Connection length [replies/conn]: 1.970\n"
	"\n"
	"Request rate: 158.4 req/s (6.3 ms/req)\n"
	"Request size [B]: 74.0\n"
	"\n"
	"Reply rate [replies/s]: min 0.0 avg 0.0 max 0.0 stddev 0.0 (0 samples)\n"
	"Reply time [ms]: response 0.9 transfer 0.1\n"
	"Reply size [B]: header 195.0 content 10240.0 footer 0.0 (total 10435.0)\n"
	"Reply status: 1xx=0 2xx=387 3xx=0 4xx=3 5xx=0\n"
	"\n"
	"CPU time [s]: user 0.56 system 1.50 (user 22.3% system 59.7% total 82.0%)\n"
	"Net I/O: 1609.8 KB/s (13.2*10^6 bps)\n"
	"\n"
	"Errors: total 4 client-timo 3 socket-timo 0 connrefused 0 connreset 1\n"
	"Errors: fd-unavail 0 addrunavail 0 ftab-full 0 other 0\n";

static void a_run_is_read(void **state)
{
	(void)state;
	struct web_segment segment = {.start_ns = 5, .end_ns = 6};

	assert_ok(web_parse(some_time_out, &segment));
	assert_int_equal(segment.requests, 398);
	assert_int_equal(segment.replies, 387);
	assert_int_equal(segment.refused, 3);
	assert_int_equal(segment.errors, 4);
	assert_true(segment.duration_s == 2.512);
	assert_true(fabs(segment.replies_per_s - 387 / 2.512) < 1e-9);
	assert_true(segment.reply_ms == 0.9);
	assert_int_equal(segment.start_ns, 5);
}

static void each_missing_line_is_noticed(void **state)
{
	(void)state;
	static const char *const labels[] = {
		"\nTotal:", "\nReply status:", "\nErrors: total", "\nReply time"};

	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		_cleanup_free_ char *text = format_string("%s", some_time_out);
		struct web_segment segment = {.replies = 77};

		strstr(text, labels[i])[1] = 'X';
		assert_fails(web_parse(text, &segment), ERROR_SETUP, "something else");
		assert_int_equal(segment.replies, 77);
	}
	struct web_segment segment;

	assert_fails(web_parse("", &segment), ERROR_SETUP, "something else");
}

static void a_run_of_no_time_has_no_throughput(void **state)
{
	(void)state;
	struct web_segment segment;

	assert_ok(
		web_parse("Total: connections 3 requests 0 replies 0 test-duration 0.000 s\n"
			  "Reply time [ms]: response 0.0 transfer 0.0\n"
			  "Reply status: 1xx=0 2xx=0 3xx=0 4xx=0 5xx=0\n"
			  "Errors: total 3 client-timo 0 socket-timo 0 connrefused 3 connreset 0\n",
			&segment));
	assert_true(segment.replies_per_s == 0);
	assert_int_equal(segment.errors, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_read),
		cmocka_unit_test(each_missing_line_is_noticed),
		cmocka_unit_test(a_run_of_no_time_has_no_throughput),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
