/*
 * shm-pointers: a linked list and a binary tree made of plain pointers in a region. As the region
 * stands at the same address everywhere, another VM walks and changes them without translating
 * anything (claim C3). A walker believes no pointer before it has checked where it points.
 */
#include "workloads/guest/shm_common.h"

#include <inttypes.h>
#include <string.h>

#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"
#include "workloads/shm/members.h"
#include "workloads/shm/wait.h"

struct node {
	uint64_t value;
	struct node *next;	   /* the list */
	struct node *left, *right; /* the tree, ordered by value */
};

enum stage { STAGE_NONE, STAGE_BUILT, STAGE_CHANGED };

struct root {
	alignas(REGION_LINE) _Atomic uint32_t stage;
	uint32_t session; /* the builder's generation: an older structure is not this one */
	struct waiters waiters;
	struct node *first, *last, *tree;
	uint64_t nodes, bytes_used;
};

struct walk {
	uint64_t nodes, checksum;
};

struct stage_wait {
	struct root *root;
	uint32_t stage;
};

static bool stage_reached(const void *object)
{
	const struct stage_wait *wait = object;

	/* Acquire: with the stage comes the structure. */
	return atomic_load_explicit(&wait->root->stage, memory_order_acquire) >= wait->stage;
}

static uint32_t everybody(const void *object)
{
	(void)object;
	return 3;
}

static void await_stage(struct region *region, struct root *root, uint32_t stage)
{
	struct stage_wait object = {root, stage};
	const struct wait wait = {
		stage_reached, everybody, &object, &root->waiters, true, "a structure"};

	shm_check(wait_for(region, &wait, shm_deadline()));
}

static void set_stage(struct region *region, struct root *root, uint32_t stage)
{
	atomic_store_explicit(&root->stage, stage, memory_order_release);
	shm_check(wake(region, &root->waiters));
}

static struct node *check_pointer(const struct region *region, struct node *node)
{
	if (node && !region_contains(region, node, sizeof(*node), alignof(struct node)))
		die("the structure has a pointer that leads out of the region: %p", (void *)node);
	return node;
}

static uint64_t mix(uint64_t checksum, uint64_t value)
{
	return (checksum ^ value) * UINT64_C(0x100000001b3) + (checksum >> 47);
}

static uint64_t node_value(uint64_t index)
{
	return (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct walk walk_list(const struct region *region, struct root *root)
{
	uint64_t most = region->bytes / sizeof(struct node);
	struct walk walk = {0};

	for (struct node *node = check_pointer(region, root->first); node;
		node = check_pointer(region, node->next)) {
		if (walk.nodes++ > most)
			die("the list has a cycle");
		walk.checksum = mix(walk.checksum, node->value);
	}
	return walk;
}

#define TREE_DEPTH_MAX 512

/* In order, with a stack of our own: neither depth nor number are the structure's to decide. */
static struct walk walk_tree(const struct region *region, struct root *root)
{
	struct node *stack[TREE_DEPTH_MAX];
	struct node *node = check_pointer(region, root->tree);
	uint64_t most = region->bytes / sizeof(struct node);
	uint64_t before = 0;
	size_t depth = 0;
	struct walk walk = {0};

	while (node || depth) {
		while (node) {
			if (depth == TREE_DEPTH_MAX)
				die("the tree is deeper than %d: it has a cycle", TREE_DEPTH_MAX);
			stack[depth++] = node;
			node = check_pointer(region, node->left);
		}
		node = stack[--depth];
		if (walk.nodes++ > most)
			die("the tree has a cycle");
		if (node->value < before)
			die("the tree is not in order");
		before = node->value;
		walk.checksum = mix(walk.checksum, node->value);
		node = check_pointer(region, node->right);
	}
	return walk;
}

static void insert(const struct region *region, struct root *root, struct node *added)
{
	struct node **link = &root->tree;

	for (int depth = 0; *link; depth++) {
		struct node *node = check_pointer(region, *link);

		if (depth == TREE_DEPTH_MAX)
			die("the tree is deeper than %d: it has a cycle", TREE_DEPTH_MAX);
		link = added->value < node->value ? &node->left : &node->right;
	}
	*link = added;
}

static void append(struct region *region, struct root *root, uint64_t count)
{
	while (count--) {
		struct node *node = region_at(region, root->bytes_used, sizeof(struct node));
		struct node *last = check_pointer(region, root->last);

		if (!node)
			die("no room for %" PRIu64 " more nodes: %s", count + 1, shm_message());
		*node = (struct node){.value = node_value(root->nodes)};
		if (last)
			last->next = node;
		else
			root->first = node;
		root->last = node;
		insert(region, root, node);
		root->nodes++;
		root->bytes_used += REGION_LINE;
	}
}

/* Walks everything and says what was found; returns the nodes and a checksum over both structures.
 */
static struct walk report(const char *name, const struct region *region, struct root *root)
{
	struct walk list = walk_list(region, root);
	struct walk tree = walk_tree(region, root);

	json_open(name, '{');
	json_number("nodes", list.nodes);
	json_number("tree_nodes", tree.nodes);
	json_hex("list_checksum", list.checksum);
	json_hex("tree_checksum", tree.checksum);
	json_hex("first", (uintptr_t)root->first);
	json_hex("second", root->first ? (uintptr_t)root->first->next : 0);
	json_hex("last", (uintptr_t)root->last);
	json_hex("tree", (uintptr_t)root->tree);
	json_close('}');
	if (list.nodes != root->nodes || tree.nodes != root->nodes)
		die("the list has %" PRIu64 " nodes and the tree %" PRIu64 " rather than %" PRIu64,
			list.nodes, tree.nodes, root->nodes);
	return (struct walk){list.nodes, mix(list.checksum, tree.checksum)};
}

/* Empty, until the builder has met who is to see it. */
static void prepare(struct region *region, void *context)
{
	struct root *root = context;

	memset(root, 0, sizeof(*root));
	root->session = region->generation;
	root->bytes_used =
		REGION_PAGE + (sizeof(*root) + REGION_LINE - 1) / REGION_LINE * REGION_LINE;
}

/* What the list of `nodes` must come to, computed without it. */
static void check_expected(const struct region *region, struct root *root, uint64_t nodes)
{
	uint64_t checksum = 0;

	for (uint64_t i = 0; i < nodes; i++)
		checksum = mix(checksum, node_value(i));
	if (root->nodes != nodes || walk_list(region, root).checksum != checksum)
		die("the structure is not what was built");
}

static void build(struct region *region, struct root *root, uint64_t nodes, uint64_t appended)
{
	struct walk final;

	shm_check(member_meet(region, appended ? 2 : 1, prepare, root, shm_deadline()));
	append(region, root, nodes);
	final = report("built", region, root);
	set_stage(region, root, STAGE_BUILT);
	if (appended) {
		await_stage(region, root, STAGE_CHANGED);
		final = report("changed", region, root);
	}
	check_expected(region, root, nodes + appended);
	json_hex("checksum", final.checksum);
}

static void walk_through(struct region *region, struct root *root, uint64_t appended)
{
	struct walk final;

	if (appended)
		shm_check(member_meet(region, 2, NULL, NULL, shm_deadline()));
	await_stage(region, root, STAGE_BUILT);
	final = report("walked", region, root);
	check_expected(region, root, final.nodes);
	if (appended) {
		append(region, root, appended);
		final = report("changed", region, root);
		set_stage(region, root, STAGE_CHANGED);
	}
	json_hex("checksum", final.checksum);
}

void command_shm_pointers(int argc, char **argv)
{
	struct shm_options options = SHM_DEFAULTS;
	const char *role = "";
	uint64_t nodes = 1000;
	uint64_t appended = 100;
	const struct option_row rows[] = {
		{"role", OPTION_TEXT, &role, 0, 0, "build or walk"},
		SHM_ROWS(&options),
		{"nodes", OPTION_NUMBER, &nodes, 1, 100000000, "nodes to build (1000)"},
		{"append", OPTION_NUMBER, &appended, 0, 1000000,
			"nodes the walker adds, the same on both sides; 0: it only reads (100)"},
		{"read-only", OPTION_FLAG, &options.read_only, 0, 0,
			"walk without the right to write (with --append 0)"},
		{0},
	};
	struct region *region;
	struct root *root;

	options_parse(rows, argc, argv);
	if (strcmp(role, "build") != 0 && strcmp(role, "walk") != 0)
		die("--role: '%s' is neither build nor walk", role);
	options.member = *role == 'w';
	region = shm_begin(&options);
	if (!region->writable && (appended || *role == 'b'))
		die("region %s is read-only for this guest: it cannot build or append",
			region->name);
	root = region_at(region, REGION_PAGE, sizeof(*root));
	if (!root)
		die("%s", shm_message());
	if (*role == 'b')
		build(region, root, nodes, appended);
	else
		walk_through(region, root, appended);
	json_print();
}
