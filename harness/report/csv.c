/* One line for each test of a claim (RFC 4180): see report.h. */
#include "harness/record/samples.h"
#include "harness/report/formats.h"

#include <string.h>

static void put_text(FILE *out, const char *text)
{
	_cleanup_free_ char *harmless = text_harmless(text);

	if (!harmless[strcspn(harmless, ",\"")]) {
		fputs(harmless, out);
		return;
	}
	fputc('"', out);
	for (const char *p = harmless; *p; p++) {
		if (*p == '"')
			fputc('"', out);
		fputc(*p, out);
	}
	fputc('"', out);
}

static void put_number(FILE *out, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_number(value))
		fprintf(out, "%.10g", json_number_value(value));
}

static void put_test(FILE *out, const json_t *view, const json_t *paper, const json_t *claim,
	const json_t *test, size_t number)
{
	static const char *const numbers[] = {"published", "published_low", "published_high",
		"measured", "low", "high", "pairs", "p_value", "ratio_to_published"};
	const json_t *comparable = json_object_get(claim, "comparable");

	put_text(out, json_text(json_object_get(view, "run"), "id"));
	fputc(',', out);
	put_text(out, json_text(json_object_get(view, "host"), "accelerator"));
	fprintf(out, ",%s,%s,%zu,", json_text(paper, "id"), json_text(claim, "id"), number);
	fprintf(out, "%s,%s,%s,", json_text(test, "kind"), json_text(claim, "verdict"),
		json_text(test, "verdict"));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		put_number(out, test, numbers[i]);
		fputc(',', out);
	}
	put_text(out, json_text(test, "unit"));
	fprintf(out, ",%s,", json_is_true(json_object_get(comparable, "ok")) ? "yes" : "no");
	put_text(out, json_text(test, "reason"));
	fputc(',', out);
	put_text(out, json_text(claim, "evidence"));
	fputc(',', out);
	put_number(out, claim, "wall_s");
	fputc(',', out);
	put_number(out, claim, "disk_bytes");
	fputs("\r\n", out);
}

void csv_render(const json_t *view, FILE *out)
{
	const json_t *paper, *claim, *test;
	size_t p, c, t;

	fputs("run,accelerator,paper,claim,test,kind,claim_verdict,verdict,published,published_low,"
	      "published_high,measured,low,high,pairs,p_value,ratio_to_published,unit,comparable,"
	      "reason,evidence,wall_s,disk_bytes\r\n",
		out);
	json_array_foreach (json_object_get(view, "papers"), p, paper) {
		json_array_foreach (json_object_get(paper, "claims"), c, claim) {
			json_array_foreach (json_object_get(claim, "tests"), t, test)
				put_test(out, view, paper, claim, test, t + 1);
		}
	}
}
