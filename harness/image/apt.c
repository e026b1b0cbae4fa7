/* The host's apt as a downloader: see apt.h. It is told to use nothing of the host but its sources,
 * keys and lists, and never runs as an installer. */
#include "harness/image/apt.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"

#include <errno.h>
#include <string.h>

enum { MAX_ARGUMENTS = 512 };

/* Hooks of the host's configuration must not run: some delete what others have downloaded. */
static const char configuration[] = "#clear APT::Update::Post-Invoke;\n"
				    "#clear APT::Update::Post-Invoke-Success;\n"
				    "#clear APT::Update::Pre-Invoke;\n"
				    "#clear DPkg::Post-Invoke;\n"
				    "#clear DPkg::Pre-Install-Pkgs;\n"
				    "APT::Sandbox::User \"root\";\n"
				    "APT::Keep-Downloaded-Packages \"true\";\n"
				    "Debug::NoLocking \"true\";\n"
				    "Dir::Cache::pkgcache \"\";\n"
				    "Dir::Cache::srcpkgcache \"\";\n"
				    "Acquire::Retries \"2\";\n";

struct apt {
	struct cache *cache;
	char *directory; /* where downloads go */
	char *configuration;
	char *status; /* an empty dpkg status: nothing counts as installed */
	char *lists;  /* our own package lists, or NULL for the host's */
};

static void apt_deinit(struct apt *apt)
{
	free(apt->directory);
	free(apt->configuration);
	free(apt->status);
	free(apt->lists);
}

static struct error *apt_init(struct apt *apt, struct cache *cache, const char *directory)
{
	_cleanup_free_ char *partial = format_string("%s/partial", directory);

	*apt = (struct apt){
		.cache = cache,
		.directory = format_string("%s", directory),
		.configuration = format_string("%s/apt.conf", directory),
		.status = format_string("%s/status", directory),
	};
	try_(fs_make_dirs(partial));
	try_(fs_write_atomic(apt->configuration, configuration, sizeof(configuration) - 1));
	return fs_write_atomic(apt->status, "", 0);
}

/* Runs `program WORDS… NAMES…` with our configuration, in the directory for downloads. */
static struct error *apt_run(const struct apt *apt, const char *program, const char *const *words,
	const char *const *names, size_t count, char **output)
{
	_cleanup_free_ char *status = format_string("Dir::State::status=%s", apt->status);
	_cleanup_free_ char *archives = format_string("Dir::Cache::archives=%s", apt->directory);
	_cleanup_free_ char *lists =
		format_string("Dir::State::lists=%s", apt->lists ? apt->lists : "");
	const char *argv[MAX_ARGUMENTS] = {"env", "-C", apt->directory, "LC_ALL=C", program, "-c",
		apt->configuration, "-o", status, "-o", archives};
	size_t used = 11;

	if (!process_in_path(program))
		return error_hint(error_new(ERROR_SETUP, "program '%s' is not installed", program),
			"images are built from Debian packages, on Debian");
	if (apt->lists) {
		argv[used++] = "-o";
		argv[used++] = lists;
	}
	while (*words)
		argv[used++] = *words++;
	if (count > MAX_ARGUMENTS - used - 1)
		return error_new(ERROR_USAGE, "%zu packages at once are too many", count);
	for (size_t i = 0; i < count; i++)
		argv[used++] = names[i];
	return process_check(argv, NULL, apt->cache->deadline, output);
}

/* The first package that a metapackage depends on. */
static struct error *resolve_metapackage(const struct apt *apt, const char *name, char **real)
{
	static const char *const words[] = {"depends", "--important", NULL};
	static const char label[] = "Depends: ";
	_cleanup_free_ char *output = NULL;

	try_(apt_run(apt, "apt-cache", words, &name, 1, &output));
	char *found = strstr(output, label);

	if (!found)
		return error_new(ERROR_SETUP, "package %s depends on nothing", name);
	found += sizeof(label) - 1;
	*real = format_string("%.*s", (int)strcspn(found, " \n"), found);
	return package_name_check(*real);
}

static struct error *download_once(
	const struct apt *apt, const char *const *names, size_t count, enum package_scope scope)
{
	static const char *const only[] = {"download", "-qq", NULL};
	static const char *const closure[] = {
		"install", "-qq", "--yes", "--download-only", "--no-install-recommends", NULL};
	_cleanup_free_ char *real = NULL;

	if (scope == PACKAGES_CLOSURE)
		return apt_run(apt, "apt-get", closure, names, count, NULL);
	if (scope == PACKAGES_ONLY)
		return apt_run(apt, "apt-get", only, names, count, NULL);
	try_(resolve_metapackage(apt, names[0], &real));
	return apt_run(apt, "apt-get", only, (const char *const[]){real}, 1, NULL);
}

/* Fetches package lists of our own, as the host's are not for us to change. */
static struct error *update_lists(struct apt *apt)
{
	static const char *const words[] = {"update", "-qq", NULL};
	_cleanup_free_ char *lists = format_string("%s/lists", apt->cache->packages);
	_cleanup_free_ char *partial = format_string("%s/partial", lists);

	cache_say(apt->cache, "fetching package lists");
	try_(fs_make_dirs(partial));
	apt->lists = take_ptr(lists);
	return apt_run(apt, "apt-get", words, NULL, 0, NULL);
}

struct error *apt_download(struct cache *cache, const char *directory, const char *const *names,
	size_t count, enum package_scope scope)
{
	_cleanup_(apt_deinit) struct apt apt = {0};
	struct error *err;

	try_(apt_init(&apt, cache, directory));
	if (cache->fresh)
		try_(update_lists(&apt));
	err = download_once(&apt, names, count, scope);
	if (!err || apt.lists || error_kind(err) != ERROR_SETUP || deadline_passed(cache->deadline))
		return err;
	/* Typically the host's lists are missing, or name files that have been superseded. */
	_cleanup_error_ struct error *refused = update_lists(&apt);

	if (!refused) {
		error_destroy(err);
		err = download_once(&apt, names, count, scope);
	}
	if (!err)
		return NULL;
	return error_hint(error_prefix(err, "cannot download %s", names[count - 1]),
		"is the name right (apt-cache policy %s), and is there a network? Only the first "
		"build of an image needs it",
		names[count - 1]);
}

struct error *apt_sources(struct cache *cache, char **sources, char **suite)
{
	/* Only Debian's own archive: other sources may need keys or transports of their own. */
	static const char *const argv[] = {"apt-get", "indextargets", "--format",
		"$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages", NULL};
	_cleanup_free_ char *output = NULL;
	_cleanup_free_ char *text = format_string("%s", "");
	_cleanup_free_ char *first = NULL;
	char *save = NULL;

	try_(process_check(argv, NULL, cache->deadline, &output));
	for (char *line = strtok_r(output, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char uri[1024], release[128], component[128];

		if (sscanf(line, "Debian %1023s %127s %127s", uri, release, component) != 3)
			continue;
		char *longer = format_string("%sdeb %s %s %s\n", text, uri, release, component);

		free(text);
		text = longer;
		if (!first)
			first = format_string("%s", release);
	}
	if (!first)
		return error_hint(
			error_new(ERROR_SETUP, "apt knows no Debian sources on this host"),
			"apt-get update, or look at /etc/apt/sources.list.d");
	*sources = take_ptr(text);
	*suite = take_ptr(first);
	return NULL;
}
