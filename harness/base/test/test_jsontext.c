/* What a JSON text takes in memory is never estimated too low, nor absurdly high. */
#include "harness/base/test/support.h"

#include "harness/base/jsontext.h"

#include <jansson.h>
#include <malloc.h>

/* malloc(3)'s own word before each piece. */
#define HEADER 8

static size_t live_bytes;

static void *counted_malloc(size_t size)
{
	void *memory = malloc(size);

	live_bytes += memory ? malloc_usable_size(memory) + HEADER : 0;
	return memory;
}

static void counted_free(void *memory)
{
	live_bytes -= memory ? malloc_usable_size(memory) + HEADER : 0;
	free(memory);
}

/* `part`, so many times, between `begin` and `end`; caller frees. */
static char *repeated(const char *begin, const char *part, size_t count, const char *end)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs(begin, out);
	for (size_t i = 0; i < count; i++) {
		const char *at = strchr(part, '#');

		if (at)
			fprintf(out, "%.*s%zu%s", (int)(at - part), part, i, at + 1);
		else
			fputs(part, out);
	}
	fputs(end, out);
	fclose(out);
	return text;
}

static void test_estimates_are_above_and_near(void **state)
{
	static const struct {
		const char *begin, *part, *end;
	} texts[] = {
		{"[", "[],", "0]"},
		{"[", "{},", "0]"},
		{"[", "[[]],", "0]"},
		{"[", "[{\"a\":[]}],", "0]"},
		{"[", "{\"a\":{}},", "0]"},
		{"[", "#.5,", "0]"},
		{"[", "#,", "0]"},
		{"[", "true,", "null]"},
		{"[", "\"\",", "0]"},
		{"[", "\"a text, with [some] {marks}: \\\" and #\",", "0]"},
		{"{", "\"#\":1,", "\"\":0}"},
		{"{", "\"#\":{},", "\"\":0}"},
		{"{", "\"#\":null,", "\"\":0}"},
		{"{\"a\":[", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\n,", "0]}"},
	};
	enum { COUNT = 20000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *text =
			repeated(texts[i].begin, texts[i].part, COUNT, texts[i].end);
		size_t estimate = jsontext_memory(text, strlen(text)), before = live_bytes, taken;
		json_t *json = json_loads(text, 0, NULL);

		assert_non_null(json);
		taken = live_bytes - before;
		json_decref(json);
		if (taken > estimate)
			fail_msg("%s: %zu bytes, estimated %zu", texts[i].part, taken, estimate);
		if (estimate > 10 * taken + strlen(text))
			fail_msg("%s: only %zu bytes, estimated %zu", texts[i].part, taken,
				estimate);
	}
}

static void test_what_is_no_json_has_an_estimate(void **state)
{
	static const char *const texts[] = {"", "\"", "\"\\", "{", "[\"a\\\"", "\x80\xff"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_true(jsontext_memory(texts[i], strlen(texts[i])) < 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_estimates_are_above_and_near),
		cmocka_unit_test(test_what_is_no_json_has_an_estimate),
	};

	json_set_alloc_funcs(counted_malloc, counted_free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
