/* /proc/PID/stat, maps and smaps_rollup: lines that were captured, lines that somebody made up, and
 * our own process. */
#include "harness/base/test/support.h"
#include "harness/host/proc.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

/* A QEMU of a moved guest; Linux 6.1. */
static const char qemu_stat[] =
	"41 (qemu-system-x86) S 9 9 1 0 -1 138412416 31415 12 7 0 271 82 5 6 20 0 6 0 1234567 "
	"1618034688 27182 18446744073709551615 94409460011008 94409460030889 140726816982976 0 0 "
	"0 268444224 4096 16960 0 0 0 17 1 0 0 0 0 0 94409460046896 94409460048512 "
	"94410313830400 140726816991675 140726816991695 140726816991695 140726816993259 0\n";

static bool parse(const char *line, struct proc_stat *stat)
{
	return proc_parse_stat(line, strlen(line), stat);
}

static void a_stat_is_read(void **state)
{
	struct proc_stat stat;

	(void)state;
	assert_true(parse(qemu_stat, &stat));
	assert_int_equal(stat.pid, 41);
	assert_int_equal(stat.parent, 9);
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.minor_faults, 31415);
	assert_int_equal(stat.major_faults, 7);
	assert_int_equal(stat.user, 271);
	assert_int_equal(stat.system, 82);
	assert_int_equal(stat.reaped_user, 5);
	assert_int_equal(stat.reaped_system, 6);
	assert_int_equal(stat.start, 1234567);
}

#define FIELDS " 5 5 1 0 -1 4 10 11 12 13 14 15 16 17 20 0 1 0 22"

/* A process is called what it likes: 15 bytes of anything. */
static void a_name_may_be_anything(void **state)
{
	static const char *const names[] = {"a b", "", ")", ") R 1 1 1", "((()", "1 (x) Z 2", "(",
		"tab\there", "\xff\xfe", ") ) )"};
	struct proc_stat stat;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *line = format_string("7 (%s) D" FIELDS, names[i]);

		stat = (struct proc_stat){0};
		if (!parse(line, &stat) || stat.pid != 7 || stat.parent != 5 || stat.state != 'D' ||
			stat.user != 14 || stat.start != 22)
			fail_msg("'%s' is read wrongly", line);
	}
}

static void what_is_no_stat_is_refused(void **state)
{
	static const char *const lines[] = {"", "7", "7 ", "7 (", "7 (a", "7 (a)", "7 (a) ",
		"7 (a) S", "7 (a) S 5 5", ") 7 (a S" FIELDS, "(a) S" FIELDS, "-7 (a) S" FIELDS,
		"0 (a) S" FIELDS, " 7 (a) S" FIELDS, "+7 (a) S" FIELDS, "7(a) S" FIELDS,
		"7 a) S" FIELDS, "7 (a) 5" FIELDS, "7 (a)  S" FIELDS, "7 (a) SS" FIELDS,
		"99999999999 (a) S" FIELDS, "99999999999999999999999999999 (a) S" FIELDS,
		"7 (a) S 99999999999 5 1 0 -1 4 10 11 12 13 14 15 16 17 20 0 1 0 22",
		"7 (a) S 5 5 1 0 -1 4 10 11 12 13 99999999999999999999 15 16 17 20 0 1 0 22",
		"7 (a) S 5 5 1 0 -1 4 10 11 12 13 x 15 16 17 20 0 1 0 22",
		"7 (a) S 5  5 1 0 -1 4 10 11 12 13 14 15 16 17 20 0 1 0 22",
		"7 (a) S 5 5 1 0 --1 4 10 11 12 13 14 15 16 17 20 0 1 0 22",
		"7 (a) S 5 5 1 0 -1 4 10 11 12 13 14 15 16 17 20 0 1 0"};
	struct proc_stat stat = {.pid = 1234};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		if (parse(lines[i], &stat))
			fail_msg("'%s' is taken for a stat", lines[i]);
	}
	assert_int_equal(stat.pid, 1234);
	/* The line may be cut anywhere, and what is behind its end is not looked at. */
	for (size_t length = 0; length < strlen("41 (qemu-system-x86) S 9 9"); length++)
		assert_false(proc_parse_stat(qemu_stat, length, &stat));
}

static void processes_are_found(void **state)
{
	char name[16] = {0};
	struct proc_stat stat;
	int status;
	pid_t pid;

	(void)state;
	prctl(PR_GET_NAME, name);
	prctl(PR_SET_NAME, ") Z 1 (x\n");
	assert_true(proc_read_stat(0, &stat));
	assert_int_equal(stat.pid, getpid());
	assert_int_equal(stat.parent, getppid());
	assert_int_equal(stat.state, 'R');
	assert_true(stat.start > 0 && stat.minor_faults > 0);
	prctl(PR_SET_NAME, name);
	assert_false(proc_has_ended(getpid()));
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_true(pid > 0);
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(proc_read_stat(pid, &stat) && stat.state == 'Z');
	assert_true(proc_has_ended(pid));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(proc_read_stat(pid, &stat));
	assert_true(proc_has_ended(pid));
}

/* Of a QEMU whose RAM is a file; names with spaces and line feeds as the kernel writes them. */
static const char qemu_maps[] =
	"55d0c8a00000-55d0c8c85000 r--p 00000000 fe:00 1182  /usr/bin/qemu-system-x86_64\n"
	"7f10a0000000-7f10a8000000 rw-s 00200000 00:1c 42                         "
	"/run/lab/a b\\012c/ram\n"
	"7f10b0000000-7f10b0021000 rw-p 00000000 00:00 0 \n"
	"7f10c0000000-7f10c0001000 ---p 00000000 103:10005 18446744073709551615 /x (deleted)\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]";

static void maps_are_read(void **state)
{
	const char *at = qemu_maps;
	struct proc_map map;

	(void)state;
	assert_true(proc_next_map(&at, &map));
	assert_int_equal(map.inode, 1182);
	assert_false(map.shared);
	assert_true(proc_next_map(&at, &map));
	assert_int_equal(map.from, 0x7f10a0000000);
	assert_int_equal(map.to, 0x7f10a8000000);
	assert_true(map.shared);
	assert_int_equal(map.offset, 0x200000);
	assert_int_equal(map.device_major, 0);
	assert_int_equal(map.device_minor, 0x1c);
	assert_int_equal(map.inode, 42);
	assert_int_equal(map.name_length, strlen("/run/lab/a b\\012c/ram"));
	assert_memory_equal(map.name, "/run/lab/a b\\012c/ram", map.name_length);
	assert_true(proc_next_map(&at, &map));
	assert_int_equal(map.inode, 0);
	assert_int_equal(map.name_length, 0);
	assert_true(proc_next_map(&at, &map));
	assert_int_equal(map.device_major, 0x103);
	assert_int_equal(map.device_minor, 0x10005);
	assert_true(map.inode == UINT64_MAX);
	assert_true(proc_next_map(&at, &map));
	assert_true(map.to == 0xffffffffff601000);
	assert_false(proc_next_map(&at, &map));
	assert_int_equal(*at, '\0');
}

static void lines_that_are_no_mapping_are_passed_over(void **state)
{
	static const char *const lines[] = {"", "x", "-", "1-2", "1-2 rw-s", "2-1 rw-s 0 0:1 7 /a",
		"1-1 rw-s 0 0:1 7 /a", "-1-2 rw-s 0 0:1 7 /a", " 1-2 rw-s 0 0:1 7 /a",
		"1-2 rw-s 0 0:1", "1-2 rw-s 0 0:1 ", "1-2 rw-s 0 0:1 x", "1-2 rw-s 0 01 7 /a",
		"1-2 rw-x 0 0:1 7 /a", "1-2 rws 0 0:1 7 /a", "1-2 rw-s 0 0:1 7/a",
		"1-2 rw-s 0 0:1 99999999999999999999 /a", "11111111111111111-2 rw-s 0 0:1 7 /a",
		"1-22222222222222222 rw-s 0 0:1 7 /a", "1-2 rw-s 0 0:111111111 7 /a",
		"0x1-0x2 rw-s 0 0:1 7 /a"};
	struct proc_map map;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_free_ char *text =
			format_string("%s\n5-6 rw-s 0 0:1 9 /good\n%s", lines[i], lines[i]);
		const char *at = text;

		if (!proc_next_map(&at, &map) || map.inode != 9)
			fail_msg("'%s' is taken for a mapping", lines[i]);
		assert_int_equal(map.name_length, 5);
		assert_false(proc_next_map(&at, &map));
	}
}

static void our_own_mapping_is_found(void **state)
{
	_cleanup_free_ char *path = scratch_path("a file (with) spaces");
	_cleanup_free_ char *text = NULL;
	size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	bool found = false;
	struct proc_map map;
	struct stat file;
	char *memory;
	FILE *out;

	(void)state;
	out = fopen(path, "w+e");
	assert_non_null(out);
	assert_int_equal(ftruncate(fileno(out), (off_t)(2 * bytes)), 0);
	assert_int_equal(fstat(fileno(out), &file), 0);
	memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fileno(out), (off_t)bytes);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_ok(proc_read_maps(0, &text));
	for (const char *at = text; !found && proc_next_map(&at, &map);)
		found = map.from == (uint64_t)(uintptr_t)memory;
	assert_true(found);
	assert_true(map.shared && map.offset == bytes && map.inode == file.st_ino);
	assert_int_equal(map.device_major, major(file.st_dev));
	assert_int_equal(map.device_minor, minor(file.st_dev));
	assert_int_equal(map.name_length, strlen(path));
	assert_memory_equal(map.name, path, strlen(path));
	munmap(memory, bytes);
	fclose(out);
}

static void memory_is_read(void **state)
{
	static const char rollup[] =
		"55d0c8a00000-7ffd0f1c4000 ---p 00000000 00:00 0                          "
		"[rollup]\n"
		"Rss:              163840 kB\nPss:               40960 kB\nPss_Dirty:  1000 kB\n"
		"Pss_Anon:           9000 kB\nPss_File:            200 kB\nPss_Shmem: 31760 kB\n"
		"Locked:                0 kB\n";
	static const char *const bad[] = {"", "Rss:\nPss:\n", "Rss: 1 kB\n", "Pss: 1 kB\n",
		"Rss: -1 kB\nPss: 1 kB\n", "Rss: 1 kB\nXPss: 1 kB\n", "Rss: 1 kB\nPss 1 kB\n",
		"Rss: 18446744073709551615 kB\nPss: 1 kB\n"};
	struct proc_memory memory;

	(void)state;
	assert_true(proc_parse_memory(rollup, &memory));
	assert_int_equal(memory.rss, 163840 << 10);
	assert_int_equal(memory.pss, 40960 << 10);
	assert_int_equal(memory.pss_anonymous, 9000 << 10);
	assert_int_equal(memory.pss_file, 200 << 10);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (proc_parse_memory(bad[i], &memory))
			fail_msg("'%s' is taken for memory", bad[i]);
	}
	assert_ok(proc_read_memory(0, &memory));
	assert_true(memory.rss > 0 && memory.pss > 0 && memory.pss <= memory.rss);
}

/* Burns CPU until its own clock says that several ticks have passed, then holds still. */
struct burner {
	const char *name;
	pthread_barrier_t burnt, seen;
};

static void *burn(void *context)
{
	struct burner *burner = context;
	struct timespec used = {0};

	prctl(PR_SET_NAME, burner->name);
	while (used.tv_sec == 0 && used.tv_nsec < 100000000)
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	pthread_barrier_wait(&burner->burnt);
	pthread_barrier_wait(&burner->seen);
	return NULL;
}

static double vcpu_seconds_with(const char *name)
{
	struct burner burner = {.name = name};
	pthread_t thread;
	double seconds;

	pthread_barrier_init(&burner.burnt, NULL, 2);
	pthread_barrier_init(&burner.seen, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, burn, &burner), 0);
	pthread_barrier_wait(&burner.burnt);
	seconds = proc_vcpu_seconds(getpid());
	pthread_barrier_wait(&burner.seen);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&burner.burnt);
	pthread_barrier_destroy(&burner.seen);
	return seconds;
}

static void only_threads_of_vcpus_count(void **state)
{
	(void)state;
	assert_true(vcpu_seconds_with("CPU 0/TCG") >= 0.05);
	assert_true(vcpu_seconds_with("CPU 11/KVM") >= 0.05);
	assert_true(vcpu_seconds_with("worker") == 0);
	assert_true(proc_vcpu_seconds(0x7fffffff) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stat_is_read),
		cmocka_unit_test(a_name_may_be_anything),
		cmocka_unit_test(what_is_no_stat_is_refused),
		cmocka_unit_test(processes_are_found),
		cmocka_unit_test(maps_are_read),
		cmocka_unit_test(lines_that_are_no_mapping_are_passed_over),
		scratch_test(our_own_mapping_is_found),
		cmocka_unit_test(memory_is_read),
		cmocka_unit_test(only_threads_of_vcpus_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
