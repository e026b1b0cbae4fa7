/* Files compiled into the binary: see embedded.h. */
#include "harness/base/embedded.h"

#include <string.h>

/* The table in embedded.S. */
extern const struct embedded_file embedded_files[], embedded_files_end[];

const struct embedded_file *embedded_at(size_t index)
{
	size_t count = (size_t)(embedded_files_end - embedded_files);

	return index < count ? &embedded_files[index] : NULL;
}

const struct embedded_file *embedded_find(const char *name)
{
	const struct embedded_file *file;

	for (size_t i = 0; (file = embedded_at(i)); i++) {
		if (strcmp(file->name, name) == 0)
			return file;
	}
	return NULL;
}
