/* Numbers as people read them: see figures.h. */
#include "harness/report/figures.h"

#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/record/samples.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void figure_number(double value, char *out)
{
	double size = fabs(value);

	if (!isfinite(value))
		snprintf(out, FIGURE_SIZE, "%s", isnan(value) ? "-" : value > 0 ? "inf" : "-inf");
	else if (size >= 1000 && size < 1e9)
		snprintf(out, FIGURE_SIZE, "%.0f", value);
	else
		snprintf(out, FIGURE_SIZE, "%.4g", value);
}

void figure_value(double value, const char *unit, char *out)
{
	char number[FIGURE_SIZE];

	figure_number(value, number);
	snprintf(out, FIGURE_SIZE, "%.40s%s%.24s", number, unit && *unit ? " " : "",
		unit ? unit : "");
}

void figure_of_unit(double value, const char *unit, char *out)
{
	if (strcmp(unit, "bool") == 0 && (value == 0 || value == 1))
		snprintf(out, FIGURE_SIZE, "%s", value == 1 ? "yes" : "no");
	else
		figure_number(value, out);
}

void figure_times(double ratio, char *out)
{
	snprintf(out, FIGURE_SIZE, ratio >= 1000 ? "%.0f x" : "%.3g x", ratio);
}

void figure_count(const json_t *trials, char *out)
{
	double least = json_number_value(json_array_get(trials, 0));
	double most = json_number_value(json_array_get(trials, 1));

	if (least == most)
		snprintf(out, FIGURE_SIZE, "%.0f", most);
	else
		snprintf(out, FIGURE_SIZE, "%.0f-%.0f", least, most);
}

void figure_interval(double median, double low, double high, const char *unit, char *out)
{
	char value[FIGURE_SIZE], from[FIGURE_SIZE], to[FIGURE_SIZE];

	figure_value(median, unit, value);
	if (!isfinite(low) || !isfinite(high)) {
		snprintf(out, FIGURE_SIZE, "%s", value);
		return;
	}
	figure_number(low, from);
	figure_number(high, to);
	snprintf(out, FIGURE_SIZE, "%.40s [%.20s, %.20s]", value, from, to);
}

void figure_bytes(double bytes, char *out)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	size_t unit = 0;

	while (bytes >= 1000 && unit + 1 < ARRAY_SIZE(units)) {
		bytes /= 1000;
		unit++;
	}
	snprintf(out, FIGURE_SIZE, unit ? "%.3g %s" : "%.0f %s", bytes, units[unit]);
}

void figure_duration(double seconds, char *out)
{
	duration_format(seconds, out, FIGURE_SIZE);
}

/* How a kind's numbers are shown: a share as per cent where the paper does so. */
static double scale_of(const json_t *test, const char **unit)
{
	const char *kind = json_text(test, "kind");

	*unit = json_text(test, "unit");
	if (strcmp(kind, "slope") == 0 || ((!**unit || strcmp(*unit, "x") == 0) &&
						  strcmp(json_text(test, "shown_in"), "%") == 0)) {
		*unit = "%";
		return 100;
	}
	return 1;
}

void figure_measured(const json_t *test, char *out)
{
	const json_t *measured = json_object_get(test, "measured");
	const char *unit;
	double scale = scale_of(test, &unit);

	if (!json_is_number(measured))
		snprintf(out, FIGURE_SIZE, "-");
	else if (strcmp(json_text(test, "kind"), "holds") == 0)
		snprintf(out, FIGURE_SIZE, "%s", json_number_value(measured) == 1 ? "yes" : "no");
	else
		figure_interval(scale * json_number_value(measured),
			scale * json_number(test, "low", NAN),
			scale * json_number(test, "high", NAN), unit, out);
}

static void figure_range(double low, double high, const char *unit, char *out)
{
	char from[FIGURE_SIZE], to[FIGURE_SIZE];

	figure_number(low, from);
	figure_value(high, unit, to);
	snprintf(out, FIGURE_SIZE, "%.20s-%.60s", from, to);
}

void figure_published(const json_t *test, char *out)
{
	const json_t *published = json_object_get(test, "published");
	const char *unit, *limit = json_text(test, "limit");
	double scale = scale_of(test, &unit);
	char value[FIGURE_SIZE];

	if (!json_is_number(published)) {
		snprintf(out, FIGURE_SIZE, "-");
	} else if (*limit) {
		figure_value(scale * json_number_value(published), unit, value);
		snprintf(out, FIGURE_SIZE, "%s %.80s", strcmp(limit, "at most") == 0 ? "≤" : "≥",
			value);
	} else if (json_object_get(test, "published_low")) {
		figure_range(scale * json_number(test, "published_low", NAN),
			scale * json_number(test, "published_high", NAN), unit, out);
	} else {
		figure_value(scale * json_number_value(published), unit, out);
	}
}

void figure_ratio_to_published(const json_t *test, char *out)
{
	const json_t *ratio = json_object_get(test, "ratio_to_published");

	if (json_is_number(ratio))
		snprintf(out, FIGURE_SIZE, "%.3g", json_number_value(ratio));
	else
		snprintf(out, FIGURE_SIZE, "-");
}

void figure_pairs(const json_t *test, char *out)
{
	int pairs = (int)json_number(test, "pairs", 0);
	double p_value = json_number(test, "p_value", NAN);
	const char *what =
		isfinite(p_value) || json_object_get(test, "pairs_needed") ? "pair" : "trial";

	if (!json_object_get(test, "pairs"))
		out[0] = '\0';
	else if (isfinite(p_value))
		snprintf(out, FIGURE_SIZE, "%d %s%s, p = %.2g", pairs, what, pairs == 1 ? "" : "s",
			p_value);
	else
		snprintf(out, FIGURE_SIZE, "%d %s%s", pairs, what, pairs == 1 ? "" : "s");
}

/* Published numbers are shown with all of their digits. */
void figure_cell(const json_t *cell, char *out)
{
	const char *unit = json_text(cell, "unit");

	if (json_object_get(cell, "low"))
		snprintf(out, FIGURE_SIZE, "%.10g-%.10g %.24s", json_number(cell, "low", NAN),
			json_number(cell, "high", NAN), unit);
	else
		snprintf(out, FIGURE_SIZE, "%.10g %.24s", json_number(cell, "value", NAN), unit);
}

void figure_cpu(const json_t *host, char *out)
{
	double cores = json_number(host, "cores", 0);

	if (cores > 0)
		snprintf(out, FIGURE_SIZE, "%.64s, %.0f core%s", json_text(host, "cpu"), cores,
			cores == 1 ? "" : "s");
	else
		snprintf(out, FIGURE_SIZE, "%.64s", json_text(host, "cpu"));
}

const char *verdict_colour(const char *verdict)
{
	static const char *const colours[] = {
		"1;31", /* contradicted */
		"33",	/* inconclusive */
		"36",	/* direction-only */
		"32",	/* reproduced */
		"2",	/* not-comparable */
		"2",	/* not-run */
	};
	int rank = verdict_rank(verdict);

	return rank >= 0 && rank < (int)ARRAY_SIZE(colours) ? colours[rank] : NULL;
}

char *figure_label(const json_t *table, const json_t *row)
{
	const char *unit = json_text(row, "unit");
	bool named = *json_text(table, "metric") || !*unit || strcmp(unit, "bool") == 0;

	return format_string(
		"%s%s%s", json_text(row, "label"), named ? "" : ", ", named ? "" : unit);
}
