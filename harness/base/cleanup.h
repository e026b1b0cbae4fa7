/*
 * Scope-bound release of resources. A variable marked _cleanup_free_ and the like is released when
 * it goes out of scope; give it away with take_ptr() or take_fd(). Every destructor copes with NULL
 * (or -1), so a half-built object needs no special case.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Defines cleanup_NAME(), usable in _cleanup_(), from a destructor that takes a pointer. */
#define DEFINE_CLEANUP(name, type, destroy)                                                        \
	static inline void cleanup_##name(type *p) /* NOLINT(bugprone-macro-parentheses) */        \
	{                                                                                          \
		if (*p)                                                                            \
			destroy(*p);                                                               \
	}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

DEFINE_CLEANUP(fclose, FILE *, fclose)
DEFINE_CLEANUP(json, json_t *, json_decref)

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)
#define _cleanup_json_ _cleanup_(cleanup_json)

/* Hands a pointer over: the value is returned and the variable forgets it. */
#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *_pp = &(p);                                                         \
		__typeof__(p) _v = *_pp;                                                           \
		*_pp = NULL;                                                                       \
		_v;                                                                                \
	})

static inline int take_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
