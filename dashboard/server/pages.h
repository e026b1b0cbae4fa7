/* The pages, compiled into the binary from build/web. */
#pragma once

#include "dashboard/server/answer.h"
#include "dashboard/server/request.h"

struct pages;

struct pages *pages_create(void);
void pages_destroy(struct pages *pages);

/*
 * The file that a path names; for any other path that could be a view of the pages' (its last part
 * has no dot), index.html. NULL when there is no such file. Borrowed.
 */
struct answer *pages_find(struct pages *pages, const struct request *request);

/* The page that asks for the token. Borrowed. */
struct answer *pages_login(struct pages *pages);
