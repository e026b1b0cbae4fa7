/* Escaping for XML and HTML: see xml.h. */
#include "harness/report/xml.h"

#include "harness/base/cleanup.h"
#include "harness/report/line.h"

void xml_put(FILE *out, const char *text)
{
	_cleanup_free_ char *harmless = text_harmless(text);

	for (const char *p = harmless; *p; p++) {
		switch (*p) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*p, out);
		}
	}
}

void xml_attribute(FILE *out, const char *name, const char *value)
{
	fprintf(out, " %s=\"", name);
	xml_put(out, value);
	fputc('"', out);
}

void xml_element(FILE *out, const char *name, const char *text)
{
	fprintf(out, "<%s>", name);
	xml_put(out, text);
	fprintf(out, "</%s>", name);
}
