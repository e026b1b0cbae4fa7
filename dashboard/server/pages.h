/* The pages, compiled into the binary from build/web. May be used from any thread. */
#pragma once

#include "dashboard/server/answer.h"
#include "dashboard/server/request.h"

struct pages;

struct pages *pages_create(void);
void pages_destroy(struct pages *pages);

/*
 * The file that a path names; for any other path that could be a view of the pages' (its last part
 * has no dot), index.html. NULL when there is no such file. The reference is the caller's.
 */
struct answer *pages_find(struct pages *pages, const struct request *request);

/*
 * From now on index.html has these answers in it, {PATH below /api/v1: ANSWER}, so that its first
 * view need not ask for them. From any thread.
 */
void pages_give(struct pages *pages, const char *json);

/* The page that asks for the token. Borrowed. */
struct answer *pages_login(struct pages *pages);
