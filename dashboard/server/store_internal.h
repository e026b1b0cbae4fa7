/* What store.c and store_records.c share. */
#pragma once

#include "dashboard/server/store.h"

#include <glib.h>
#include <pthread.h>

/* What a directory was when it was last read. */
struct store_place {
	ino_t inode; /* 0: it was not there */
	struct timespec modified;
};

enum { STORE_PLACES = 3 };

struct store {
	char *results_dir;
	atomic_int root; /* of results_dir; -1: not there yet */

	/* the thread that keeps the index */
	pthread_t thread;
	bool started;
	int stop_fd;
	store_changed *changed;
	void *context;
	struct reader watcher; /* its own */
	pthread_mutex_t trouble_lock;
	char *trouble; /* why the index is not up to date; NULL: it is */
	struct store_place places[STORE_PLACES];
	uint64_t nights;		 /* nights_stamp(), when last seen */
	atomic_int_least64_t generation; /* of what is shown */
	int64_t index_generation;	 /* of the index, and which file that was, when last seen */
	atomic_int_least64_t index_shown; /* that `generation` has */
	dev_t index_device;
	ino_t index_inode;
	atomic_bool suspect; /* the index is to be looked at for damage */
	atomic_bool indexing;
	atomic_size_t done, total;

	pthread_mutex_t records_lock; /* of the list, and of all counts of holders in it */
	GQueue records;		      /* of held_record, the last used first */
	pthread_mutex_t large_lock;   /* of who reads a large one */
};

/* Drops all records; nobody may hold one. */
void store_forget_records(struct store *store);
