/* Texts and elements of XML and HTML, escaped: the only way that a text gets in. Internal to
 * report/. */
#pragma once

#include <stdio.h>

/* Escapes for XML 1.0, after text_harmless() has removed what XML cannot hold at all. */
void xml_put(FILE *out, const char *text);

/* ` NAME="VALUE"` */
void xml_attribute(FILE *out, const char *name, const char *value);

/* `<NAME>TEXT</NAME>` */
void xml_element(FILE *out, const char *name, const char *text);
