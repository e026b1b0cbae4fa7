/* Asking all keepers at once: see fleet_ask.h. Must never wait for one alone. */
#include "harness/cmd/fleet_ask.h"

#include "harness/base/fs.h"
#include "harness/cmd/fleet_control.h"

#include <glib.h>
#include <poll.h>

/* For a keeper that is not accepting, and for the rest of an answer that has begun to come. */
#define CONNECT_MS 50
#define REST_MS 10

struct asked {
	char *name;
	struct jsonline connection;
	bool done;
};

struct round {
	struct deadline deadline;
	fleet_told *told;
	void *context;
	GArray *asked;
	guint left;
};

static void tell(struct round *round, const char *name, json_t *status, struct error *why)
{
	round->told(name, status, why, round->context);
	json_decref(status);
	error_destroy(why);
}

static struct error *begin(const char *path, struct deadline deadline, struct jsonline *connection)
{
	_cleanup_close_ int fd = -1;

	if (deadline_passed(deadline))
		return error_new(ERROR_TIMEOUT, "deadline passed before the fleet was asked");
	try_(unix_connect_within(path, CONNECT_MS, &fd));
	try_(jsonline_send(fd, json_pack("{s:s}", "op", "status"), "the fleet"));
	*connection = (struct jsonline){.fd = take_fd(&fd)};
	return NULL;
}

static void ask(const char *path, const char *name, void *context)
{
	struct round *round = context;
	struct asked asked = {0};
	struct error *err = begin(path, round->deadline, &asked.connection);

	if (err && error_kind(err) != ERROR_TIMEOUT) { /* it has ended */
		error_destroy(err);
	} else if (err) {
		tell(round, name, NULL, err);
	} else {
		asked.name = format_string("%s", name);
		g_array_append_val(round->asked, asked);
		round->left++;
	}
}

static void end(struct round *round, struct asked *asked, json_t *status, struct error *why)
{
	asked->done = true;
	round->left--;
	tell(round, asked->name, status, why);
}

static void hear(struct round *round, struct asked *asked)
{
	json_t *answer = NULL;
	struct error *err = jsonline_receive(
		&asked->connection, "the fleet", deadline_after_ms(REST_MS), &answer);

	if (err && error_kind(err) == ERROR_TIMEOUT) { /* only a part of it was there */
		error_destroy(err);
		return;
	}
	if (!err && answer)
		err = jsonline_error(answer, ERROR_GUEST);
	else if (!err)
		err = error_new(ERROR_GUEST, "the fleet has ended");
	if (err) {
		json_decref(answer);
		answer = NULL;
	}
	end(round, asked, answer, err);
}

/* Hears whoever has something to say; false when the time is over. */
static bool hear_some(struct round *round)
{
	_cleanup_free_ struct pollfd *pfds = calloc(round->asked->len, sizeof(*pfds));

	if (!pfds)
		abort();
	if (deadline_passed(round->deadline))
		return false;
	for (guint i = 0; i < round->asked->len; i++) {
		const struct asked *asked = &g_array_index(round->asked, struct asked, i);

		pfds[i] = (struct pollfd){
			.fd = asked->done ? -1 : asked->connection.fd, .events = POLLIN};
	}
	poll(pfds, round->asked->len, deadline_left_ms(round->deadline));
	for (guint i = 0; i < round->asked->len; i++) {
		if (pfds[i].revents)
			hear(round, &g_array_index(round->asked, struct asked, i));
	}
	return true;
}

void fleet_ask_all(struct deadline deadline, fleet_told *told, void *context)
{
	struct round round = {.deadline = deadline,
		.told = told,
		.context = context,
		.asked = g_array_new(FALSE, TRUE, sizeof(struct asked))};

	fleet_control_each_socket(ask, &round);
	while (round.left > 0 && hear_some(&round))
		;
	for (guint i = 0; i < round.asked->len; i++) {
		struct asked *asked = &g_array_index(round.asked, struct asked, i);

		if (!asked->done)
			end(&round, asked, NULL,
				error_new(ERROR_TIMEOUT, "its keeper does not answer"));
		close(asked->connection.fd);
		jsonline_deinit(&asked->connection);
		free(asked->name);
	}
	g_array_free(round.asked, TRUE);
}
