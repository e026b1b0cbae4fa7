/* Who may ask: other sites, foreign Hosts and clients without the token may not. */
#include "dashboard/server/access.h"
#include "harness/base/test/support.h"

static const struct access local = {.loopback = true, .address = "127.0.0.1", .port = 8080};
static const struct access remote = {.token = "correct-horse-battery-staple",
	.address = "192.0.2.1",
	.port = 8443,
	.tls = true,
	.cookie = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};

static void test_only_our_own_names_are_hosts(void **state)
{
	static const struct {
		const char *host;
		enum access_verdict verdict;
	} hosts[] = {
		{"127.0.0.1:8080", ACCESS_GRANTED},
		{"localhost:8080", ACCESS_GRANTED},
		{"LOCALHOST:8080", ACCESS_GRANTED},
		{"[::1]:8080", ACCESS_GRANTED},
		{NULL, ACCESS_BAD_HOST},
		{"", ACCESS_BAD_HOST},
		{"localhost", ACCESS_BAD_HOST}, /* port 80 is not ours */
		{"localhost:80", ACCESS_BAD_HOST},
		{"localhost:", ACCESS_BAD_HOST},
		{"localhost:8080:8080", ACCESS_BAD_HOST},
		{"localhost:+8080", ACCESS_BAD_HOST},
		{"localhost:8080x", ACCESS_BAD_HOST},
		{"localhost.example.com:8080", ACCESS_BAD_HOST},
		{"example.com:8080", ACCESS_BAD_HOST},
		{"127.0.0.1.example.com:8080", ACCESS_BAD_HOST},
		{"127.0.0.2:8080", ACCESS_BAD_HOST},
		{"[::1", ACCESS_BAD_HOST},
		{"[::1]8080", ACCESS_BAD_HOST},
		{"a@localhost:8080", ACCESS_BAD_HOST},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		const struct access_headers headers = {.host = hosts[i].host};

		if (access_check(&local, &headers, true) != hosts[i].verdict)
			fail_msg("Host %s", hosts[i].host ? hosts[i].host : "(none)");
	}
	const struct access_headers two = {.host = "localhost:8080", .several_hosts = true};

	assert_int_equal(access_check(&local, &two, true), ACCESS_BAD_HOST);
}

static void test_the_standard_port_may_be_left_out(void **state)
{
	struct access access = local;
	const struct access_headers headers = {.host = "localhost"};

	(void)state;
	access.port = 80;
	assert_int_equal(access_check(&access, &headers, true), ACCESS_GRANTED);
	access.tls = true;
	assert_int_equal(access_check(&access, &headers, true), ACCESS_BAD_HOST);
	access.port = 443;
	assert_int_equal(access_check(&access, &headers, true), ACCESS_GRANTED);
}

static enum access_verdict from(const char *origin, const char *site, bool data)
{
	const struct access_headers headers = {
		.host = "localhost:8080", .origin = origin, .fetch_site = site};

	return access_check(&local, &headers, data);
}

static void test_other_sites_get_nothing(void **state)
{
	(void)state;
	assert_int_equal(from("http://localhost:8080", "same-origin", true), ACCESS_GRANTED);
	assert_int_equal(from(NULL, "none", true), ACCESS_GRANTED);
	assert_int_equal(from("http://localhost:9090", NULL, true), ACCESS_OTHER_SITE);
	assert_int_equal(from("https://localhost:8080", NULL, true), ACCESS_OTHER_SITE);
	assert_int_equal(from("http://127.0.0.1:8080", NULL, true), ACCESS_OTHER_SITE);
	assert_int_equal(from("null", NULL, true), ACCESS_OTHER_SITE);
	assert_int_equal(from("http://evil.example", NULL, false), ACCESS_OTHER_SITE);
	assert_int_equal(from(NULL, "cross-site", true), ACCESS_OTHER_SITE);
	assert_int_equal(from(NULL, "same-site", true), ACCESS_OTHER_SITE);
	/* a link from a mail or another site opens the page, which then asks by itself */
	assert_int_equal(from(NULL, "cross-site", false), ACCESS_GRANTED);
}

static enum access_verdict with(const char *authorization, const char *cookie)
{
	const struct access_headers headers = {
		.host = "lab:8443", .authorization = authorization, .cookie = cookie};

	return access_check(&remote, &headers, true);
}

static void test_the_token_is_wanted(void **state)
{
	(void)state;
	assert_int_equal(with("Bearer correct-horse-battery-staple", NULL), ACCESS_GRANTED);
	assert_int_equal(with("bearer correct-horse-battery-staple", NULL), ACCESS_GRANTED);
	assert_int_equal(with(NULL, NULL), ACCESS_NO_TOKEN);
	assert_int_equal(with("Bearer ", NULL), ACCESS_NO_TOKEN);
	assert_int_equal(with("Bearer correct-horse-battery-stapl", NULL), ACCESS_NO_TOKEN);
	assert_int_equal(with("Bearer correct-horse-battery-staplex", NULL), ACCESS_NO_TOKEN);
	assert_int_equal(with("Bearer Correct-horse-battery-staple", NULL), ACCESS_NO_TOKEN);
	assert_int_equal(with("Basic correct-horse-battery-staple", NULL), ACCESS_NO_TOKEN);
	assert_int_equal(with("correct-horse-battery-staple", NULL), ACCESS_NO_TOKEN);
}

static void test_the_cookie_stands_for_the_token(void **state)
{
	_cleanup_free_ char *right = format_string("a=b; fleetlab=%s; c=d", remote.cookie);
	_cleanup_free_ char *longer = format_string("fleetlab=%s0", remote.cookie);
	_cleanup_free_ char *other = format_string("xfleetlab=%s", remote.cookie);

	(void)state;
	assert_int_equal(with(NULL, right), ACCESS_GRANTED);
	assert_int_equal(with(NULL, longer), ACCESS_NO_TOKEN);
	assert_int_equal(with(NULL, other), ACCESS_NO_TOKEN);
	assert_int_equal(with(NULL, "fleetlab="), ACCESS_NO_TOKEN);
	assert_int_equal(with(NULL, "fleetlab=correct-horse-battery-staple"), ACCESS_NO_TOKEN);
	assert_int_equal(with(NULL, ";;;=; fleetlab"), ACCESS_NO_TOKEN);
}

static void test_equal_is_equal(void **state)
{
	(void)state;
	assert_true(access_equal("abc", "abc"));
	assert_true(access_equal("", ""));
	assert_false(access_equal("abc", "abd"));
	assert_false(access_equal("abc", "ab"));
	assert_false(access_equal("ab", "abab")); /* repeats to the same */
	assert_false(access_equal("", "a"));
	assert_false(access_equal("a", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_our_own_names_are_hosts),
		cmocka_unit_test(test_the_standard_port_may_be_left_out),
		cmocka_unit_test(test_other_sites_get_nothing),
		cmocka_unit_test(test_the_token_is_wanted),
		cmocka_unit_test(test_the_cookie_stands_for_the_token),
		cmocka_unit_test(test_equal_is_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
