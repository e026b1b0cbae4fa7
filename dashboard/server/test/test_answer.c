/* Tags, compression, kept answers, and the form of events. */
#include "dashboard/server/answer.h"
#include "dashboard/server/events.h"
#include "dashboard/server/kept.h"
#include "harness/base/test/support.h"

#include <zlib.h>

static void test_tags_are_found_in_lists(void **state)
{
	static const char etag[] = "W/\"0123\"";

	(void)state;
	assert_true(etag_matches("W/\"0123\"", etag));
	assert_true(etag_matches("\"0123\"", etag));
	assert_true(etag_matches("\"x\", W/\"0123\"", etag));
	assert_true(etag_matches("*", etag));
	assert_false(etag_matches("", etag));
	assert_false(etag_matches("\"012\"", etag));
	assert_false(etag_matches("\"01234\"", etag));
	assert_false(etag_matches("0123", etag));
	assert_false(etag_matches("W/\"012", etag));
	assert_false(etag_matches(" , ,W/", etag));
}

static void test_who_takes_gzip(void **state)
{
	(void)state;
	assert_true(accepts_gzip("gzip"));
	assert_true(accepts_gzip("deflate, gzip;q=0.5, br"));
	assert_true(accepts_gzip("GZIP"));
	assert_true(accepts_gzip("*"));
	assert_false(accepts_gzip(""));
	assert_false(accepts_gzip("identity"));
	assert_false(accepts_gzip("gzip;q=0"));
	assert_false(accepts_gzip("gzip; q=0.0, br"));
	assert_false(accepts_gzip("xgzip"));
	assert_false(accepts_gzip("gzipped"));
}

static void test_what_is_compressed_comes_back(void **state)
{
	_cleanup_free_ char *text = malloc(100000);
	_cleanup_free_ char *back = malloc(100000);
	_cleanup_free_ char *packed = NULL;
	z_stream stream = {0};
	size_t size;

	(void)state;
	for (size_t i = 0; i < 100000; i++)
		text[i] = (char)('a' + i * i % 7);
	packed = gzip_bytes(text, 100000, &size);
	assert_non_null(packed);
	assert_true(size < 50000);
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	stream.next_in = (Bytef *)packed;
	stream.avail_in = (uInt)size;
	stream.next_out = (Bytef *)back;
	stream.avail_out = 100000;
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.total_out, 100000);
	assert_memory_equal(text, back, 100000);
	inflateEnd(&stream);
	assert_null(gzip_bytes("ab", 2, &size)); /* would be larger */
}

static struct answer *text_answer(char letter, size_t size)
{
	char *text = malloc(size);

	assert_non_null(text);
	memset(text, letter, size);
	return answer_new(MHD_HTTP_OK, "text/plain", text, size, ANSWER_REVALIDATE);
}

static bool is_kept(struct kept *kept, const char *target, int64_t generation)
{
	struct answer *found = kept_find(kept, target, generation);

	answer_unref(found);
	return found != NULL;
}

static void test_answers_are_kept_for_a_generation(void **state)
{
	struct kept *kept = kept_create(1 << 20);
	_cleanup_answer_ struct answer *a = text_answer('a', 100);
	_cleanup_answer_ struct answer *b = text_answer('b', 100);

	(void)state;
	kept_put(kept, "/a", 1, a);
	assert_true(is_kept(kept, "/a", 1));
	assert_false(is_kept(kept, "/b", 1));
	assert_false(is_kept(kept, "/a", 2));
	kept_put(kept, "/b", 2, b);
	assert_false(is_kept(kept, "/a", 1));
	assert_true(is_kept(kept, "/b", 2));
	kept_put(kept, "/a", 1, a); /* of a worker that was slow */
	assert_false(is_kept(kept, "/a", 1));
	assert_true(is_kept(kept, "/b", 2));
	kept_destroy(kept);
}

static void test_kept_answers_are_bounded(void **state)
{
	struct kept *kept = kept_create(100000);
	_cleanup_answer_ struct answer *large = text_answer('x', 90000);

	(void)state;
	for (int i = 0; i < 50; i++) {
		_cleanup_answer_ struct answer *one = text_answer('a', 10000);
		_cleanup_free_ char *target = format_string("/%d", i);

		kept_put(kept, target, 1, one);
		assert_true(is_kept(kept, "/0", 1)); /* the one that is used stays */
	}
	assert_true(is_kept(kept, "/49", 1));
	assert_false(is_kept(kept, "/1", 1));
	kept_put(kept, "/large", 1, large); /* larger than all that is kept */
	assert_false(is_kept(kept, "/large", 1));
	assert_true(is_kept(kept, "/0", 1));
	kept_destroy(kept);
}

static void test_events_are_one_line_of_data(void **state)
{
	_cleanup_json_ json_t *data = json_pack("{s:s}", "text", "a\nb\r\n\ndata: c");
	_cleanup_free_ char *with_id = event_format("trial", 7, data);
	_cleanup_free_ char *without = event_format("index", -1, data);

	(void)state;
	assert_string_equal(
		with_id, "event: trial\nid: 7\ndata: {\"text\":\"a\\nb\\r\\n\\ndata: c\"}\n\n");
	assert_string_equal(
		without, "event: index\ndata: {\"text\":\"a\\nb\\r\\n\\ndata: c\"}\n\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tags_are_found_in_lists),
		cmocka_unit_test(test_who_takes_gzip),
		cmocka_unit_test(test_what_is_compressed_comes_back),
		cmocka_unit_test(test_answers_are_kept_for_a_generation),
		cmocka_unit_test(test_kept_answers_are_bounded),
		cmocka_unit_test(test_events_are_one_line_of_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
