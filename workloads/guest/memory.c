/* How much memory: see memory.h. */
#include "workloads/guest/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The kernel needs some of what it calls available while it gives it away. */
#define LEAVE_MIB 8

static uint64_t meminfo_mib(const char *name)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	uint64_t kib = 0;
	size_t length = strlen(name);

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			sscanf(line + length + 1, "%" SCNu64, &kib);
	}
	if (file)
		fclose(file);
	if (!kib)
		die("/proc/meminfo does not tell %s", name);
	return kib >> 10;
}

uint64_t memory_bytes(const struct memory_options *options)
{
	uint64_t available = meminfo_mib("MemAvailable");
	uint64_t mib = options->mib;

	if (options->percent)
		mib = meminfo_mib("MemTotal") * options->percent / 100;
	if (mib + LEAVE_MIB > available)
		die("%" PRIu64 " MiB are wanted, %" PRIu64
		    " MiB available, of which %d are to stay",
			mib, available, LEAVE_MIB);
	return mib << 20;
}
