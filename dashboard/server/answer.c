/* Answers to clients: see answer.h. */
#include "dashboard/server/answer.h"

#include "harness/base/fs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

/* Less than this is one packet either way. */
#define LEAST_COMPRESSED 1024

struct answer {
	atomic_uint references;
	unsigned int status;
	const char *type; /* static */
	enum answer_keep keep;
	char etag[40]; /* with its quotes; "" for none */
	const void *data;
	char *owned; /* data, when it is to be freed */
	size_t size;
	struct MHD_Response *plain_response;
	pthread_mutex_t pack_lock; /* held while it is being packed */
	atomic_bool tried;	   /* to pack it; what follows stays as it is from then on */
	char *packed;
	size_t packed_size;
	struct MHD_Response *packed_response;
	pthread_mutex_t lock; /* of what follows */
	struct MHD_Response *unchanged_response;
};

void answer_secure(struct MHD_Response *response)
{
	static const char *const headers[][2] = {
		{"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src "
					    "'self'; img-src 'self' data:; "
					    "font-src 'self'; connect-src 'self'; manifest-src "
					    "'self'; form-action 'self'; "
					    "base-uri 'none'; frame-ancestors 'none'"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
		{"Referrer-Policy", "no-referrer"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		MHD_add_response_header(response, headers[i][0], headers[i][1]);
}

static bool is_text(const char *type)
{
	return strncmp(type, "text/", 5) == 0 || strstr(type, "json") ||
	       strstr(type, "javascript") || strstr(type, "svg");
}

/* Takes the response over, and hands it on with what its headers say of it. */
static struct MHD_Response *with_headers(
	const struct answer *answer, struct MHD_Response *response, bool packed)
{
	static const char *const keeps[] = {
		[ANSWER_REVALIDATE] = "no-cache",
		[ANSWER_FOREVER] = "public, max-age=31536000, immutable",
		[ANSWER_NEVER] = "no-store",
	};

	if (!response)
		abort();
	answer_secure(response);
	MHD_add_response_header(response, "Cache-Control", keeps[answer->keep]);
	MHD_add_response_header(response, "Vary", "Accept-Encoding");
	MHD_add_response_header(response, "Content-Type", answer->type);
	if (*answer->etag)
		MHD_add_response_header(response, "ETag", answer->etag);
	if (packed)
		MHD_add_response_header(response, "Content-Encoding", "gzip");
	return response;
}

static struct MHD_Response *make_response(
	const struct answer *answer, const void *data, size_t size, bool packed)
{
	return with_headers(answer,
		MHD_create_response_from_buffer(size, (void *)data, MHD_RESPMEM_PERSISTENT),
		packed);
}

static struct answer *make_bare(unsigned int status, const char *type, enum answer_keep keep)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer)
		abort();
	answer->references = 1;
	answer->status = status;
	answer->type = type;
	answer->keep = keep;
	pthread_mutex_init(&answer->lock, NULL);
	pthread_mutex_init(&answer->pack_lock, NULL);
	return answer;
}

/* The tag of what these bytes are, or stand for. */
static void set_tag(struct answer *answer, const void *bytes, size_t size)
{
	char hex[33];

	if (answer->keep == ANSWER_NEVER)
		return;
	fs_hash_bytes(bytes, size, hex);
	/* weak: the same content, compressed or not */
	snprintf(answer->etag, sizeof(answer->etag), "W/\"%.32s\"", hex);
}

static struct answer *make(unsigned int status, const char *type, const void *data, char *owned,
	size_t size, enum answer_keep keep)
{
	struct answer *answer = make_bare(status, type, keep);

	answer->data = data;
	answer->owned = owned;
	answer->size = size;
	set_tag(answer, data, size);
	answer->plain_response = make_response(answer, data, size, false);
	return answer;
}

struct answer *answer_file(
	const char *type, int fd, const struct stat *status, enum answer_keep keep)
{
	struct answer *answer = make_bare(MHD_HTTP_OK, type, keep);
	char stamp[128];

	snprintf(stamp, sizeof(stamp), "%llu %lld %lld.%09ld", (unsigned long long)status->st_ino,
		(long long)status->st_size, (long long)status->st_mtim.tv_sec,
		status->st_mtim.tv_nsec);
	set_tag(answer, stamp, strlen(stamp));
	answer->plain_response = with_headers(
		answer, MHD_create_response_from_fd64((uint64_t)status->st_size, fd), false);
	return answer;
}

struct answer *answer_new(
	unsigned int status, const char *type, char *data, size_t size, enum answer_keep keep)
{
	return make(status, type, data, data, size, keep);
}

struct answer *answer_static(const char *type, const void *data, size_t size, enum answer_keep keep)
{
	return make(MHD_HTTP_OK, type, data, NULL, size, keep);
}

struct answer *answer_json(json_t *value, enum answer_keep keep)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15));

	json_decref(value);
	if (!text)
		return answer_error(MHD_HTTP_INTERNAL_SERVER_ERROR,
			"the answer cannot be written as JSON", NULL);
	return answer_new(MHD_HTTP_OK, "application/json; charset=utf-8", text, strlen(text), keep);
}

struct answer *answer_error(unsigned int status, const char *message, const char *remedy)
{
	_cleanup_json_ json_t *error = json_pack("{s:{s:i, s:s, s:s*}}", "error", "status",
		(int)status, "message", message, "remedy", remedy);
	char *text = error ? json_dumps(error, JSON_COMPACT) : NULL;

	if (!text)
		text = format_string("{\"error\":{\"status\":%u,\"message\":\"\"}}", status);
	return answer_new(
		status, "application/json; charset=utf-8", text, strlen(text), ANSWER_NEVER);
}

void answer_header(struct answer *answer, const char *name, const char *value)
{
	MHD_add_response_header(answer->plain_response, name, value);
}

struct answer *answer_ref(struct answer *answer)
{
	atomic_fetch_add(&answer->references, 1);
	return answer;
}

/* Clients that are still being sent to keep the response, and it points to our bytes: so its
 * end is not ours to see, and each client holds a reference until its request has ended. */
void answer_unref(struct answer *answer)
{
	if (!answer || atomic_fetch_sub(&answer->references, 1) != 1)
		return;
	if (answer->plain_response)
		MHD_destroy_response(answer->plain_response);
	if (answer->packed_response)
		MHD_destroy_response(answer->packed_response);
	if (answer->unchanged_response)
		MHD_destroy_response(answer->unchanged_response);
	pthread_mutex_destroy(&answer->lock);
	pthread_mutex_destroy(&answer->pack_lock);
	free(answer->packed);
	free(answer->owned);
	free(answer);
}

bool answer_is_ok(const struct answer *answer)
{
	return answer->status == MHD_HTTP_OK;
}

const char *answer_content(const struct answer *answer, size_t *size)
{
	*size = answer->size;
	return answer->data;
}

size_t answer_size(const struct answer *answer)
{
	size_t packed = atomic_load(&answer->tried) ? answer->packed_size : 0;

	return sizeof(*answer) + (answer->owned ? answer->size : 0) + packed + 2048;
}

char *gzip_bytes(const void *data, size_t size, size_t *out_size)
{
	z_stream stream = {0};
	size_t room;
	char *out;

	if (size > UINT32_MAX ||
		deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	room = deflateBound(&stream, size);
	out = malloc(room);
	if (!out)
		abort();
	stream.next_in = (Bytef *)data;
	stream.avail_in = (uInt)size;
	stream.next_out = (Bytef *)out;
	stream.avail_out = (uInt)room;
	int code = deflate(&stream, Z_FINISH);

	*out_size = stream.total_out;
	deflateEnd(&stream);
	if (code != Z_STREAM_END || *out_size >= size) {
		free(out);
		return NULL;
	}
	char *smaller = realloc(out, *out_size);

	return smaller ? smaller : out;
}

static bool is_packable(const struct answer *answer)
{
	return answer->size >= LEAST_COMPRESSED && is_text(answer->type);
}

void answer_pack(struct answer *answer)
{
	if (!is_packable(answer))
		return;
	pthread_mutex_lock(&answer->pack_lock);
	if (!answer->tried) {
		answer->packed = gzip_bytes(answer->data, answer->size, &answer->packed_size);
		if (answer->packed)
			answer->packed_response =
				make_response(answer, answer->packed, answer->packed_size, true);
		atomic_store(&answer->tried, true);
	}
	pthread_mutex_unlock(&answer->pack_lock);
}

static struct MHD_Response *unchanged_response(struct answer *answer)
{
	pthread_mutex_lock(&answer->lock);
	if (!answer->unchanged_response)
		answer->unchanged_response = make_response(answer, "", 0, false);
	pthread_mutex_unlock(&answer->lock);
	return answer->unchanged_response;
}

bool etag_matches(const char *list, const char *etag)
{
	const char *wanted = strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
	size_t length = strlen(wanted);

	while (*list) {
		list += strspn(list, " \t,");
		if (*list == '*')
			return true;
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		if (strncmp(list, wanted, length) == 0 && strchr(" \t,", list[length]))
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

bool accepts_gzip(const char *header)
{
	while (*header) {
		size_t length = strcspn(header, ",");
		size_t skip = strspn(header, " \t");
		const char *name = header + skip;
		size_t word = strcspn(name, " \t;,");

		if ((word == 4 && strncasecmp(name, "gzip", 4) == 0) ||
			(word == 1 && *name == '*')) {
			const char *q = memmem(name, length - skip, "q=", 2);

			return !q || strtod(q + 2, NULL) > 0;
		}
		header += length;
		header += *header == ',';
	}
	return false;
}

struct answer_wishes answer_wishes(struct MHD_Connection *connection)
{
	return (struct answer_wishes){
		.tags = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-None-Match"),
		.encodings =
			MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept-Encoding"),
	};
}

static bool is_unchanged(const struct answer *answer, const struct answer_wishes *wishes)
{
	return wishes->tags && *answer->etag && etag_matches(wishes->tags, answer->etag);
}

static bool takes_packed(const struct answer_wishes *wishes)
{
	return wishes->encodings && accepts_gzip(wishes->encodings);
}

bool answer_is_ready(const struct answer *answer, const struct answer_wishes *wishes)
{
	return atomic_load(&answer->tried) || !is_packable(answer) || !takes_packed(wishes) ||
	       is_unchanged(answer, wishes);
}

enum MHD_Result answer_send(struct answer *answer, struct MHD_Connection *connection)
{
	const struct answer_wishes wishes = answer_wishes(connection);
	bool is_packed = atomic_load(&answer->tried) && answer->packed_response;

	if (is_unchanged(answer, &wishes))
		return MHD_queue_response(
			connection, MHD_HTTP_NOT_MODIFIED, unchanged_response(answer));
	return MHD_queue_response(connection, answer->status,
		is_packed && takes_packed(&wishes) ? answer->packed_response
						   : answer->plain_response);
}
