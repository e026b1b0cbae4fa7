/* Debian packages into a tiny root: a package's own files, and of what it depends on only the
 * shared objects that its programs need. Must never look for a library on the host. */
#include "harness/base/fs.h"
#include "harness/image/builders.h"
#include "harness/image/elf.h"
#include "harness/image/packages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct copier {
	struct tree sysroot;	 /* all packages unpacked over each other */
	const struct tree *tree; /* what the guest gets */
	const char *const *unwanted;
	json_t *done; /* libraries that are there */
};

static void copier_deinit(struct copier *copier)
{
	tree_close(&copier->sysroot);
	json_decref(copier->done);
}

static struct error *put_needs(struct copier *copier, int fd, const char *name);

/* Opens a shared object where the dynamic linker would look; `place` is its path, owned by the
 * caller. -1 when it is in none of the packages. */
static int find_library(const struct copier *copier, const char *name, char **place)
{
	static const char *const directories[] = {"lib/x86_64-linux-gnu",
		"usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib"};

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		_cleanup_free_ char *path = format_string("%s/%s", directories[i], name);
		int fd = tree_open_file(&copier->sysroot, path, O_RDONLY);

		if (fd >= 0) {
			*place = take_ptr(path);
			return fd;
		}
	}
	return -1;
}

static struct error *put_library(struct copier *copier, const char *name, const char *user)
{
	_cleanup_free_ char *place = NULL;
	_cleanup_close_ int fd = -1;

	if (json_object_get(copier->done, name))
		return NULL;
	json_object_set_new(copier->done, name, json_true());
	fd = find_library(copier, name, &place);
	if (fd < 0)
		return error_hint(
			error_new(ERROR_SETUP, "%s needs %s, which is in no package it depends on",
				user, name),
			"programs with libraries of their own want an image with a real root: "
			"debian");
	try_(tree_put_fd(copier->tree, place, fd, 0755));
	return put_needs(copier, fd, name);
}

/* The dynamic linker is wanted at the path that the program names (/lib64/…). */
static struct error *put_interpreter(struct copier *copier, const char *path, const char *user)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	_cleanup_free_ char *place = NULL;
	_cleanup_close_ int fd = -1;

	try_(put_library(copier, name, user));
	if (path[0] != '/' || tree_has(copier->tree, path))
		return NULL;
	fd = find_library(copier, name, &place);
	_cleanup_free_ char *target = format_string("/%s", place);

	return tree_put_link(copier->tree, path + 1, target);
}

static struct error *put_needs(struct copier *copier, int fd, const char *name)
{
	_cleanup_(elf_needs_deinit) struct elf_needs needs = {0};

	try_(elf_read_needs(fd, name, &needs));
	if (needs.interpreter)
		try_(put_interpreter(copier, needs.interpreter, name));
	for (size_t i = 0; i < needs.count; i++)
		try_(put_library(copier, needs.libraries[i], name));
	return NULL;
}

static bool is_documentation(const char *name)
{
	static const char *const prefixes[] = {"usr/share/doc", "usr/share/man", "usr/share/info",
		"usr/share/locale", "usr/share/lintian", "usr/share/bash-completion", "lib/systemd",
		"usr/lib/systemd", "lib/udev", "etc/init.d"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t length = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], length) == 0 &&
			(name[length] == '/' || name[length] == '\0'))
			return true;
	}
	return false;
}

static bool is_unwanted(const struct copier *copier, const char *name)
{
	for (size_t i = 0; copier->unwanted && copier->unwanted[i]; i++) {
		if (strncmp(name, copier->unwanted[i], strlen(copier->unwanted[i])) == 0)
			return true;
	}
	return false;
}

static struct error *put_item(void *data, const char *path, const char *name, mode_t mode)
{
	struct copier *copier = data;
	_cleanup_close_ int fd = -1;
	char target[4096];

	if (is_documentation(name) || is_unwanted(copier, name))
		return NULL;
	if (S_ISDIR(mode))
		return tree_mkdir(copier->tree, name, mode & 07777);
	if (S_ISLNK(mode)) {
		ssize_t n = readlink(path, target, sizeof(target) - 1);

		if (n < 0)
			return error_errno(errno, "cannot read link %s", path);
		target[n] = '\0';
		return tree_put_link(copier->tree, name, target);
	}
	if (!S_ISREG(mode))
		return NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "cannot open %s", path);
	try_(tree_put_fd(copier->tree, name, fd, mode & 07777));
	return put_needs(copier, fd, name);
}

static bool is_requested(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

struct error *put_packages(struct cache *cache, const char *work, const char *const *names,
	size_t count, const char *const *unwanted, json_t *manifest, const struct tree *tree)
{
	_cleanup_(package_list_deinit) struct package_list list = {0};
	_cleanup_(copier_deinit) struct copier copier = {
		.tree = tree, .unwanted = unwanted, .done = json_object()};
	_cleanup_free_ char *sysroot = format_string("%s/sysroot", work);

	try_(packages_fetch(cache, work, names, count, PACKAGES_CLOSURE, &list));
	for (size_t i = 0; i < list.count; i++)
		try_(package_unpack(&list.items[i], sysroot, cache->deadline));
	try_(tree_open(&copier.sysroot, sysroot));
	for (size_t i = 0; i < list.count; i++) {
		_cleanup_free_ char *own = format_string("%s/own-%zu", work, i);

		if (!is_requested(list.items[i].name, names, count))
			continue;
		try_(package_unpack(&list.items[i], own, cache->deadline));
		try_(tree_walk(own, put_item, &copier));
	}
	/* libc loads it by itself when a thread is cancelled. */
	if (json_object_get(copier.done, "libc.so.6"))
		try_(put_library(&copier, "libgcc_s.so.1", "libc.so.6"));
	packages_record(manifest, &list);
	return NULL;
}
