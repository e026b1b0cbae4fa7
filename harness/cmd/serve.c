/* fleetlab serve: the dashboard. */
#include "dashboard/server/server.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/cmd/command.h"
#include "harness/engine/interrupt.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#define DEFAULT_ADDRESS "127.0.0.1"
#define DEFAULT_PORT 8080

/* A PEM file or a token is below it by far. */
#define SECRET_BYTES ((size_t)1 << 20)
enum { TOKEN_LEAST = 16 };

struct words {
	const char *results, *listen, *token, *token_file, *cert, *key;
};

static struct error *parse(int argc, char **argv, struct words *words)
{
	static const struct option options[] = {
		{"results", required_argument, NULL, 'r'},
		{"listen", required_argument, NULL, 'l'},
		{"token", required_argument, NULL, 't'},
		{"token-file", required_argument, NULL, 'f'},
		{"cert", required_argument, NULL, 'c'},
		{"key", required_argument, NULL, 'k'},
		{0},
	};
	const char **const places[] = {['r'] = &words->results,
		['l'] = &words->listen,
		['t'] = &words->token,
		['f'] = &words->token_file,
		['c'] = &words->cert,
		['k'] = &words->key};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return command_bad_option(argc, argv);
		*places[option] = optarg;
		if (option == 'r')
			try_(command_check_results(optarg));
	}
	return optind == argc ? NULL
			      : error_hint(error_new(ERROR_USAGE, "serve takes no argument '%s'",
						   argv[optind]),
					"fleetlab serve --help");
}

static struct error *bad_listen(const char *text)
{
	return error_hint(error_new(ERROR_USAGE, "--listen '%s' is no address and port", text),
		"--listen 127.0.0.1:8080, [::1]:8080, or a port alone: 8080");
}

/* "127.0.0.1:8080", "[::1]:8080", ":8080" or "8080"; *address is owned by the caller. */
static struct error *parse_listen(const char *text, char **address, unsigned int *port)
{
	const char *colon = strrchr(text, ':');
	const char *number = colon ? colon + 1 : text;
	size_t length = colon ? (size_t)(colon - text) : 0;
	unsigned long value;
	char *end;

	if (text[0] == '[' && length > 2 && text[length - 1] == ']') {
		text++;
		length -= 2;
	} else if (memchr(text, ':', length)) {
		return bad_listen(text);
	}
	if (*number < '0' || *number > '9')
		return bad_listen(text);
	value = strtoul(number, &end, 10);
	if (*end || value > 65535)
		return bad_listen(text);
	*port = (unsigned int)value;
	*address = length ? format_string("%.*s", (int)length, text)
			  : format_string("%s", DEFAULT_ADDRESS);
	return NULL;
}

static struct error *read_text(const char *path, const char *what, char **text)
{
	struct error *err = fs_read(path, SECRET_BYTES, text, NULL);

	return err ? error_prefix(err, "%s", what) : NULL;
}

static struct error *read_token(const struct words *words, char **token)
{
	if (words->token && words->token_file)
		return error_hint(error_new(ERROR_USAGE, "two tokens are given"),
			"either --token or --token-file");
	if (words->token)
		*token = format_string("%s", words->token);
	else if (words->token_file)
		try_(read_text(words->token_file, "--token-file", token));
	else
		return NULL;
	(*token)[strcspn(*token, "\r\n")] = '\0';
	if (strlen(*token) >= TOKEN_LEAST && strspn(*token, " ") == 0)
		return NULL;
	return error_hint(
		error_new(ERROR_USAGE, "the token is shorter than %d characters", TOKEN_LEAST),
		"openssl rand -hex 32 >token; chmod 600 token; --token-file token");
}

static void wait_for_signal(void)
{
	struct pollfd pfd = {.fd = interrupt_fd(), .events = POLLIN};

	while (!interrupted())
		poll(&pfd, 1, -1);
}

static struct error *serve(const struct server_options *options)
{
	_cleanup_server_ struct server *server = NULL;

	interrupt_catch();
	signal(SIGPIPE, SIG_IGN);
	try_(server_create(options, &server));
	printf("%s\n", server_url(server));
	if (fflush(stdout) != 0)
		return error_new(ERROR_SETUP, "cannot tell the address on standard output");
	log_info("dashboard of %s; end it with ^C", options->results_dir);
	wait_for_signal();
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_free_ char *fallback = fs_results_dir();
	struct words words = {.results = fallback};
	_cleanup_free_ char *address = NULL;
	_cleanup_free_ char *token = NULL;
	_cleanup_free_ char *cert = NULL;
	_cleanup_free_ char *key = NULL;
	struct server_options options = {.port = DEFAULT_PORT};

	try_(parse(argc, argv, &words));
	if (words.listen)
		try_(parse_listen(words.listen, &address, &options.port));
	try_(read_token(&words, &token));
	if (words.cert)
		try_(read_text(words.cert, "--cert", &cert));
	if (words.key)
		try_(read_text(words.key, "--key", &key));
	options.results_dir = words.results;
	options.address = address ? address : DEFAULT_ADDRESS;
	options.token = token;
	options.cert = cert;
	options.key = key;
	try_(serve(&options));
	*exit_status = interrupted_by() == SIGINT ? 130 : 0;
	return NULL;
}

const struct command command_serve = {
	.name = "serve",
	.arguments = "[--results DIR] [--listen ADDRESS:PORT] [options]",
	.summary = "the dashboard: results as pages, and runs in progress, live",
	.help = "Prints its address when it is ready, and serves until it is ended. It only\n"
		"reads, and keeps the index of the records up to date. docs/api.md tells what\n"
		"is below /api/v1.\n"
		"\n"
		"options:\n"
		"  --results DIR        where the records are\n"
		"  --listen ADDR:PORT   127.0.0.1:8080; port 0 is any that is free. An address\n"
		"                       that other hosts reach wants a token\n"
		"  --token-file FILE    its first line is wanted of every client\n"
		"  --token TOKEN        the same; other users of this host can see it\n"
		"  --cert FILE          TLS, with the certificate (PEM)\n"
		"  --key FILE           and its key\n"
		"\n"
		"examples:\n"
		"  fleetlab serve\n"
		"  fleetlab serve --listen 0.0.0.0:8443 --token-file FILE --cert PEM --key PEM\n",
	.run = run,
};
