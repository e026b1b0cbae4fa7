/* What trials of one run share: see resources.h. */
#include "harness/engine/resources.h"
#include "harness/base/fs.h"
#include "harness/fleet/guest_spec.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

struct kept_image {
	struct kept_image *next;
	char *key;
	struct image *image;
};

struct kept_template {
	struct template template; /* first: resources_template_forget() gets its address */
	struct kept_template *next;
	char *key;
};

struct resources {
	char *accelerator;
	json_t *peer;
	struct kept_image *images;
	struct kept_template *templates;
};

struct resources *resources_create(const char *accelerator)
{
	struct resources *resources = calloc(1, sizeof(*resources));

	if (!resources)
		abort();
	resources->accelerator = format_string("%s", accelerator);
	return resources;
}

static void kept_template_destroy(struct kept_template *kept)
{
	cleanup_close(&kept->template.ram_fd);
	cleanup_close(&kept->template.state_fd);
	cleanup_close(&kept->template.kept_fd);
	json_decref(kept->template.argv);
	free(kept->key);
	free(kept);
}

void resources_destroy(struct resources *resources)
{
	if (!resources)
		return;
	while (resources->images) {
		struct kept_image *kept = resources->images;

		resources->images = kept->next;
		image_destroy(kept->image);
		free(kept->key);
		free(kept);
	}
	resources_forget_templates(resources);
	free(resources->accelerator);
	json_decref(resources->peer);
	free(resources);
}

const char *resources_accelerator(const struct resources *resources)
{
	return resources->accelerator;
}

void resources_set_peer(struct resources *resources, json_t *host)
{
	json_decref(resources->peer);
	resources->peer = json_incref(host);
}

const json_t *resources_peer(const struct resources *resources)
{
	return resources->peer;
}

static char *image_key(const struct image_request *request)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	fprintf(out, "%s|%s", request->kind, request->from ? request->from : "");
	for (size_t i = 0; i < request->package_count; i++)
		fprintf(out, "|%s", request->packages[i]);
	fclose(out);
	return text;
}

struct error *resources_image(struct resources *resources, const struct image_request *request,
	const struct image **image)
{
	_cleanup_free_ char *key = image_key(request);
	struct kept_image *kept = resources->images;
	struct image *opened;

	while (kept && strcmp(kept->key, key) != 0)
		kept = kept->next;
	if (!kept) {
		try_(image_open(request, &opened));
		kept = calloc(1, sizeof(*kept));
		if (!kept)
			abort();
		*kept = (struct kept_image){
			.next = resources->images,
			.key = take_ptr(key),
			.image = opened,
		};
		resources->images = kept;
	}
	*image = kept->image;
	return NULL;
}

json_t *resources_images_json(const struct resources *resources)
{
	json_t *images = json_array();

	for (struct kept_image *kept = resources->images; kept; kept = kept->next)
		json_array_append_new(images, json_pack("{s:s, s:s}", "name", kept->image->name,
						      "hash", kept->image->hash));
	return images;
}

/* All that makes one machine differ from another. */
static char *template_key(const struct fleet_spec *spec, uint64_t memory_bytes)
{
	_cleanup_free_ char *image = image_key(&spec->image);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	fprintf(out, "%s|%llu|%u|%llu|%s%s", image, (unsigned long long)memory_bytes, spec->vcpus,
		(unsigned long long)spec->disk_bytes, spec->kernel_args ? spec->kernel_args : "",
		fleet_is_movable(spec) ? "|movable" : "");
	for (size_t i = 0; i < spec->nic_count; i++)
		fprintf(out, "|nic %s %s", spec->nics[i].link, spec->nics[i].model);
	for (size_t i = 0; spec->qemu_args && spec->qemu_args[i]; i++)
		fprintf(out, "|%s", spec->qemu_args[i]);
	if (spec->extra && spec->extra->image) {
		_cleanup_free_ char *inner = image_key(spec->extra->image);

		fprintf(out, "|in %s %s", inner, spec->extra->key);
	}
	fclose(out);
	return text;
}

static struct error *memory_file(const char *name, uint64_t size, int *fd)
{
	_cleanup_close_ int file = memfd_create(name, MFD_CLOEXEC);

	if (file < 0 || ftruncate(file, (off_t)size) < 0)
		return error_errno(errno, "cannot create a memory file of %llu MiB for a template",
			(unsigned long long)size >> 20);
	*fd = take_fd(&file);
	return NULL;
}

struct error *resources_template(struct resources *resources, const struct fleet_spec *spec,
	uint64_t memory_bytes, struct template **template, bool *made)
{
	_cleanup_free_ char *key = template_key(spec, memory_bytes);
	_cleanup_close_ int ram = -1;
	_cleanup_close_ int state = -1;
	_cleanup_close_ int own = -1;
	struct kept_template *kept = resources->templates;

	while (kept && strcmp(kept->key, key) != 0)
		kept = kept->next;
	*made = !kept;
	if (!kept) {
		try_(memory_file("fleetlab-ram", memory_bytes + GUEST_RAM_TAIL_BYTES, &ram));
		try_(memory_file("fleetlab-state", 0, &state));
		if (spec->extra && spec->extra->kept_bytes)
			try_(memory_file("fleetlab-kept", spec->extra->kept_bytes, &own));
		kept = calloc(1, sizeof(*kept));
		if (!kept)
			abort();
		kept->template.memory_bytes = memory_bytes;
		kept->template.ram_fd = take_fd(&ram);
		kept->template.state_fd = take_fd(&state);
		kept->template.kept_fd = take_fd(&own);
		kept->key = take_ptr(key);
		kept->next = resources->templates;
		resources->templates = kept;
	}
	*template = &kept->template;
	return NULL;
}

void resources_forget_templates(struct resources *resources)
{
	while (resources->templates) {
		struct kept_template *kept = resources->templates;

		resources->templates = kept->next;
		kept_template_destroy(kept);
	}
}

void resources_template_forget(struct resources *resources, struct template *template)
{
	struct kept_template **link = &resources->templates;

	while (*link && &(*link)->template != template)
		link = &(*link)->next;
	if (*link) {
		struct kept_template *kept = *link;

		*link = kept->next;
		kept_template_destroy(kept);
	}
}
