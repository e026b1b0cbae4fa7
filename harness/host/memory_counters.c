/* Counters of memory controllers: see memory_counters.h. How an event is written as numbers is told
 * by sysfs: "event=0x4,umask=0x3" by the event, "config:0-7" by each of its fields. */
#include "harness/host/memory_counters.h"
#include "harness/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEVICES "/sys/bus/event_source/devices"
#define MIB 1048576.0

/* A field's bits of perf_event_attr.config are at most 64, and cpumask lists at most one processor
 * for each package. */
enum { COUNTERS_MOST = 1024 };

struct counter {
	int fd;
	double scale; /* bytes for each count */
};

struct memory_counters {
	struct counter *counters;
	size_t count;
};

static const char *devices_path = DEVICES;

void memory_counters_relocate(const char *devices)
{
	devices_path = devices ? devices : DEVICES;
}

static char *read_attribute(const char *pmu, const char *name)
{
	_cleanup_free_ char *path = format_string("%s/%s/%s", devices_path, pmu, name);

	return fs_read_line(path);
}

/* ---- what an event is as numbers ---- */

/* Puts a value where "config:8-15" says. */
static bool put_field(const char *format, uint64_t value, uint64_t *config)
{
	unsigned int first, last;
	int fields = sscanf(format, "config:%u-%u", &first, &last);

	if (fields == 1)
		last = first;
	if (fields < 1 || first > last || last > 63)
		return false;
	if (last - first < 63 && value >> (last - first + 1))
		return false;
	*config |= value << first;
	return true;
}

/* "event=0x4,umask=0x3"; a field without a value is 1. */
static bool parse_event(const char *pmu, char *text, uint64_t *config)
{
	char *save = NULL;

	*config = 0;
	for (char *field = strtok_r(text, ",", &save); field; field = strtok_r(NULL, ",", &save)) {
		char *equals = strchr(field, '=');
		uint64_t value = equals ? strtoull(equals + 1, NULL, 0) : 1;
		_cleanup_free_ char *name = NULL;
		_cleanup_free_ char *format = NULL;

		if (equals)
			*equals = '\0';
		name = format_string("format/%s", field);
		format = read_attribute(pmu, name);
		if (!format || !put_field(format, value, config))
			return false;
	}
	return true;
}

struct event {
	uint32_t type;
	uint64_t config;
	double scale; /* bytes for each count */
};

/* False: the PMU has no such event, or not in MiB. */
static bool find_event(const char *pmu, const char *name, struct event *event)
{
	_cleanup_free_ char *own = format_string("events/%s", name);
	_cleanup_free_ char *scale_name = format_string("events/%s.scale", name);
	_cleanup_free_ char *unit_name = format_string("events/%s.unit", name);
	_cleanup_free_ char *text = read_attribute(pmu, own);
	_cleanup_free_ char *scale = read_attribute(pmu, scale_name);
	_cleanup_free_ char *unit = read_attribute(pmu, unit_name);
	_cleanup_free_ char *type = read_attribute(pmu, "type");

	if (!text || !scale || !unit || !type || strcmp(unit, "MiB") != 0)
		return false;
	event->type = (uint32_t)strtoul(type, NULL, 10);
	event->scale = strtod(scale, NULL) * MIB;
	return event->scale > 0 && parse_event(pmu, text, &event->config);
}

/* ---- opening ---- */

static struct error *open_counter(
	struct memory_counters *counters, const char *pmu, const struct event *event, int processor)
{
	struct perf_event_attr attributes = {.type = event->type,
		.size = sizeof(attributes),
		.config = event->config,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING};
	int fd = (int)syscall(
		SYS_perf_event_open, &attributes, -1, processor, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return error_errno(errno, "cannot count what memory carries by %s", pmu);
	if (counters->count == COUNTERS_MOST) {
		close(fd);
		return error_new(
			ERROR_SETUP, "this host has more than %d memory counters", COUNTERS_MOST);
	}
	counters->counters[counters->count++] = (struct counter){fd, event->scale};
	return NULL;
}

/* On each processor that the PMU's mask names: "0,18", "0-1"; one for each package. */
static struct error *open_event(
	struct memory_counters *counters, const char *pmu, const struct event *event)
{
	_cleanup_free_ char *mask = read_attribute(pmu, "cpumask");
	char *at = mask;

	if (!mask)
		return open_counter(counters, pmu, event, 0);
	while (*at) {
		char *end;
		long first = strtol(at, &end, 10), last;

		if (end == at || first < 0)
			return error_new(ERROR_SETUP, "the cpumask of %s is '%s'", pmu, mask);
		last = *end == '-' ? strtol(end + 1, &end, 10) : first;
		for (long processor = first; processor <= last; processor++)
			try_(open_counter(counters, pmu, event, (int)processor));
		at = *end == ',' ? end + 1 : end;
		if (*end && *end != ',')
			return error_new(ERROR_SETUP, "the cpumask of %s is '%s'", pmu, mask);
	}
	return NULL;
}

static struct error *open_pmu(struct memory_counters *counters, const char *pmu)
{
	static const char *const pairs[][2] = {
		{"cas_count_read", "cas_count_write"}, {"data_reads", "data_writes"}};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct event reads, writes;

		if (!find_event(pmu, pairs[i][0], &reads) || !find_event(pmu, pairs[i][1], &writes))
			continue;
		try_(open_event(counters, pmu, &reads));
		return open_event(counters, pmu, &writes);
	}
	return NULL;
}

struct error *memory_counters_open(struct memory_counters **counters)
{
	_cleanup_(cleanup_memory_counters) struct memory_counters *made = calloc(1, sizeof(*made));
	struct error *err = NULL;
	DIR *dir = opendir(devices_path);

	if (!made || !(made->counters = calloc(COUNTERS_MOST, sizeof(*made->counters))))
		abort();
	for (struct dirent *entry; !err && dir && (entry = readdir(dir));) {
		if (entry->d_name[0] != '.')
			err = open_pmu(made, entry->d_name);
	}
	if (dir)
		closedir(dir);
	if (err)
		return err;
	*counters = made->count > 0 ? take_ptr(made) : NULL;
	return NULL;
}

void memory_counters_close(struct memory_counters *counters)
{
	if (!counters)
		return;
	for (size_t i = 0; i < counters->count; i++)
		close(counters->counters[i].fd);
	free(counters->counters);
	free(counters);
}

struct error *memory_counters_read(const struct memory_counters *counters, double *bytes)
{
	double sum = 0;

	for (size_t i = 0; i < counters->count; i++) {
		struct {
			uint64_t value, enabled, running;
		} now;

		if (read(counters->counters[i].fd, &now, sizeof(now)) != sizeof(now))
			return error_errno(errno, "cannot read what memory has carried");
		sum += now.running < now.enabled ? NAN
						 : (double)now.value * counters->counters[i].scale;
	}
	*bytes = sum;
	return NULL;
}
