/* Fleets whose keepers answer, hang, or are gone, as clients of the server see them. The keepers
 * are threads that speak the keeper's protocol. */
#include "harness/base/test/support.h"

#include "dashboard/server/test/http.h"
#include "harness/base/jsonline.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>

enum { MOST_CLIENTS = 64 };

struct keeper {
	char *path;
	int listener, stop[2];
	atomic_bool hangs;
	int clients[MOST_CLIENTS]; /* that wait for it while it hangs; -1: none */
	atomic_uint asked, waiting, most_waiting;
	pthread_t thread;
};

/* One that hangs takes the request, and says nothing until its client has gone. */
static void take_client(struct keeper *keeper, int fd)
{
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = fd};
	_cleanup_json_ json_t *request = NULL;
	unsigned int waiting;
	size_t i = 0;

	error_destroy(jsonline_receive(&reader, "a client", deadline_after_ms(5000), &request));
	atomic_fetch_add(&keeper->asked, 1);
	if (!request || !atomic_load(&keeper->hangs)) {
		error_destroy(jsonline_send(fd,
			json_pack("{s:s, s:[{s:s, s:b, s:i}]}", "image", "tiny", "guests", "name",
				"g0", "alive", 1, "pss_bytes", 4096),
			"a client"));
		close(fd);
		return;
	}
	while (i + 1 < MOST_CLIENTS && keeper->clients[i] >= 0)
		i++;
	keeper->clients[i] = fd;
	waiting = atomic_fetch_add(&keeper->waiting, 1) + 1;
	if (waiting > atomic_load(&keeper->most_waiting))
		atomic_store(&keeper->most_waiting, waiting);
}

static void *keep(void *context)
{
	struct keeper *keeper = context;

	for (;;) {
		struct pollfd pfds[MOST_CLIENTS + 2];

		for (size_t i = 0; i < MOST_CLIENTS; i++)
			pfds[i] = (struct pollfd){.fd = keeper->clients[i], .events = POLLRDHUP};
		pfds[MOST_CLIENTS] = (struct pollfd){.fd = keeper->listener, .events = POLLIN};
		pfds[MOST_CLIENTS + 1] = (struct pollfd){.fd = keeper->stop[0], .events = POLLIN};
		poll(pfds, ARRAY_SIZE(pfds), -1);
		if (pfds[MOST_CLIENTS + 1].revents)
			return NULL;
		/* who has gone first: of two that are there, both wait */
		for (size_t i = 0; i < MOST_CLIENTS; i++) {
			if (keeper->clients[i] < 0 || !pfds[i].revents)
				continue;
			close(keeper->clients[i]);
			keeper->clients[i] = -1;
			atomic_fetch_sub(&keeper->waiting, 1);
		}
		if (pfds[MOST_CLIENTS].revents)
			take_client(keeper, accept4(keeper->listener, NULL, NULL, SOCK_CLOEXEC));
	}
}

static char *fleets_dir(void)
{
	return geteuid() == 0 ? format_string("/run/fleetlab/fleets")
			      : scratch_path("fleetlab/fleets");
}

static void keeper_start(struct keeper *keeper, const char *name, bool hangs)
{
	_cleanup_free_ char *dir = fleets_dir();

	*keeper = (struct keeper){.path = format_string("%s/%s.sock", dir, name), .hangs = hangs};
	for (size_t i = 0; i < MOST_CLIENTS; i++)
		keeper->clients[i] = -1;
	assert_int_equal(pipe(keeper->stop), 0);
	assert_ok(unix_listen(keeper->path, &keeper->listener));
	assert_int_equal(pthread_create(&keeper->thread, NULL, keep, keeper), 0);
}

static void keeper_stop(struct keeper *keeper)
{
	unlink(keeper->path);
	assert_int_equal(write(keeper->stop[1], "", 1), 1);
	pthread_join(keeper->thread, NULL);
	for (size_t i = 0; i < MOST_CLIENTS; i++)
		cleanup_close(&keeper->clients[i]);
	close(keeper->listener);
	close(keeper->stop[0]);
	close(keeper->stop[1]);
	free(keeper->path);
}

/* The fleets of this host are none of ours. */
static int hide_fleets(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	return unshare(CLONE_NEWNS) == 0 &&
			       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			       mount("none", "/run", "tmpfs", 0, NULL) == 0
		       ? 0
		       : -1;
}

static int set_up(void **state)
{
	if (scratch_make(state) != 0)
		return -1;
	setenv("XDG_RUNTIME_DIR", scratch, 1);
	_cleanup_free_ char *dir = fleets_dir();

	assert_ok(fs_make_dirs(dir));
	start();
	return 0;
}

static int tear_down(void **state)
{
	stop();
	return scratch_remove(state);
}

#define fleets_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* The row of a fleet in the list; NULL: it is not there. The list is *fleets. */
static const json_t *row_of(const char *name, json_t **fleets)
{
	const json_t *row;
	size_t i;

	*fleets = get_json("fleets", 200);
	json_array_foreach (json_object_get(*fleets, "fleets"), i, row) {
		if (strcmp(json_text(row, "name"), name) == 0)
			return row;
	}
	return NULL;
}

static void a_keeper_is_heard(void **state)
{
	struct keeper keeper;

	(void)state;
	keeper_start(&keeper, "one", false);
	_cleanup_json_ json_t *list = NULL;
	const json_t *row = row_of("one", &list);
	_cleanup_json_ json_t *fleet = get_json("fleets/one", 200);

	assert_int_equal(json_number(row, "guests", 0), 1);
	assert_int_equal(json_number(row, "alive", 0), 1);
	assert_int_equal(json_number(row, "pss_bytes", 0), 4096);
	assert_string_equal(json_text(fleet, "image"), "tiny");
	assert_string_equal(json_text(fleet, "name"), "one");
	assert_null(json_object_get(fleet, "stale"));
	json_decref(get_json("fleets/two", 404));
	keeper_stop(&keeper);
	json_decref(get_json("fleets/one", 404));
}

static void one_that_never_answered_is_told(void **state)
{
	struct keeper hanging, good;

	(void)state;
	keeper_start(&hanging, "hanging", true);
	keeper_start(&good, "good", false);
	_cleanup_json_ json_t *list = NULL;
	const json_t *row = row_of("hanging", &list);
	_cleanup_json_ json_t *answer = get_json("fleets/hanging", 503);
	_cleanup_json_ json_t *other = get_json("fleets/good", 200);

	assert_non_null(strstr(json_text(row, "trouble"), "does not answer"));
	assert_null(json_object_get(row, "guests"));
	assert_non_null(
		strstr(json_text(json_object_get(answer, "error"), "message"), "'hanging'"));
	assert_null(json_object_get(other, "trouble"));
	keeper_stop(&hanging);
	keeper_stop(&good);
}

static void what_it_told_last_is_told_as_such(void **state)
{
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);
	struct keeper keeper;

	(void)state;
	keeper_start(&keeper, "one", false);
	json_decref(get_json("fleets/one", 200));
	atomic_store(&keeper.hangs, true);
	_cleanup_json_ json_t *fleet = get_json("fleets/one", 200);
	_cleanup_json_ json_t *list = NULL;
	const json_t *row = row_of("one", &list);

	assert_true(json_is_true(json_object_get(fleet, "stale")));
	assert_true(json_number(fleet, "age_s", -1) > 0);
	assert_non_null(strstr(json_text(fleet, "trouble"), "does not answer"));
	assert_int_equal(json_array_size(json_object_get(fleet, "guests")), 1);
	assert_true(json_is_true(json_object_get(row, "stale")));
	assert_int_equal(json_number(row, "guests", 0), 1);
	atomic_store(&keeper.hangs, false);
	for (bool stale = true; stale;) {
		_cleanup_json_ json_t *now = get_json("fleets/one", 200);

		stale = json_object_get(now, "stale") != NULL;
		assert_false(deadline_passed(deadline));
	}
	keeper_stop(&keeper);
}

/* However many ask: the other workers are there for everybody else. */
static void one_worker_at_most_waits_for_keepers(void **state)
{
	enum { CLIENTS = 16 };
	struct keeper keeper;
	int clients[CLIENTS];

	(void)state;
	keeper_start(&keeper, "one", true);
	for (int i = 0; i < CLIENTS; i++) {
		_cleanup_free_ char *request =
			format_string("GET /api/v1/fleets%s HTTP/1.1\r\nHost: "
				      "localhost:%u\r\nConnection: close\r\n\r\n",
				i % 2 ? "/one" : "", port);

		clients[i] = connect_to_it();
		send_text(clients[i], request);
	}
	json_decref(get_json("papers", 200)); /* needs no index */
	for (int i = 0; i < CLIENTS; i++) {
		_cleanup_free_ char *reply = read_all(clients[i]);

		assert_non_null(strstr(reply, "HTTP/1.1 "));
		close(clients[i]);
	}
	assert_int_equal(atomic_load(&keeper.most_waiting), 1);
	assert_true(atomic_load(&keeper.asked) < CLIENTS);
	keeper_stop(&keeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fleets_test(a_keeper_is_heard),
		fleets_test(one_that_never_answered_is_told),
		fleets_test(what_it_told_last_is_told_as_such),
		fleets_test(one_worker_at_most_waits_for_keepers),
	};

	return cmocka_run_group_tests(tests, hide_fleets, NULL);
}
