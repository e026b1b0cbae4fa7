/*
 * Proof from outside the guests: the content that the guests verified is looked for in the region's
 * own pages, and the bridge's ports tell how much went over the network. Shared memory must show
 * the one without the other, message passing the other.
 */
#include "mechanisms/shmipc/shmipc.h"
#include "harness/base/fs.h"
#include "harness/lab/network.h"
#include "workloads/guest/content.h"
#include "workloads/shm/layout.h"

/* Frames that a link carries without our doing: ARP, router solicitations, the agent never. */
#define STRAY_BYTES 20000

struct error *shmipc_count_traffic(struct trial *trial, uint64_t *frames, uint64_t *bytes)
{
	struct fleet *fleet = trial_fleet(trial);

	*frames = *bytes = 0;
	for (unsigned int i = 0; i < fleet_count(fleet); i++) {
		_cleanup_free_ char *tap = guest_tap(fleet_guest_name(fleet, i), 0, 0);
		uint64_t f, b;

		try_(network_counters(tap, &f, &b));
		*frames += f;
		*bytes += b;
	}
	return NULL;
}

/* Modular inverse of an odd number by Newton's iteration: each step doubles the right bits. */
static uint32_t inverse(uint32_t a)
{
	uint32_t x = a;

	for (int i = 0; i < 5; i++)
		x *= 2 - a * x;
	return x;
}

/* The longest stretch of the last run's question that stands in the region, in ints. The content is
 * invertible: each word tells which int of the run it would be, so a stretch is found wherever a
 * ring has cut or overwritten it. */
static size_t find_content(const uint32_t *words, size_t word_count, uint64_t ints, uint32_t run)
{
	uint32_t key = content_question(0, run);
	uint32_t factor = inverse(content_question(1, run) ^ key);
	size_t longest = 0;

	for (size_t at = 0; at < word_count;) {
		uint32_t index = (words[at] ^ key) * factor;
		size_t length = 0;

		while (index + length < ints && at + length < word_count &&
			words[at + length] == content_question(index + length, run))
			length++;
		longest = length > longest ? length : longest;
		at += length ? length : 1;
	}
	return longest;
}

/* Words of the data pages that point into the region as the guests have mapped it. */
static size_t count_pointers(const unsigned char *memory, size_t size, uint64_t address)
{
	size_t count = 0;

	for (size_t at = REGION_PAGE_BYTES; at < size; at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, memory + at, sizeof(word));
		count += word >= address && word < address + size;
	}
	return count;
}

/* Where no payload is looked for: every guest has joined the region, by the table in its header,
 * and what was shared stands there as raw pointers. */
static struct error *members_evidence(
	struct trial *trial, const unsigned char *memory, size_t pages)
{
	const struct shmipc *state = trial_state(trial);
	const struct region_header *header = (const struct region_header *)(const void *)memory;
	bool pointers = strcmp(trial_choice(trial, "workload"), "pointers") == 0;
	unsigned int members = fleet_count(trial_fleet(trial)), joined = 0;
	size_t size, found;

	region_memory(state->region, &size);
	for (unsigned int i = 0; i < members && i < REGION_MEMBERS; i++)
		joined += header->members[i].generation > 0;
	try_(trial_evidence(trial, "members", joined == members, joined, "guests",
		"the host sees that %u of %u guests have joined the region, and %zu written pages",
		joined, members, pages));
	if (!pointers)
		return NULL;
	found = count_pointers(memory, size, (uint64_t)trial_integer(trial, "address"));
	return trial_evidence(trial, "pointers", found >= 100, (double)found, "pointers",
		"the host finds %zu words in the region that are addresses within it", found);
}

static struct error *region_evidence(struct trial *trial)
{
	const struct shmipc *state = trial_state(trial);
	size_t size, found, pages = 0;
	const unsigned char *memory = region_memory(state->region, &size);
	static const unsigned char zero[REGION_PAGE_BYTES];

	for (size_t at = 0; at < size; at += REGION_PAGE_BYTES)
		pages += memcmp(memory + at, zero, REGION_PAGE_BYTES) != 0;
	if (state->payload_bytes == 0)
		return members_evidence(trial, memory, pages);
	found = find_content((const uint32_t *)(const void *)memory, size / 4, state->last_ints,
		state->last_run);
	return trial_evidence(trial, "region",
		found >= (state->last_ints < 2048 ? (state->last_ints + 1) / 2 : 1024),
		(double)found * 4, "bytes",
		"the host finds %zu ints of run %u in the region, and %zu written pages; the "
		"guests moved "
		"%llu bytes through it",
		found, state->last_run, pages, (unsigned long long)state->payload_bytes);
}

static struct error *network_evidence(struct trial *trial)
{
	const struct shmipc *state = trial_state(trial);
	bool region = shmipc_uses_region(trial);
	uint64_t frames, bytes;
	bool ok;

	try_(shmipc_count_traffic(trial, &frames, &bytes));
	frames -= state->frames_before;
	bytes -= state->bytes_before;
	/* A byte is counted at both guests' ports. The stray ones could hide a small payload, so a
	 * region's trial must also have had more to say than they amount to. */
	ok = region ? bytes < STRAY_BYTES &&
			      (state->payload_bytes == 0 || bytes < state->payload_bytes ||
				      state->payload_bytes < STRAY_BYTES)
		    : bytes >= 2 * state->payload_bytes && bytes > 0;
	return trial_evidence(trial, "network", ok, (double)bytes, "bytes",
		"%llu frames, %llu bytes over the guests' ports%s", (unsigned long long)frames,
		(unsigned long long)bytes, region ? ": the ints did not go this way" : "");
}

/* A variant that is called shared memory must have had some, whatever its parameters were. */
static bool is_without_its_region(const struct trial *trial)
{
	const struct mechanism *mechanism = mechanism_find("shmipc");

	return mechanism_variant(mechanism, trial_variant(trial))->role == ROLE_SUBJECT &&
	       !shmipc_uses_region(trial);
}

struct error *shmipc_evidence(struct trial *trial)
{
	if (is_without_its_region(trial))
		try_(trial_evidence(trial, "region", false, 0, "bytes",
			"there was no region: the ints went by %s",
			trial_choice(trial, "transport")));
	if (shmipc_uses_region(trial))
		try_(region_evidence(trial));
	return network_evidence(trial);
}
