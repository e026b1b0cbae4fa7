/* See bench_lab.h. */
#include "harness/cmd/bench_lab.h"
#include "harness/base/fs.h"
#include "harness/base/jsonline.h"
#include "harness/lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct inside {
	bench_body *body;
	void *context;
	int out_fd;
};

static int run_inside(void *context)
{
	const struct inside *inside = context;
	json_t *line = json_object(), *result = NULL;
	struct error *err = inside->body(inside->context, &result);

	if (err)
		jsonline_put_error(line, err);
	else
		json_object_set_new(line, "result", result);
	error_destroy(jsonline_send(inside->out_fd, line, "bench"));
	error_destroy(err);
	return err != NULL;
}

static struct error *receive(int fd, struct deadline deadline, json_t **result)
{
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = fd};
	_cleanup_json_ json_t *answer = NULL;

	try_(jsonline_receive(&reader, "the bench's lab", deadline, &answer));
	if (!answer)
		return error_new(ERROR_SETUP, "the bench's lab ended at once");
	try_(jsonline_error(answer, ERROR_SETUP));
	*result = json_incref(json_object_get(answer, "result"));
	return NULL;
}

struct error *bench_in_lab(const struct fleet_host *host, bench_body *body, void *context,
	struct deadline deadline, json_t **result)
{
	struct inside inside = {body, context, -1};
	struct lab_options options = {
		.name = "lab",
		.mask_kvm = strcmp(host->accelerator, "kvm") != 0,
		.body = run_inside,
		.context = &inside,
	};
	_cleanup_(lab_kill) struct lab lab = {.alive_fd = -1};
	_cleanup_close_ int in = -1;
	struct error *err;
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create a pipe");
	in = pair[0];
	inside.out_fd = pair[1];
	err = lab_open(&options, &lab);
	close(pair[1]);
	return err ? err : receive(in, deadline, result);
}
