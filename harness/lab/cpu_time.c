/* CPU seconds of processes: see cpu_time.h. */
#include "harness/lab/cpu_time.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/host/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { MAX_SCANS = 50 };

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

static struct process_time time_of(const struct proc_stat *stat)
{
	double ticks = (double)sysconf(_SC_CLK_TCK);

	return (struct process_time){
		.pid = stat->pid,
		.parent = stat->parent,
		.own_s = (double)(stat->user + stat->system) / ticks,
		.reaped_s = (double)(stat->reaped_user + stat->reaped_system) / ticks,
	};
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
		struct process_time item;
		struct proc_stat stat;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
			!proc_read_stat(atoi(entry->d_name), &stat))
			continue;
		item = time_of(&stat);
		read_clock(&item);
		append(table, item);
	}
	closedir(dir);
	return NULL;
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

/* Whether nobody was reaped from one scan to the next. New processes do no harm. */
static bool nobody_reaped(const struct table *before, const struct table *after)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct process_time *then = &before->items[i];
		const struct process_time *now = find(after, then->pid);

		if (!now || now->reaped_s != then->reaped_s)
			return false;
	}
	return true;
}

/* A process that is reaped between its own reading and its parent's would count twice, and one that
 * is reaped after its parent's reading and before its own not at all: then it is all read again. */
static struct error *read_table(struct table *table)
{
	_cleanup_(table_free) struct table before = {0};

	try_(scan(&before));
	for (int i = 1; i < MAX_SCANS; i++) {
		struct table spare = before;

		try_(scan(table));
		if (nobody_reaped(&before, table))
			return NULL;
		before = *table;
		*table = spare;
	}
	return error_new(
		ERROR_SETUP, "cannot read the CPU time of the lab: its processes end too fast");
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

double cpu_time_self(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / (double)NSEC_PER_SEC;
}

struct error *cpu_time_lab_but_self(double *seconds)
{
	try_(cpu_time_lab(seconds));
	*seconds -= cpu_time_self();
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
		struct proc_stat stat;

		if (proc_parse_stat(text, length, &stat))
			append(&table, time_of(&stat));
		text += length + (text[length] == '\n');
	}
	try_(choose_with_descendants(&table, pids, count));
	*seconds = sum_of_chosen(&table);
	return NULL;
}
