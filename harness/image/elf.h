/* Which shared objects an ELF file wants: enough of ELF to follow a program's libraries. */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct elf_needs {
	bool is_elf;	   /* false: not an x86-64 ELF file; the rest is empty */
	char *interpreter; /* PT_INTERP, or NULL for static programs and libraries */
	char **libraries;  /* DT_NEEDED, in the file's order */
	size_t count;
};

/* Reads from `fd`; `name` is for messages. Damaged files are an error, other files are not. */
struct error *elf_read_needs(int fd, const char *name, struct elf_needs *needs);
void elf_needs_deinit(struct elf_needs *needs);
