/* The same work on many items in a few threads: see parallel.h. */
#include "harness/base/parallel.h"

#include <pthread.h>
#include <stdbool.h>

struct work {
	pthread_mutex_t lock;
	size_t next, count;
	struct error *err;
	parallel_body *body;
	void *context;
};

static bool take_item(struct work *work, size_t *item)
{
	bool taken;

	pthread_mutex_lock(&work->lock);
	taken = !work->err && work->next < work->count;
	if (taken)
		*item = work->next++;
	pthread_mutex_unlock(&work->lock);
	return taken;
}

static void *run(void *context)
{
	struct work *work = context;
	size_t item;

	while (take_item(work, &item)) {
		struct error *err = work->body(item, work->context);

		pthread_mutex_lock(&work->lock);
		if (!work->err)
			work->err = err;
		else
			error_destroy(err);
		pthread_mutex_unlock(&work->lock);
	}
	return NULL;
}

struct error *parallel_for(size_t count, size_t threads, parallel_body *body, void *context)
{
	struct work work = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.count = count,
		.body = body,
		.context = context,
	};
	pthread_t ids[64];
	size_t started = 0;

	if (threads > ARRAY_SIZE(ids))
		threads = ARRAY_SIZE(ids);
	while (started + 1 < threads && started + 1 < count &&
		pthread_create(&ids[started], NULL, run, &work) == 0)
		started++;
	run(&work);
	while (started > 0)
		pthread_join(ids[--started], NULL);
	return work.err;
}
