/* Which readings a paper's tables and tests show already. Internal to report/. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* Every selector of the paper, in its order: [{"experiment", "selector", "direct": its own figure
 * is shown, not only a ratio to another}]; new reference. */
json_t *paper_selectors(const json_t *paper);

/* The same of one of its tables, and of the claim with this id; NULL: of all claims. */
json_t *table_selectors(const json_t *table);
json_t *claims_selectors(const json_t *paper, const char *id);

/* True when one of them shows the figure of this series (series.h). */
bool selectors_show(const json_t *selectors, const json_t *series);
