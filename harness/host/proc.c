/* What the kernel tells of processes: see proc.h. */
#include "harness/host/proc.h"
#include "harness/base/fs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

enum {
	STAT_BYTES = 4096, /* a line has about 400, with the longest name */
	MAPS_BYTES = 16 << 20,
	ROLLUP_BYTES = 1 << 16,
	CMDLINE_BYTES = 1 << 20,
};

/* ---- numbers ---- */

/* Digits only, where strtoull() would take signs and spaces too. */
static bool take_number(const char **at, const char *end, int base, uint64_t *number)
{
	char digits[24];
	size_t length = 0;

	while (*at + length < end && length < sizeof(digits) - 1 &&
		(base == 16 ? isxdigit((unsigned char)(*at)[length])
			    : isdigit((unsigned char)(*at)[length]))) {
		digits[length] = (*at)[length];
		length++;
	}
	if (length == 0)
		return false;
	digits[length] = '\0';
	errno = 0;
	*number = strtoull(digits, NULL, base);
	*at += length;
	return errno == 0;
}

static bool take_character(const char **at, const char *end, char wanted)
{
	if (*at >= end || **at != wanted)
		return false;
	++*at;
	return true;
}

/* ---- stat ---- */

/* Fields as proc(5) numbers them; what is read of them are those behind the state. */
enum {
	FIELD_PARENT = 4,
	FIELD_MINOR_FAULTS = 10,
	FIELD_MAJOR_FAULTS = 12,
	FIELD_USER = 14,
	FIELD_SYSTEM,
	FIELD_REAPED_USER,
	FIELD_REAPED_SYSTEM,
	FIELD_START = 22,
	FIELD_COUNT,
};

/* Some that are of no interest here are negative: a negative number counts as 0. */
static bool take_field(const char **at, const char *end, uint64_t *field)
{
	bool negative;

	if (!take_character(at, end, ' '))
		return false;
	negative = take_character(at, end, '-');
	if (!take_number(at, end, 10, field))
		return false;
	if (negative)
		*field = 0;
	return true;
}

static bool take_pid(const char **at, const char *end, uint64_t *pid)
{
	return take_number(at, end, 10, pid) && *pid > 0 && *pid <= INT_MAX;
}

bool proc_parse_stat(const char *line, size_t length, struct proc_stat *stat)
{
	uint64_t fields[FIELD_COUNT] = {0};
	const char *at = line, *end = line + length;
	const char *name_end = memrchr(line, ')', length);
	uint64_t pid;
	char state;

	if (!take_pid(&at, end, &pid) || !take_character(&at, end, ' ') ||
		!take_character(&at, end, '(') || !name_end || name_end < at)
		return false;
	at = name_end + 1;
	if (!take_character(&at, end, ' ') || at >= end || !isalpha((unsigned char)*at))
		return false;
	state = *at++;
	for (int field = FIELD_PARENT; field < FIELD_COUNT; field++) {
		if (!take_field(&at, end, &fields[field]))
			return false;
	}
	if (fields[FIELD_PARENT] > INT_MAX)
		return false;
	*stat = (struct proc_stat){
		.pid = (pid_t)pid,
		.parent = (pid_t)fields[FIELD_PARENT],
		.state = state,
		.minor_faults = fields[FIELD_MINOR_FAULTS],
		.major_faults = fields[FIELD_MAJOR_FAULTS],
		.user = fields[FIELD_USER],
		.system = fields[FIELD_SYSTEM],
		.reaped_user = fields[FIELD_REAPED_USER],
		.reaped_system = fields[FIELD_REAPED_SYSTEM],
		.start = fields[FIELD_START],
	};
	return true;
}

/* "/proc/PID/FILE"; caller frees. */
static char *path_of(pid_t pid, const char *file)
{
	return pid ? format_string("/proc/%d/%s", (int)pid, file)
		   : format_string("/proc/self/%s", file);
}

bool proc_read_stat(pid_t pid, struct proc_stat *stat)
{
	_cleanup_free_ char *path = path_of(pid, "stat");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	struct error *err = fs_read(path, STAT_BYTES, &text, &size);
	bool read = !err;

	error_destroy(err);
	return read && proc_parse_stat(text, size, stat);
}

bool proc_has_ended(pid_t pid)
{
	struct proc_stat stat;

	return !proc_read_stat(pid, &stat) || stat.state == 'Z' || stat.state == 'X';
}

/* ---- maps ---- */

struct error *proc_read_maps(pid_t pid, char **text)
{
	_cleanup_free_ char *path = path_of(pid, "maps");

	return fs_read(path, MAPS_BYTES, text, NULL);
}

/* Four letters such as "rw-s"; the last says whether writes are seen by others. */
static bool take_access(const char **at, const char *end, bool *shared)
{
	if (end - *at < 4 || !memchr("ps", (*at)[3], 2))
		return false;
	*shared = (*at)[3] == 's';
	*at += 4;
	return true;
}

static bool parse_map(const char *line, const char *end, struct proc_map *map)
{
	struct proc_map parsed = {0};
	uint64_t device_major, device_minor;
	const char *at = line;

	if (!take_number(&at, end, 16, &parsed.from) || !take_character(&at, end, '-') ||
		!take_number(&at, end, 16, &parsed.to) || parsed.to <= parsed.from ||
		!take_character(&at, end, ' ') || !take_access(&at, end, &parsed.shared) ||
		!take_character(&at, end, ' ') || !take_number(&at, end, 16, &parsed.offset) ||
		!take_character(&at, end, ' ') || !take_number(&at, end, 16, &device_major) ||
		!take_character(&at, end, ':') || !take_number(&at, end, 16, &device_minor) ||
		!take_character(&at, end, ' ') || !take_number(&at, end, 10, &parsed.inode) ||
		device_major > UINT_MAX || device_minor > UINT_MAX || (at < end && *at != ' '))
		return false;
	while (at < end && *at == ' ')
		at++;
	parsed.device_major = (unsigned int)device_major;
	parsed.device_minor = (unsigned int)device_minor;
	parsed.name = at;
	parsed.name_length = (size_t)(end - at);
	*map = parsed;
	return true;
}

bool proc_next_map(const char **text, struct proc_map *map)
{
	while (**text) {
		const char *line = *text;
		const char *end = line + strcspn(line, "\n");

		*text = end + (*end == '\n');
		if (parse_map(line, end, map))
			return true;
	}
	return false;
}

/* ---- task ---- */

static bool runs_vcpu(const char *path)
{
	_cleanup_free_ char *comm = fs_read_line(path);

	return comm && (strncmp(comm, "CPU ", 4) == 0 || strncmp(comm, "ALL CPUs/", 9) == 0);
}

double proc_vcpu_seconds(pid_t qemu)
{
	_cleanup_free_ char *tasks = path_of(qemu, "task");
	DIR *dir = opendir(tasks);
	uint64_t ticks = 0;

	if (!dir)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir));) {
		_cleanup_free_ char *comm = format_string("%s/%s/comm", tasks, entry->d_name);
		_cleanup_free_ char *path = format_string("%s/%s/stat", tasks, entry->d_name);
		_cleanup_free_ char *line = runs_vcpu(comm) ? fs_read_line(path) : NULL;
		struct proc_stat stat;

		if (line && proc_parse_stat(line, strlen(line), &stat))
			ticks += stat.user + stat.system;
	}
	closedir(dir);
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* ---- smaps_rollup ---- */

/* "Pss:      1234 kB" at the begin of a line. */
static bool find_kilobytes(const char *text, const char *name, uint64_t *bytes)
{
	size_t length = strlen(name);

	for (const char *line = text; *line;) {
		const char *end = line + strcspn(line, "\n");
		const char *at = line + length;
		uint64_t kilobytes;

		if ((size_t)(end - line) > length && memcmp(line, name, length) == 0 &&
			take_character(&at, end, ':')) {
			while (at < end && *at == ' ')
				at++;
			if (!take_number(&at, end, 10, &kilobytes) || kilobytes > UINT64_MAX >> 10)
				return false;
			*bytes = kilobytes << 10;
			return true;
		}
		line = end + (*end == '\n');
	}
	return false;
}

bool proc_parse_memory(const char *text, struct proc_memory *memory)
{
	struct proc_memory parsed = {0};

	if (!find_kilobytes(text, "Rss", &parsed.rss) || !find_kilobytes(text, "Pss", &parsed.pss))
		return false;
	find_kilobytes(text, "Pss_Anon", &parsed.pss_anonymous);
	find_kilobytes(text, "Pss_File", &parsed.pss_file);
	*memory = parsed;
	return true;
}

struct error *proc_read_memory(pid_t pid, struct proc_memory *memory)
{
	_cleanup_free_ char *path = path_of(pid, "smaps_rollup");
	_cleanup_free_ char *text = NULL;

	try_(fs_read(path, ROLLUP_BYTES, &text, NULL));
	if (!proc_parse_memory(text, memory))
		return error_new(ERROR_SETUP, "%s has no Rss and Pss", path);
	return NULL;
}

/* ---- cmdline ---- */

/* "guest=GUEST,…" or "guest=GUEST.N,…" */
static bool names_guest(const char *word, const char *guest)
{
	static const char key[] = "guest=";
	size_t length = strlen(guest);

	if (strncmp(word, key, strlen(key)) != 0 || strncmp(word + strlen(key), guest, length) != 0)
		return false;
	word += strlen(key) + length;
	return *word == ',' || *word == '.';
}

/* A process that ends meanwhile, or one of the kernel's, has no words. */
static bool is_qemu_of(const char *pid, const char *guest)
{
	_cleanup_free_ char *path = format_string("/proc/%s/cmdline", pid);
	_cleanup_free_ char *words = NULL;
	size_t size = 0;
	_cleanup_error_ struct error *gone = fs_read(path, CMDLINE_BYTES, &words, &size);

	if (gone)
		return false;
	for (size_t at = 0; at < size; at += strlen(words + at) + 1) {
		if (names_guest(words + at, guest))
			return true;
	}
	return false;
}

struct error *proc_count_qemus(const char *guest, unsigned int *count)
{
	DIR *dir = opendir("/proc");

	if (!dir)
		return error_errno(errno, "cannot look for QEMUs of guest %s", guest);
	*count = 0;
	for (struct dirent *entry; (entry = readdir(dir));)
		*count += isdigit((unsigned char)entry->d_name[0]) &&
			  is_qemu_of(entry->d_name, guest);
	closedir(dir);
	return NULL;
}
