/*
 * What a sample looks like: location, spread, and which readings stand apart. Pure functions of an
 * array in any order and any unit, which is never changed; results are in the unit of the values.
 * An empty array, or one with a NaN in it, gives NaN: it never looks like a measurement of zero.
 */
#pragma once

#include <stddef.h>

/* The middle value; the mean of the two middle ones when n is even. */
double stats_median(const double *values, size_t n);

/* The value below which a fraction p (0..1) of the sample lies, interpolated linearly between
 * order statistics at position (n - 1) p: type 7 of Hyndman and Fan (1996), the definition of GSL,
 * R and NumPy. NaN for p outside 0..1. */
double stats_quantile(const double *values, size_t n, double p);

/* Median absolute deviation from the median, times 1.4826, so that it estimates the standard
 * deviation of normal noise while up to half of the readings may be arbitrarily wrong. */
double stats_mad(const double *values, size_t n);

/* Standard deviation of the noise in one value, estimated by Qn of Rousseeuw and Croux (1993):
 * steadier than the MAD (82 % against 37 % of the efficiency of the ordinary estimate), as robust,
 * and corrected for small n. Where Qn is 0 because too many values are equal, the ordinary standard
 * deviation, so that a coarse clock does not pass for a noiseless one. NaN for n < 2. */
double stats_scatter(const double *values, size_t n);

struct summary {
	size_t n;
	double min, max, mean;
	double median;
	double mad;		       /* as stats_mad() */
	double quartile_1, quartile_3; /* as stats_quantile() */
};

/* All of the above at once. With n == 0 every figure is NaN. */
void summary_compute(const double *values, size_t n, struct summary *out);

/*
 * Outliers are flagged, never dropped: every estimator in stats/ is chosen to live with them, and a
 * reader decides what a flag means. It is a hint and no more: of clean normal samples, 21 % have a
 * flag at 5 values, 12 % at 10 and 10 % at 20 (simulated). The rule is the modified z-score of
 * Iglewicz and Hoaglin (1993), (x - median) / stats_mad(), flagged beyond 3.5. Where more than half
 * of the values are equal (the MAD is 0), their fallback is used: (x - median) / (1.253314 times
 * the mean absolute deviation).
 */
#define OUTLIER_Z 3.5

/* Below this many values nothing is flagged: the MAD of three readings is so unsteady that 29 % of
 * clean normal samples would have a flag. */
#define OUTLIER_MIN_VALUES 5

enum outlier_reason {
	OUTLIER_NONE,
	OUTLIER_LOW,	    /* modified z-score below -OUTLIER_Z */
	OUTLIER_HIGH,	    /* modified z-score above +OUTLIER_Z */
	OUTLIER_NOT_FINITE, /* NaN or infinite; left out of the others' median and MAD */
};

struct outlier {
	enum outlier_reason reason;
	double z; /* modified z-score; 0 if it was not computed, NaN for OUTLIER_NOT_FINITE */
};

/* Judges each value: flags[i] for values[i], n of each. Returns how many have a reason. */
size_t outliers_flag(const double *values, size_t n, struct outlier *flags);

/* The reason in a few words, for a table; "" for OUTLIER_NONE. */
const char *outlier_reason_text(enum outlier_reason reason);
