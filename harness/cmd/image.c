/* fleetlab image: build, list, show and remove what guests boot. */
#include "harness/base/clock.h"
#include "harness/base/log.h"
#include "harness/base/nearest.h"
#include "harness/cmd/command.h"
#include "harness/image/image.h"

#include <getopt.h>
#include <string.h>

static void say(void *data, const char *text)
{
	(void)data;
	log_info("%s", text);
}

struct options {
	struct image_request request;
	const char *packages[256];
	bool json, all;
	bool remove_packages;
};

static struct error *add_packages(struct options *options, char *words)
{
	char *save = NULL;

	for (char *word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (options->request.package_count == ARRAY_SIZE(options->packages))
			return error_new(ERROR_USAGE, "more than %zu packages",
				ARRAY_SIZE(options->packages));
		options->packages[options->request.package_count++] = word;
	}
	return NULL;
}

static struct error *parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {{"packages", required_argument, NULL, 'p'},
		{"from", required_argument, NULL, 'f'}, {"fresh", no_argument, NULL, 'F'},
		{"json", no_argument, NULL, 'j'}, {"all", no_argument, NULL, 'a'},
		{"with-packages", no_argument, NULL, 'w'},
		{"timeout", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	int option;

	options->request.packages = options->packages;
	options->request.message = say;
	while ((option = getopt_long(argc, argv, "p:a", longs, NULL)) != -1) {
		switch (option) {
		case 'p':
			try_(add_packages(options, optarg));
			break;
		case 'f':
			options->request.from = optarg;
			break;
		case 'F':
			options->request.fresh = true;
			break;
		case 'j':
			options->json = true;
			break;
		case 'a':
			options->all = true;
			break;
		case 'w':
			options->remove_packages = true;
			break;
		case 't':
			if (!duration_parse_ms(optarg, &options->request.timeout_ms) ||
				options->request.timeout_ms <= 0)
				return error_hint(
					error_new(ERROR_USAGE, "'%s' is no duration", optarg),
					"write it like 90s, 20m or 2h");
			break;
		default:
			return command_bad_option(argc, argv);
		}
	}
	return NULL;
}

static void format_bytes(uint64_t bytes, char *out, size_t size)
{
	if (bytes >= 10ULL << 30)
		snprintf(out, size, "%.0f GiB", (double)bytes / (double)(1ULL << 30));
	else if (bytes >= 1ULL << 20)
		snprintf(out, size, "%.0f MiB", (double)bytes / (double)(1ULL << 20));
	else
		snprintf(out, size, "%.1f KiB", (double)bytes / 1024);
}

static void format_age(time_t built, char *out, size_t size)
{
	double seconds = difftime(time(NULL), built);

	if (seconds < 120)
		snprintf(out, size, "%.0f s", seconds < 0 ? 0 : seconds);
	else if (seconds < 7200)
		snprintf(out, size, "%.0f min", seconds / 60);
	else if (seconds < 2 * 86400)
		snprintf(out, size, "%.0f h", seconds / 3600);
	else
		snprintf(out, size, "%.0f days", seconds / 86400);
}

static struct error *print_json(json_t *json)
{
	if (json_dumpf(json, stdout, JSON_INDENT(2) | JSON_SORT_KEYS) < 0)
		return error_new(ERROR_SETUP, "cannot write the result to standard output");
	putchar('\n');
	return NULL;
}

static struct error *run_build(int argc, char **argv, struct options *options)
{
	_cleanup_image_ struct image *image = NULL;
	int64_t start = clock_now_ns();
	char duration[32];

	if (argc - optind > 1)
		return error_hint(error_new(ERROR_USAGE, "one image at a time"),
			"add packages by --packages %s", argv[optind + 1]);
	if (optind < argc)
		options->request.kind = argv[optind];
	if (!options->request.kind && !options->request.from)
		return error_hint(
			error_new(ERROR_USAGE, "which image?"), "fleetlab image build tiny");
	try_(image_open(&options->request, &image));
	if (options->json)
		return print_json(image->manifest);
	duration_format(clock_seconds(start, clock_now_ns()), duration, sizeof(duration));
	printf("%s %s, ready in %s\n", image->name, image->hash, duration);
	return NULL;
}

static struct error *list_json(const struct image_list *list, bool all)
{
	_cleanup_json_ json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++) {
		const struct image_summary *item = &list->items[i];
		char built[24];

		if (item->layer && !all)
			continue;
		clock_format_utc(item->built, false, built, sizeof(built));
		json_array_append_new(
			array, json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:s, s:I}", "name",
				       item->name, "kind", item->kind, "hash", item->hash,
				       "directory", item->directory, "layer", (int)item->layer,
				       "bytes", (json_int_t)item->size_bytes, "built", built,
				       "packages", (json_int_t)item->package_count));
	}
	return print_json(array);
}

static struct error *run_list(int argc, char **argv, struct options *options)
{
	_cleanup_(image_list_deinit) struct image_list list = {0};
	size_t shown = 0;

	if (optind < argc)
		return error_hint(error_new(ERROR_USAGE, "list takes no name"),
			"fleetlab image show %s", argv[optind]);
	try_(image_list(&list));
	if (options->json)
		return list_json(&list, options->all);
	for (size_t i = 0; i < list.count; i++) {
		const struct image_summary *item = &list.items[i];
		char size[24], age[24];

		if (item->layer && !options->all)
			continue;
		if (shown++ == 0)
			printf("%-28s %-12s %9s %9s %9s  %s\n", "NAME", "KIND", "SIZE", "AGE",
				"PACKAGES", "HASH");
		format_bytes(item->size_bytes, size, sizeof(size));
		format_age(item->built, age, sizeof(age));
		printf("%-28s %-12s %9s %9s %9zu  %.12s\n", item->name, item->kind, size, age,
			item->package_count, item->hash);
	}
	if (shown == 0)
		log_info("there are no images yet: fleetlab image build tiny");
	return NULL;
}

static struct error *find_image(
	const struct image_list *list, const char *wanted, const struct image_summary **found)
{
	_cleanup_free_ const char **names = calloc(list->count + 1, sizeof(char *));

	for (size_t i = 0; names && i < list->count; i++) {
		const struct image_summary *item = &list->items[i];

		names[i] = item->name;
		if (strcmp(item->name, wanted) == 0 ||
			(strlen(wanted) >= 4 && strncmp(item->hash, wanted, strlen(wanted)) == 0)) {
			*found = item;
			return NULL;
		}
	}
	const char *near = names ? nearest_name(wanted, names, list->count) : NULL;
	struct error *err = error_new(ERROR_USAGE, "there is no image '%s'", wanted);

	return near ? error_hint(err, "fleetlab image show %s", near)
		    : error_hint(err, "fleetlab image list --all");
}

static void print_image(const struct image_summary *image)
{
	char built[24], size[24];
	const char *name;
	json_t *item;
	size_t i;

	clock_format_utc(image->built, false, built, sizeof(built));
	printf("name       %s\nkind       %s\nhash       %s\nbuilt      %s\ndirectory  %s\n",
		image->name, image->kind, image->hash, built, image->directory);
	static const char *const members[] = {
		"kernel_version", "command_line", "disk", "disk_format"};

	for (i = 0; i < ARRAY_SIZE(members); i++) {
		const char *text = json_string_value(json_object_get(image->manifest, members[i]));

		if (text)
			printf("%-10s %s\n",
				i == 0	 ? "kernel"
				: i == 1 ? "arguments"
					 : members[i],
				text);
	}
	puts("\nfiles");
	json_object_foreach (json_object_get(image->manifest, "files"), name, item) {
		format_bytes((uint64_t)json_integer_value(json_object_get(item, "bytes")), size,
			sizeof(size));
		printf("  %-14s %10s  %s\n", name, size,
			json_string_value(json_object_get(item, "hash")));
	}
	puts("\npackages");
	json_array_foreach (json_object_get(image->manifest, "packages"), i, item) {
		printf("  %s %s %s\n", json_string_value(json_object_get(item, "name")),
			json_string_value(json_object_get(item, "version")),
			json_string_value(json_object_get(item, "architecture")));
	}
}

static struct error *run_show(int argc, char **argv, struct options *options)
{
	_cleanup_(image_list_deinit) struct image_list list = {0};
	const struct image_summary *image = NULL;

	if (argc - optind != 1)
		return error_hint(
			error_new(ERROR_USAGE, "show which image?"), "fleetlab image list");
	try_(image_list(&list));
	try_(find_image(&list, argv[optind], &image));
	if (options->json)
		return print_json(image->manifest);
	print_image(image);
	return NULL;
}

static struct error *run_remove(int argc, char **argv, struct options *options)
{
	size_t removed = 0, total = 0;

	if (options->remove_packages && !options->all)
		return error_hint(error_new(ERROR_USAGE, "--with-packages goes with --all"),
			"fleetlab image rm --all --with-packages");
	if (options->all == (optind < argc))
		return error_hint(error_new(ERROR_USAGE, "remove which images?"),
			"name them, or fleetlab image rm --all");
	if (options->all)
		try_(image_remove_all(options->remove_packages, &total));
	for (; optind < argc; optind++) {
		try_(image_remove(argv[optind], &removed));
		total += removed;
	}
	log_info("removed %zu", total);
	return NULL;
}

static struct error *run_image(int argc, char **argv, int *exit_status)
{
	static const struct {
		const char *name;
		struct error *(*run)(int argc, char **argv, struct options *options);
	} verbs[] = {
		{"build", run_build}, {"list", run_list}, {"show", run_show}, {"rm", run_remove}};
	const char *names[ARRAY_SIZE(verbs)];
	struct options options = {0};

	(void)exit_status;
	try_(parse(argc, argv, &options));
	if (optind == argc)
		return error_hint(error_new(ERROR_USAGE, "image: build, list, show or rm?"),
			"fleetlab image --help");
	const char *verb = argv[optind++];

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		names[i] = verbs[i].name;
		if (strcmp(verbs[i].name, verb) == 0)
			return verbs[i].run(argc, argv, &options);
	}
	const char *near = nearest_name(verb, names, ARRAY_SIZE(names));

	return error_hint(error_new(ERROR_USAGE, "image: '%s' is not something to do", verb),
		"fleetlab image %s", near ? near : "--help");
}

const struct command command_image = {
	.name = "image",
	.arguments = "build KIND|--from FILE | list | show NAME | rm NAME...",
	.summary = "build, list, show and remove what guests boot",
	.help = "Images are built from the distribution's packages, without installing\n"
		"anything on this host, and kept in $FLEETLAB_CACHE, $XDG_CACHE_HOME/fleetlab or\n"
		"~/.cache/fleetlab, where every use verifies their content.\n\n"
		"kinds:\n"
		"  tiny     kernel and initramfs: busybox, guest agent, fleetlab's guest program;\n"
		"           128 MiB are enough\n"
		"  hypervisor  as tiny, with KVM, QEMU, libvirt and SSH: an L1 guest; 768 MiB\n"
		"  debian   minimal Debian with systemd and guest agent on a disk\n\n"
		"build:\n"
		"  -p, --packages A,B  add Debian packages (tiny: their files and the libraries\n"
		"                      they need; debian: as apt installs them)\n"
		"  --from FILE         your own qcow2 (used where it is, boots by its own boot\n"
		"                      loader) or root tarball (becomes a disk with our kernel)\n"
		"  --fresh             build anew with the newest packages\n"
		"  --timeout DURATION  give up after this long (default 30m)\n"
		"  --json              print the manifest\n\n"
		"list and show:\n"
		"  --all               also the layers that images are made of (list)\n"
		"  --json              machine-readable\n\n"
		"rm NAME|HASH...      with them goes what --fresh has replaced\n"
		"  --all               everything (--with-packages: the downloads, too)\n\n"
		"examples:\n"
		"  fleetlab image build tiny\n"
		"  fleetlab image build tiny --packages iperf3\n"
		"  fleetlab image build debian -p apache2,ndctl\n"
		"  fleetlab image build --from ~/disk.qcow2\n"
		"  fleetlab image list --json\n"
		"  fleetlab image show tiny\n",
	.run = run_image,
};
