/* Reading a journal that another process writes: see journal.h. Must never hold a lock on it. */
#include "harness/engine/journal.h"

#include "harness/base/jsontext.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define CHUNK ((size_t)64 << 10)

struct journal_reader {
	int fd;
	off_t at;      /* of the file: what is in the buffer ends here */
	size_t number; /* of the line to come */
	char *buffer;
	size_t begin, used, room; /* what follows the last line that was handed out */
	size_t searched;	  /* bytes of it that are known to hold no end of a line */
	size_t bytes, memory;	  /* of the last line */
	struct stat now, seen;	  /* the file at this look, and when its end was last reached */
	bool broken;
};

struct journal_reader *journal_reader_create(int fd)
{
	struct journal_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		abort();
	reader->fd = fd;
	reader->number = 1;
	return reader;
}

void journal_reader_destroy(struct journal_reader *reader)
{
	if (!reader)
		return;
	close(reader->fd);
	free(reader->buffer);
	free(reader);
}

static struct error *broken(struct journal_reader *reader, const char *why)
{
	reader->broken = true;
	return error_new(ERROR_SETUP, "line %zu of the journal %s", reader->number, why);
}

static struct error *too_much(struct journal_reader *reader, const char *what, size_t most)
{
	reader->broken = true;
	return error_new(ERROR_USAGE, "line %zu of the journal takes more than %zu MiB%s",
		reader->number, most >> 20, what);
}

static void move_to_front(struct journal_reader *reader, size_t room)
{
	char *moved;

	reader->used -= reader->begin;
	if (reader->begin > 0)
		memmove(reader->buffer, reader->buffer + reader->begin, reader->used);
	reader->begin = 0;
	if (room == reader->room)
		return;
	moved = realloc(reader->buffer, room);
	if (!moved)
		abort();
	reader->buffer = moved;
	reader->room = room;
}

/* What was handed out makes room for what comes. */
static void make_room(struct journal_reader *reader)
{
	if (reader->room - reader->used >= CHUNK)
		return;
	move_to_front(reader, reader->room);
	if (reader->room - reader->used < CHUNK)
		move_to_front(reader, 2 * reader->room + CHUNK);
}

/* The room that a long line took is given back. */
static void drop_room(struct journal_reader *reader)
{
	if (reader->room > 4 * CHUNK && reader->used - reader->begin < CHUNK)
		move_to_front(reader, 2 * CHUNK);
}

/* Reads on; *more is false at the end of what there is. */
static struct error *fill(struct journal_reader *reader, bool *more)
{
	ssize_t n;

	if (reader->used - reader->begin >= JOURNAL_LINE_BYTES)
		return too_much(reader, "", JOURNAL_LINE_BYTES);
	make_room(reader);
	do {
		n = pread(reader->fd, reader->buffer + reader->used, CHUNK, reader->at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(errno, "cannot read the journal");
	reader->used += (size_t)n;
	reader->at += n;
	*more = n > 0;
	return NULL;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Half a line may be taken back by who wrote it: it is read again, once the file has changed. */
static struct error *drop_half(struct journal_reader *reader)
{
	reader->at -= (off_t)(reader->used - reader->begin);
	free(reader->buffer);
	reader->buffer = NULL;
	reader->begin = reader->used = reader->room = reader->searched = 0;
	reader->seen = reader->now;
	return NULL;
}

/* Looks at the file before it is read; *changed is false when it is as it was at its end. */
static struct error *look(struct journal_reader *reader, bool *changed)
{
	if (fstat(reader->fd, &reader->now) < 0)
		return error_errno(errno, "cannot look at the journal");
	if (reader->now.st_size > (off_t)JOURNAL_FOLLOWED_BYTES) {
		reader->broken = true;
		return error_new(ERROR_USAGE,
			"the journal is too large to be followed: %lld MiB, "
			"and %zu are the most",
			(long long)reader->now.st_size >> 20, JOURNAL_FOLLOWED_BYTES >> 20);
	}
	*changed = !same_file(&reader->now, &reader->seen);
	return NULL;
}

static struct error *parse(struct journal_reader *reader, size_t size, json_t **line)
{
	const char *text = reader->buffer + reader->begin;

	reader->bytes = size;
	reader->memory = jsontext_memory(text, size);
	if (reader->memory > JOURNAL_LINE_MEMORY)
		return too_much(reader, " of memory", JOURNAL_LINE_MEMORY);
	*line = json_loadb(text, size, 0, NULL);
	if (json_is_object(*line))
		return NULL;
	json_decref(*line);
	*line = NULL;
	return broken(reader, "is damaged");
}

struct error *journal_reader_next(struct journal_reader *reader, json_t **line)
{
	bool more = true;
	char *end = NULL;

	*line = NULL;
	if (reader->broken)
		return error_new(ERROR_SETUP, "the journal is damaged");
	if (reader->used == reader->begin) {
		try_(look(reader, &more));
		if (!more)
			return NULL;
	}
	while (!end) {
		char *from = reader->buffer + reader->begin + reader->searched;

		if (reader->used > reader->begin + reader->searched)
			end = memchr(from, '\n', reader->used - reader->begin - reader->searched);
		reader->searched = reader->used - reader->begin;
		if (!end) {
			try_(fill(reader, &more));
			if (!more)
				return drop_half(reader);
		}
	}
	size_t size = (size_t)(end - reader->buffer) - reader->begin;

	try_(parse(reader, size, line));
	reader->number++;
	reader->begin += size + 1;
	reader->searched = 0;
	drop_room(reader);
	return NULL;
}

size_t journal_reader_bytes(const struct journal_reader *reader)
{
	return reader->bytes;
}

size_t journal_reader_memory(const struct journal_reader *reader)
{
	return reader->memory;
}

/* A lock that is free is taken and given back at once: who would begin to write tries again. */
bool journal_is_written(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK;
	flock(fd, LOCK_UN);
	return false;
}
