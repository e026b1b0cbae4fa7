/* Proof that guests were moved, in the way that the variant's name says, and that nothing of them
 * was lost: looked up by the host, a client, and programs that ran in the guests all the while. */
#include "mechanisms/zerocopy/zerocopy.h"

/* The move itself: another QEMU has the guest, the one before is gone. */
static struct error *place_evidence(struct trial *trial, const struct proof *proof)
{
	return trial_evidence(trial, "one-side", proof->source_ended == proof->moves,
		proof->source_ended, "moves", "after %u of %u moves %s", proof->source_ended,
		proof->moves,
		zerocopy_topology(trial)->seen_from_here
			? "another QEMU has the guest and the one before has ended"
			: "the target's kernel has a QEMU of the guest and the source's has none");
}

/* Whether the streams took the link that the variant is named after. */
static struct error *link_evidence(struct trial *trial, const struct proof *proof)
{
	if (!zerocopy_topology(trial)->network)
		return NULL;
	return trial_evidence(trial, "link", proof->link_right == proof->moves,
		(double)proof->link_bytes, "bytes",
		"in %u of %u moves the links between the systems carried %s, by the kernel's "
		"counters",
		proof->link_right, proof->moves,
		zerocopy_copies(trial) ? "no less than the stream"
				       : "less than 1 % of the guest's memory");
}

static struct error *memory_evidence(struct trial *trial, const struct proof *proof)
{
	const struct topology *topology = zerocopy_topology(trial);
	bool copies = zerocopy_copies(trial);
	unsigned int wanted = copies ? 0 : proof->moves;

	if (topology->apart)
		return NULL;
	try_(trial_evidence(trial, "inode", proof->same_inode == wanted, proof->same_inode, "moves",
		"%u of %u moves left the guest on the same %s, by /proc/PID/maps",
		proof->same_inode, proof->moves,
		topology->seen_from_here
			? "inode"
			: "NVDIMM, which the QEMUs of both systems map and of the guest's QEMUs "
			  "only the target's"));
	if (copies)
		return NULL;
	/* Under two kernels there are no inodes to be compared by the mover. */
	return trial_evidence(trial, "same-memory",
		(proof->same_memory == proof->moves || !topology->seen_from_here) &&
			proof->digest_pages >= proof->moves,
		(double)proof->digest_pages, "pages",
		"%llu pages were equal when read through the mapping of the source's QEMU and of "
		"the target's",
		(unsigned long long)proof->digest_pages);
}

/* Whether what fills the guests' memory was in the streams. */
static struct error *stream_evidence(struct trial *trial)
{
	const struct zerocopy *state = trial_state(trial);
	unsigned int count = fleet_count(zerocopy_guests(trial)), moved = 0, right = 0;
	bool copies = zerocopy_copies(trial);
	double sent = 0;

	for (unsigned int i = 0; i < count; i++) {
		const struct zerocopy_guest *guest = &state->guests[i];
		bool copied = guest->sent_bytes >= guest->moves * guest->filled_bytes;

		if (guest->moves == 0 || guest->filled_bytes == 0)
			continue;
		moved++;
		right += copied == copies;
		sent += (double)guest->sent_bytes;
	}
	if (moved == 0)
		return NULL;
	return trial_evidence(trial, "stream", right == moved, sent, "bytes",
		"the streams of %u of %u guests were %s than what fills their memory", right, moved,
		copies ? "no smaller" : "smaller");
}

static struct error *guest_evidence(struct trial *trial, const struct proof *proof)
{
	try_(trial_evidence(trial, "boot-id", proof->same_boot == proof->moves, proof->same_boot,
		"moves", "after %u of %u moves the guest had its old boot id", proof->same_boot,
		proof->moves));
	if (proof->watched == 0)
		return NULL;
	return trial_evidence(trial, "connection", proof->connected == proof->moves,
		proof->connected, "moves",
		"a client's TCP connection lived through %u of %u moves, every record in order%s%s",
		proof->connected, proof->moves, proof->broken ? "; one broke: " : "",
		proof->broken ? proof->broken : "");
}

struct error *zerocopy_evidence(struct trial *trial)
{
	const struct zerocopy *state = trial_state(trial);
	const struct proof *proof = &state->proof;

	if (strcmp(trial_choice(trial, "workload"), "throughput") == 0)
		return NULL;
	try_(trial_evidence(trial, "moves", proof->moves > 0, proof->moves, "moves",
		"%u moves of guests", proof->moves));
	try_(place_evidence(trial, proof));
	try_(memory_evidence(trial, proof));
	try_(link_evidence(trial, proof));
	try_(guest_evidence(trial, proof));
	try_(guests_check(trial));
	return stream_evidence(trial);
}
