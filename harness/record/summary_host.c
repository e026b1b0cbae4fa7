/* Which host a record is of, and in which state it was: see summary.h. Must never take two machines
 * of one model apart by a name: records hold none. */
#include "harness/record/summary.h"

#include "harness/base/fs.h"
#include "harness/record/cut.h"
#include "harness/record/samples.h"

#include <string.h>

/* Facts are free-form: what is larger is cut, what is more is left out. */
#define MAX_FIELDS 400
#define MAX_DEPTH 4
#define MAX_VALUE 512
#define MAX_COLUMN 100 /* what a list of runs shows of a fact */

/* What a machine keeps through updates of its software and firmware. */
static const char *const of_machine[] = {"cpu", "cpu.model", "cpu.vendor", "cpu.family",
	"cpu.model_number", "cpu.stepping", "cpu.packages", "cpu.cores", "topology.numa_nodes",
	"kernel.machine", "virtualized.is", "memory.gib"};

/* Pictures and counters: they differ without the host's being different. */
static const char *const left_out[] = {"topology.xml", "topology.caches", "knobs.ksm_pages_shared"};

static bool is_one_of(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* Objects become "cpu.model"; other values stay, cut when they are long. */
static void flatten(const json_t *value, const char *name, unsigned int depth, json_t *fields)
{
	const char *key;
	json_t *member;

	if (is_one_of(left_out, ARRAY_SIZE(left_out), name) ||
		json_object_size(fields) >= MAX_FIELDS)
		return;
	if (json_is_object(value) && depth < MAX_DEPTH) {
		json_object_foreach ((json_t *)value, key, member) {
			_cleanup_free_ char *below =
				format_string("%s%s%.80s", name, *name ? "." : "", key);

			flatten(member, below, depth + 1, fields);
		}
		return;
	}
	if (json_is_object(value) || json_is_array(value)) {
		json_object_set_new(fields, name, json_string("…"));
	} else if (json_string_length(value) <= MAX_VALUE) {
		json_object_set(fields, name, (json_t *)value);
	} else {
		char hex[33];

		fs_hash_bytes(json_string_value(value), json_string_length(value), hex);
		json_object_set_new(fields, name, json_sprintf("a long text, hash %s", hex));
	}
}

/* {"hash", "fields"}: equal fields, equal hash. */
static json_t *identity(const json_t *fields)
{
	_cleanup_free_ char *text = json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);
	char hex[33];

	fs_hash_bytes(text ? text : "", text ? strlen(text) : 0, hex);
	hex[16] = '\0';
	return json_pack("{s:s, s:s}", "hash", hex, "fields", text ? text : "{}");
}

/* MemTotal moves by some MiB from kernel to kernel. */
static void set_gib(json_t *fields)
{
	double bytes = json_number(fields, "memory.total_bytes", 0);

	if (bytes > 0 && bytes < 1e18)
		json_object_set_new(
			fields, "memory.gib", json_integer((json_int_t)(bytes / (1 << 30) + 0.5)));
}

static json_t *machine_of(const json_t *fields)
{
	_cleanup_json_ json_t *machine = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(of_machine); i++)
		json_object_set(machine, of_machine[i], json_object_get(fields, of_machine[i]));
	return identity(machine);
}

json_t *summary_of_host(const json_t *facts)
{
	static const struct {
		const char *column, *field;
	} columns[] = {{"kernel", "kernel.release"}, {"microcode", "cpu.microcode"},
		{"cpu", "cpu.model"}, {"cpu", "cpu"}, {"qemu", "qemu.version"},
		{"libvirt", "libvirt.version"}, {"accelerator", "accelerator.name"},
		{"accelerator_reason", "accelerator.reason"}, {"distribution", "distribution"}};
	_cleanup_json_ json_t *fields = json_object();
	json_t *fingerprint;

	flatten(facts, "", 0, fields);
	fingerprint = identity(fields);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		json_t *value = json_object_get(fields, columns[i].field);

		if (json_is_string(value))
			json_object_set_new(
				fingerprint, columns[i].column, cut_text(value, MAX_COLUMN));
	}
	set_gib(fields);
	return json_pack("{s:o, s:o}", "host", machine_of(fields), "fingerprint", fingerprint);
}
