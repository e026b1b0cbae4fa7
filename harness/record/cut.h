/* Texts cut to what a record may hold of them (a guest may have said them), and those of records to
 * what lists show: a record may be another host's, and the index keeps rows of thousands. */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* The text, or as much of it as has at most `most` bytes (at least 3), with "…" at its end; NULL
 * when it is none; new reference. */
json_t *cut_text(const json_t *text, size_t most);

/* Cuts the texts among the members of an object. */
void cut_members(json_t *object, size_t most);

/* What can be shown of a list whose items are texts, or objects of which these members are kept
 * (NULL-terminated): in all at most `most` bytes of ASCII JSON, and then "…" in place of the rest.
 * New reference. */
json_t *cut_list(const json_t *list, const char *const *members, size_t most);
