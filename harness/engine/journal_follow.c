/* Reading a journal that another process writes: see journal.h. Must never hold a lock on it. */
#include "harness/engine/journal.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>

/* A plan of 100000 trials is below a half of it. */
#define LONGEST_LINE ((size_t)64 << 20)
#define CHUNK ((size_t)64 << 10)

struct journal_reader {
	int fd;
	off_t at;      /* of the file: what is in the buffer ends here */
	size_t number; /* of the line to come */
	char *buffer;  /* what follows the last line that was handed out */
	size_t used, room;
	size_t searched; /* bytes of it that are known to hold no end of a line */
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

/* Reads on; *more is false at the end of what there is. */
static struct error *fill(struct journal_reader *reader, bool *more)
{
	ssize_t n;

	if (reader->used >= LONGEST_LINE)
		return broken(reader, "is too long");
	if (reader->room - reader->used < CHUNK) {
		size_t room = reader->room * 2 + CHUNK;
		char *larger = realloc(reader->buffer, room);

		if (!larger)
			abort();
		reader->buffer = larger;
		reader->room = room;
	}
	do {
		n = pread(reader->fd, reader->buffer + reader->used, reader->room - reader->used,
			reader->at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(errno, "cannot read the journal");
	reader->used += (size_t)n;
	reader->at += n;
	*more = n > 0;
	return NULL;
}

/* Half a line may be taken back by who wrote it: it is read again. */
static struct error *drop_half(struct journal_reader *reader)
{
	reader->at -= (off_t)reader->used;
	reader->used = 0;
	reader->searched = 0;
	return NULL;
}

struct error *journal_reader_next(struct journal_reader *reader, json_t **line)
{
	bool more = true;
	char *end = NULL;

	*line = NULL;
	if (reader->broken)
		return error_new(ERROR_SETUP, "the journal is damaged");
	while (!end) {
		if (reader->used > reader->searched)
			end = memchr(reader->buffer + reader->searched, '\n',
				reader->used - reader->searched);
		reader->searched = reader->used;
		if (!end) {
			try_(fill(reader, &more));
			if (!more)
				return drop_half(reader);
		}
	}
	*line = json_loadb(reader->buffer, (size_t)(end - reader->buffer), 0, NULL);
	if (!json_is_object(*line)) {
		json_decref(*line);
		*line = NULL;
		return broken(reader, "is damaged");
	}
	reader->number++;
	reader->used -= (size_t)(end + 1 - reader->buffer);
	memmove(reader->buffer, end + 1, reader->used);
	reader->searched = 0;
	return NULL;
}

/* A lock that is free is taken and given back at once: who would begin to write tries again. */
bool journal_is_written(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK;
	flock(fd, LOCK_UN);
	return false;
}
