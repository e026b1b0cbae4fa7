/* What a stack is asked to receive when a guest of a fleet is moved to it: see fleet_move.h. */
#include "harness/fleet/fleet_move.h"
#include "harness/base/fs.h"
#include "harness/fleet/clone.h"
#include "harness/fleet/fleet_internal.h"

/* The guest's RAM in its next seat: the same file, or new memory of the same kind. */
static struct error *plan_ram(const struct fleet *fleet, const struct guest *guest,
	enum move_method method, const char *seat, struct guest_spec *spec, char **new_file)
{
	if (!move_copies(method))
		return NULL;
	/* A file elsewhere could not be removed from here. */
	if (fleet->remote)
		spec->ram = RAM_PRIVATE;
	else if (guest->ram == RAM_SHARED) {
		*new_file = ram_file_path(fleet->spec.ram_backing, seat);
		spec->ram_path = *new_file;
	}
	/* A clone that shares the template's pages cannot have others written over them. */
	if (guest->ram == RAM_COPY)
		spec->ram = RAM_PRIVATE;
	return NULL;
}

static json_t *receive_request(
	const struct fleet *fleet, const struct guest *guest, const struct guest_spec *spec)
{
	_cleanup_free_ char *xml = NULL;
	unsigned int number;

	if (fleet->spec.start == FLEET_TEMPLATE)
		return json_pack("{s:o}", "argv",
			clone_fill(guest_template(fleet, guest, &number)->argv, spec));
	xml = guest_xml(spec);
	return json_pack("{s:s}", "xml", xml);
}

/* One of the two seats of the way: its directory, request and address. */
static struct error *plan_seat(const struct fleet *fleet, const struct guest *guest,
	unsigned int seat, enum move_method method, char **name, char **ram_path, json_t **request)
{
	struct guest_spec spec = guest_spec_of(fleet, guest);
	_cleanup_free_ char *dir = guest_dir(guest->name, seat);

	*name = guest_seat(guest->name, seat);
	spec.seat = seat;
	spec.incoming = true;
	try_(fs_make_dirs(dir));
	try_(plan_ram(fleet, guest, method, *name, &spec, ram_path));
	*request = receive_request(fleet, guest, &spec);
	return NULL;
}

/* The way back is hardly ever gone: it has one plain address, for both ends. */
static struct error *plan_ways(struct fleet *fleet, const struct guest *guest,
	unsigned int to_stack, struct fleet_item *item)
{
	_cleanup_free_ char *dir = guest_dir(guest->name, item->seat);
	_cleanup_free_ char *back_dir = guest_dir(guest->name, item->back_seat);

	if (fleet->remote) {
		try_(fleet->remote->provide(
			fleet, guest, item->back_seat, guest->stack, &item->back_uri, NULL));
		try_(fleet->remote->provide(
			fleet, guest, item->seat, to_stack, &item->uri, &item->send_uri));
		return fleet->remote->reach(fleet, guest, item->seat, to_stack);
	}
	item->uri = format_string("unix:%s/migration.sock", dir);
	item->send_uri = format_string("%s", item->uri);
	item->back_uri = format_string("unix:%s/migration.sock", back_dir);
	return NULL;
}

struct error *fleet_item_init(struct fleet *fleet, unsigned int number, unsigned int to_stack,
	enum move_method method, struct fleet_item *item)
{
	struct guest *guest = &fleet->guests[number];

	/* Neighbouring seats have different taps: the target's beside the source's, and the one of
	 * the way back beside the target's. */
	item->seat = guest->next_seat + (guest->next_seat % 2 == guest->seat_number % 2);
	item->back_seat = item->seat + 1;
	guest->next_seat = item->seat + 2;
	try_(plan_seat(
		fleet, guest, item->seat, method, &item->name, &item->ram_path, &item->receive));
	try_(plan_seat(fleet, guest, item->back_seat, method, &item->back_name,
		&item->back_ram_path, &item->receive_back));
	try_(plan_ways(fleet, guest, to_stack, item));
	item->item = (struct move_item){
		.guest = guest->name,
		.source_socket = fleet_stack_socket(fleet, guest->stack),
		.target_socket = fleet_stack_socket(fleet, to_stack),
		.source_name = guest->seat,
		.target_name = item->name,
		.receive = item->receive,
		.target_uri = item->uri,
		.source_uri = item->send_uri,
		.receive_back = item->back_uri ? item->receive_back : NULL,
		.back_name = item->back_name,
		.back_uri = item->back_uri,
	};
	return NULL;
}

void fleet_item_deinit(struct fleet_item *item)
{
	free(item->ram_path);
	free(item->back_ram_path);
	free(item->name);
	free(item->back_name);
	free(item->uri);
	free(item->send_uri);
	free(item->back_uri);
	free(item->route);
	json_decref(item->receive);
	json_decref(item->receive_back);
}
