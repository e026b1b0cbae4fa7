/* Programs in the guests that are moved: what fills their memory, answers clients and writes to
 * their disks. What a guest prints is hostile: it is parsed with bounds and types are checked. */
#include "mechanisms/zerocopy/zerocopy.h"
#include "harness/base/fs.h"
#include "harness/base/parallel.h"

#define PROGRAM "/sbin/fleetlab-guest"
enum { DISK_MIB = 8, DISK_BLOCKS_A_SECOND = 50, BOOT_ID_BYTES = 64, GUEST_PAGE_BYTES = 4096 };

/* What kernel, initramfs and agent of a tiny guest take, with room to breathe: a guest that is
 * filled beyond that loses programs, or the agent its pages. */
enum { GUEST_OWN_MIB = 96 };

static const char *name_of(struct trial *trial, unsigned int guest)
{
	return fleet_guest_name(zerocopy_guests(trial), guest);
}

struct error *guest_run(struct trial *trial, unsigned int guest, const char *const argv[],
	struct deadline deadline, json_t **result)
{
	_cleanup_(exec_result_deinit) struct exec_result ended = {0};
	_cleanup_json_ json_t *parsed = NULL;

	try_(agent_exec(
		fleet_agent(zerocopy_guests(trial), guest), argv, NULL, 0, deadline, &ended));
	if (ended.exit_status != 0)
		return error_new(ERROR_GUEST, "%s %s in guest %s: status %d: %.300s", argv[0],
			argv[1] ? argv[1] : "", name_of(trial, guest), ended.exit_status,
			ended.errors);
	parsed = json_loadb(ended.output, ended.output_size, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(parsed))
		return error_new(ERROR_GUEST, "%s %s in guest %s did not print a JSON object",
			argv[0], argv[1] ? argv[1] : "", name_of(trial, guest));
	*result = take_ptr(parsed);
	return NULL;
}

/* A share of the memory that a guest has beyond its own needs, in MiB; at least 1. */
static unsigned long long share_mib(uint64_t memory_bytes, int64_t percent)
{
	uint64_t mib = memory_bytes >> 20;
	uint64_t usable = mib > GUEST_OWN_MIB ? mib - GUEST_OWN_MIB : 0;
	uint64_t share = usable * (uint64_t)percent / 100;

	return share > 0 ? share : 1;
}

void fill_words(
	const struct trial *trial, unsigned int guest, uint64_t memory_bytes, struct words *words)
{
	words_add(words, "fill");
	words_add(
		words, "--mib=%llu", share_mib(memory_bytes, trial_integer(trial, "fill_percent")));
	words_add(words, "--seed=%u", guest);
}

void echo_words(const struct trial *trial, struct words *words)
{
	words_add(words, "echo");
	words_add(words, "--interval-us=%lld", 1000 * (long long)trial_integer(trial, "client_ms"));
}

void dirty_words(
	const struct trial *trial, int64_t rate, uint64_t memory_bytes, struct words *words)
{
	words_add(words, "dirty");
	words_add(words, "--mib=%llu",
		share_mib(memory_bytes, trial_integer(trial, "dirty_percent")));
	words_add(words, "--rate=%lld", (long long)rate);
	words_add(words, "--window-ms=%d", ZEROCOPY_WINDOW_MS);
	words_add(words, "--seconds=3600");
}

struct error *guest_start(struct trial *trial, unsigned int guest, const struct words *command,
	struct guest_program *program)
{
	_cleanup_free_ char *path = format_string("/tmp/%s.json", command->words[0]);
	_cleanup_(words_deinit) struct words words = {0};
	_cleanup_json_ json_t *ready = NULL;
	json_int_t pid;

	words_add(&words, PROGRAM);
	for (size_t i = 0; i < command->count; i++)
		words_add(&words, "%s", command->words[i]);
	words_add(&words, "--daemon");
	words_add(&words, "--output=%s", path);
	try_(guest_run(trial, guest, words_argv(&words), trial_deadline(trial), &ready));
	pid = json_integer_value(json_object_get(ready, "pid"));
	if (pid <= 0 || pid > INT32_MAX)
		return error_new(ERROR_GUEST, "%s in guest %s did not say which process it is",
			command->words[0], name_of(trial, guest));
	program->pid = pid;
	free(program->output);
	program->output = take_ptr(path);
	return NULL;
}

struct error *guest_collect(
	struct trial *trial, unsigned int guest, struct guest_program *program, json_t **result)
{
	_cleanup_free_ char *pid = format_string("--pid=%lld", (long long)program->pid);
	_cleanup_free_ char *output = format_string("--output=%s", program->output);
	const char *const argv[] = {PROGRAM, "collect", pid, output, NULL};

	program->pid = 0;
	return guest_run(trial, guest, argv, trial_deadline(trial), result);
}

struct error *guest_boot_id(struct trial *trial, unsigned int guest, char **id)
{
	size_t size;

	try_(agent_file_read(fleet_agent(zerocopy_guests(trial), guest),
		"/proc/sys/kernel/random/boot_id", BOOT_ID_BYTES, trial_deadline(trial), id,
		&size));
	(*id)[strcspn(*id, "\n")] = '\0';
	return NULL;
}

/* ---- from setup to evidence ---- */

static struct error *start_writer(
	struct trial *trial, unsigned int guest, struct guest_program *program)
{
	_cleanup_(words_deinit) struct words words = {0};

	words_add(&words, "disk-write");
	words_add(&words, "--mib=%d", DISK_MIB);
	words_add(&words, "--rate=%d", DISK_BLOCKS_A_SECOND);
	words_add(&words, "--seconds=86400");
	return guest_start(trial, guest, &words, program);
}

static struct error *prepare_one(size_t item, void *context)
{
	struct trial *trial = context;
	struct zerocopy *state = trial_state(trial);
	unsigned int guest = (unsigned int)item;
	struct zerocopy_guest *own = &state->guests[guest];
	_cleanup_(words_deinit) struct words fill = {0};
	_cleanup_(words_deinit) struct words echo = {0};

	try_(guest_boot_id(trial, guest, &own->boot_id));
	fill_words(trial, guest, fleet_guest_memory(zerocopy_guests(trial), guest), &fill);
	if (trial_integer(trial, "fill_percent") > 0)
		try_(guest_start(trial, guest, &fill, &own->fill));
	if (zerocopy_topology(trial)->has_disks)
		try_(start_writer(trial, guest, &own->disk));
	echo_words(trial, &echo);
	return guest_start(trial, guest, &echo, &own->echo);
}

struct error *guests_prepare(struct trial *trial)
{
	unsigned int count = fleet_count(zerocopy_guests(trial));

	if (count > ZEROCOPY_GUESTS_MAX)
		return error_new(
			ERROR_USAGE, "at most %d guests can be moved", ZEROCOPY_GUESTS_MAX);
	return parallel_for(count, count, prepare_one, trial);
}

/* What the guests' own memory and disks look like after the last move. */
struct checked {
	struct trial *trial;
	struct guest_check {
		uint64_t pages, bad_pages;		  /* of what filled its memory */
		uint64_t written, checked, lost, damaged; /* blocks of its disk */
	} guests[ZEROCOPY_GUESTS_MAX];
};

static struct error *number(struct trial *trial, unsigned int guest, const json_t *result,
	const char *key, uint64_t *value)
{
	const json_t *field = json_object_get(result, key);

	if (!json_is_integer(field) || json_integer_value(field) < 0)
		return error_new(
			ERROR_GUEST, "guest %s did not say '%s'", name_of(trial, guest), key);
	*value = (uint64_t)json_integer_value(field);
	return NULL;
}

static struct error *check_memory(
	struct trial *trial, unsigned int guest, struct guest_check *check)
{
	struct zerocopy *state = trial_state(trial);
	_cleanup_free_ char *verify =
		format_string("--verify=%lld", (long long)state->guests[guest].fill.pid);
	const char *const argv[] = {PROGRAM, "fill", verify, NULL};
	_cleanup_json_ json_t *result = NULL;

	try_(guest_run(trial, guest, argv, trial_deadline(trial), &result));
	try_(number(trial, guest, result, "pages", &check->pages));
	return number(trial, guest, result, "bad_pages", &check->bad_pages);
}

static struct error *check_disk(struct trial *trial, unsigned int guest, struct guest_check *check)
{
	struct zerocopy *state = trial_state(trial);
	_cleanup_json_ json_t *writer = NULL;
	_cleanup_json_ json_t *checker = NULL;
	uint64_t run;

	try_(guest_collect(trial, guest, &state->guests[guest].disk, &writer));
	try_(number(trial, guest, writer, "run", &run));
	try_(number(trial, guest, writer, "acknowledged", &check->written));
	_cleanup_free_ char *mib = format_string("--mib=%d", DISK_MIB);
	_cleanup_free_ char *of_run = format_string("--run=%llu", (unsigned long long)run);
	_cleanup_free_ char *until =
		format_string("--acknowledged=%llu", (unsigned long long)check->written);
	const char *const argv[] = {PROGRAM, "disk-check", mib, of_run, until, NULL};

	if (check->written == 0)
		return NULL; /* which is told as evidence that does not hold */
	try_(guest_run(trial, guest, argv, trial_deadline(trial), &checker));
	try_(number(trial, guest, checker, "checked", &check->checked));
	try_(number(trial, guest, checker, "lost", &check->lost));
	return number(trial, guest, checker, "damaged", &check->damaged);
}

static struct error *check_one(size_t item, void *context)
{
	struct checked *checked = context;
	unsigned int guest = (unsigned int)item;

	if (trial_integer(checked->trial, "fill_percent") > 0)
		try_(check_memory(checked->trial, guest, &checked->guests[guest]));
	return zerocopy_topology(checked->trial)->has_disks
		       ? check_disk(checked->trial, guest, &checked->guests[guest])
		       : NULL;
}

struct error *guests_check(struct trial *trial)
{
	unsigned int count = fleet_count(zerocopy_guests(trial));
	struct zerocopy *state = trial_state(trial);
	struct checked checked = {.trial = trial};
	struct guest_check sum = {0};
	bool all_filled = true, all_wrote = true;

	try_(parallel_for(count, count, check_one, &checked));
	for (unsigned int i = 0; i < count; i++) {
		state->guests[i].filled_bytes = checked.guests[i].pages * GUEST_PAGE_BYTES;
		sum.pages += checked.guests[i].pages;
		sum.bad_pages += checked.guests[i].bad_pages;
		sum.checked += checked.guests[i].checked;
		sum.lost += checked.guests[i].lost;
		sum.damaged += checked.guests[i].damaged;
		all_filled = all_filled && checked.guests[i].pages > 0;
		all_wrote =
			all_wrote && checked.guests[i].written > 0 && checked.guests[i].checked > 0;
	}
	if (trial_integer(trial, "fill_percent") > 0)
		try_(trial_evidence(trial, "content", all_filled && sum.bad_pages == 0,
			(double)sum.pages, "pages",
			"after the last move the guests find %llu of the %llu pages that they had "
			"filled before the first to be something else%s",
			(unsigned long long)sum.bad_pages, (unsigned long long)sum.pages,
			all_filled ? "" : "; one of them had filled none"));
	if (!zerocopy_topology(trial)->has_disks)
		return NULL;
	return trial_evidence(trial, "disk", all_wrote && sum.lost + sum.damaged == 0,
		(double)sum.checked, "blocks",
		"of %llu blocks that the guests' disks had acknowledged through all moves, %llu "
		"are "
		"lost and %llu damaged%s",
		(unsigned long long)sum.checked, (unsigned long long)sum.lost,
		(unsigned long long)sum.damaged,
		all_wrote ? "" : "; of one disk there was none to check");
}

void guests_deinit(struct zerocopy *state)
{
	for (size_t i = 0; i < ZEROCOPY_GUESTS_MAX; i++) {
		struct zerocopy_guest *guest = &state->guests[i];

		free(guest->echo.output);
		free(guest->fill.output);
		free(guest->disk.output);
		free(guest->boot_id);
	}
	free(state->proof.broken);
}
