/*
 * What trials of one run share: the accelerator, opened images and booted templates. They belong to
 * the run's parent process; templates are memfds, so nothing of them outlives it.
 */
#pragma once

#include "harness/fleet/fleet.h"

struct resources;

/* `accelerator`: "kvm" or "tcg"; copied. */
struct resources *resources_create(const char *accelerator);
void resources_destroy(struct resources *resources);
DEFINE_CLEANUP(resources, struct resources *, resources_destroy)

const char *resources_accelerator(const struct resources *resources);

/* The fingerprint of the run's second machine; NULL: it has none. They keep a reference. */
void resources_set_peer(struct resources *resources, json_t *host);
const json_t *resources_peer(const struct resources *resources);

/* Opens (builds, if need be) the image, or returns the one opened before; borrowed. */
struct error *resources_image(struct resources *resources, const struct image_request *request,
	const struct image **image);

/* The images opened so far as [{"name", "hash", …}]; owned by the caller. */
json_t *resources_images_json(const struct resources *resources);

/* The template for this fleet's clones of `memory_bytes`; `made` tells that it is new and still
 * empty: boot it with fleet_make_template() and set its argv, or forget it. */
struct error *resources_template(struct resources *resources, const struct fleet_spec *spec,
	uint64_t memory_bytes, struct template **template, bool *made);
void resources_template_forget(struct resources *resources, struct template *template);

/* Forgets all templates: the next fleets of clones have newly booted ones. */
void resources_forget_templates(struct resources *resources);
