/* CPU seconds of processes: see cpu_time.h. */
#include "harness/lab/cpu_time.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { MAX_TRIES = 10 };

struct process_time {
	pid_t pid, parent;
	double own_s, reaped_s;
	bool chosen;
};

struct table {
	struct process_time *items;
	size_t count, room;
};

static void table_free(struct table *table)
{
	free(table->items);
}

static void append(struct table *table, struct process_time item)
{
	if (table->count == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		table->items = reallocarray(table->items, table->room, sizeof(item));
		if (!table->items)
			abort();
	}
	table->items[table->count++] = item;
}

/* One /proc/PID/stat. The name of the program is in brackets and may hold anything, brackets too;
 * fields as in proc(5): 4 is the parent, 14 to 17 are utime, stime, cutime and cstime. */
static bool parse_stat(const char *line, size_t length, struct process_time *item)
{
	_cleanup_free_ char *text = format_string("%.*s", (int)length, line);
	const char *after = strrchr(text, ')');
	long ticks = sysconf(_SC_CLK_TCK);
	unsigned long user, system;
	long reaped_user, reaped_system;
	int pid, parent;

	if (!after || sscanf(text, "%d (", &pid) != 1 ||
		sscanf(after + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld",
			&parent, &user, &system, &reaped_user, &reaped_system) != 5)
		return false;
	*item = (struct process_time){
		.pid = pid,
		.parent = parent,
		.own_s = (double)(user + system) / (double)ticks,
		.reaped_s = (double)(reaped_user + reaped_system) / (double)ticks,
	};
	return true;
}

/* Finer than the ticks, where the kernel has a clock for the process. */
static void read_clock(struct process_time *item)
{
	struct timespec used;
	clockid_t clock;

	if (clock_getcpuclockid(item->pid, &clock) == 0 && clock_gettime(clock, &used) == 0)
		item->own_s = (double)used.tv_sec + (double)used.tv_nsec / (double)NSEC_PER_SEC;
}

static struct error *scan(struct table *table)
{
	DIR *dir = opendir("/proc");

	if (!dir)
		return error_errno(errno, "cannot read /proc");
	table->count = 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		_cleanup_free_ char *path = format_string("/proc/%s/stat", entry->d_name);
		struct process_time item;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		_cleanup_free_ char *line = fs_read_line(path);

		if (!line || !parse_stat(line, strlen(line), &item))
			continue;
		read_clock(&item);
		append(table, item);
	}
	closedir(dir);
	return NULL;
}

static bool all_exist(const struct table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		if (kill(table->items[i].pid, 0) < 0 && errno == ESRCH)
			return false;
	}
	return true;
}

/* A process that is reaped between its own reading and its parent's would count twice, or never:
 * then it is all read again. */
static struct error *read_table(struct table *table)
{
	for (int i = 0; i < MAX_TRIES; i++) {
		try_(scan(table));
		if (all_exist(table))
			return NULL;
	}
	return error_new(
		ERROR_SETUP, "cannot read the CPU time of the lab: its processes end too fast");
}

static double sum_of_chosen(const struct table *table)
{
	double sum = 0;

	for (size_t i = 0; i < table->count; i++) {
		if (table->items[i].chosen)
			sum += table->items[i].own_s + table->items[i].reaped_s;
	}
	return sum;
}

static struct process_time *find(const struct table *table, pid_t pid)
{
	for (size_t i = 0; i < table->count; i++) {
		if (table->items[i].pid == pid)
			return &table->items[i];
	}
	return NULL;
}

static struct error *choose_with_descendants(
	const struct table *table, const pid_t *pids, size_t count)
{
	bool again = true;

	for (size_t i = 0; i < count; i++) {
		struct process_time *root = find(table, pids[i]);

		if (!root)
			return error_new(ERROR_SETUP, "process %d is not there", (int)pids[i]);
		root->chosen = true;
	}
	while (again) {
		again = false;
		for (size_t i = 0; i < table->count; i++) {
			struct process_time *item = &table->items[i];
			const struct process_time *parent = find(table, item->parent);

			if (item->chosen || !parent || !parent->chosen)
				continue;
			item->chosen = true;
			again = true;
		}
	}
	return NULL;
}

struct error *cpu_time_lab(double *seconds)
{
	_cleanup_(table_free) struct table table = {0};

	try_(read_table(&table));
	for (size_t i = 0; i < table.count; i++)
		table.items[i].chosen = true;
	*seconds = sum_of_chosen(&table);
	return NULL;
}

struct error *cpu_time_processes(const pid_t *pids, size_t count, double *seconds)
{
	_cleanup_(table_free) struct table table = {0};

	try_(read_table(&table));
	try_(choose_with_descendants(&table, pids, count));
	*seconds = sum_of_chosen(&table);
	return NULL;
}

struct error *cpu_time_machine(const struct machine *machine, double *seconds)
{
	_cleanup_(table_free) struct table table = {0};
	const char *place = machine ? machine_namespace(machine) : "/proc/1/ns/net";
	struct stat wanted, actual;

	if (stat(place, &wanted) < 0)
		return error_errno(errno, "cannot look at %s", place);
	try_(read_table(&table));
	for (size_t i = 0; i < table.count; i++) {
		_cleanup_free_ char *path =
			format_string("/proc/%d/ns/net", (int)table.items[i].pid);

		table.items[i].chosen = stat(path, &actual) == 0 &&
					actual.st_ino == wanted.st_ino &&
					actual.st_dev == wanted.st_dev;
	}
	*seconds = sum_of_chosen(&table);
	return NULL;
}

struct error *cpu_time_listing(const char *text, const pid_t *pids, size_t count, double *seconds)
{
	_cleanup_(table_free) struct table table = {0};

	while (*text) {
		size_t length = strcspn(text, "\n");
		struct process_time item;

		if (length < 4096 && parse_stat(text, length, &item))
			append(&table, item);
		text += length + (text[length] == '\n');
	}
	try_(choose_with_descendants(&table, pids, count));
	*seconds = sum_of_chosen(&table);
	return NULL;
}
