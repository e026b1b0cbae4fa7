/* Versions of installed packages: see installed.h. */
#include "harness/host/installed.h"
#include "harness/base/cleanup.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"

#include <string.h>

/* Beginnings of the names of packages that a reading may depend on. */
static const char *const matter[] = {"linux-image-", "qemu-", "libvirt0", "libvirt-daemon",
	"seabios", "ipxe-qemu", "ovmf", "intel-microcode", "amd64-microcode", "libc6", "libglib2.0",
	"libslirp", "liburing", "iperf3", "httperf", "openssh-", "libgnutls30", "zlib1g",
	"libzstd1", "busybox", "iproute2"};

static bool matters(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(matter); i++) {
		if (strncmp(name, matter[i], strlen(matter[i])) == 0)
			return true;
	}
	return false;
}

json_t *installed_parse(const char *list)
{
	_cleanup_json_ json_t *all = json_object();
	_cleanup_free_ char *copy = format_string("%s", list), *sorted = NULL;
	json_t *found = json_object(), *value;
	const char *name;
	char hash[33], *rest = copy;

	for (char *line; (line = strsep(&rest, "\n"));) {
		char *version = strchr(line, ' ');

		if (!version || version == line || !version[1])
			continue;
		*version++ = '\0';
		json_object_set_new(all, line, json_string(version));
	}
	if (json_object_size(all) == 0)
		return found;
	json_object_foreach (all, name, value) {
		if (matters(name))
			json_object_set(found, name, value);
	}
	sorted = json_dumps(all, JSON_SORT_KEYS | JSON_COMPACT);
	fs_hash_bytes(sorted ? sorted : "", sorted ? strlen(sorted) : 0, hash);
	json_object_set_new(found, "all", json_string(hash));
	return found;
}

json_t *host_installed(struct deadline deadline)
{
	static const char *const argv[] = {"dpkg-query", "-W", "-f",
		"${db:Status-Status} ${Package}:${Architecture} ${Version}\n", NULL};
	_cleanup_free_ char *output = NULL, *list = NULL;
	size_t used = 0;
	char *rest;

	if (!process_in_path(argv[0]))
		return json_object();
	struct error *err = process_check(argv, NULL, deadline, &output);

	error_destroy(err); /* not knowing is an answer too */
	if (err || !output)
		return json_object();
	list = calloc(strlen(output) + 1, 1);
	rest = output;
	for (char *line; list && (line = strsep(&rest, "\n"));) {
		size_t length;

		if (strncmp(line, "installed ", 10) != 0)
			continue;
		length = strlen(line += 10);
		memcpy(list + used, line, length);
		list[used + length] = '\n';
		used += length + 1;
	}
	return list ? installed_parse(list) : json_object();
}
