#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# The disk is full in the middle of a run: the journal survives, and the run goes on when there is
# room again. And a results directory that cannot be written to is found out before anything runs.
. ci/scenario-lib.sh

disk=$SCRATCH/disk
mkdir "$disk"
mount -t tmpfs -o size=1m,nr_inodes=400 small "$disk" || exit 1
FLEETLAB_RESULTS=$disk
export FLEETLAB_RESULTS

# fill KIB: leaves that much room.
fill() {
	head -c $(((1024 - $(du -sk "$disk" | cut -f1) - $1) * 1024)) /dev/zero >"$disk/ballast"
}
# Its last page is full: what is appended needs another one. A line of no known kind is passed over.
fill_page_of_journal() {
	journal=$(ls "$disk"/runs/*/journal.jsonl)
	printf '{"note":"%*s"}\n' $((8192 - 12 - $(wc -c <"$journal") % 4096)) '' >>"$journal"
}
kib_of_journal() {
	fl run null --profile smoke -e "$1"
	du -k "$FLEETLAB_RESULTS"/runs/*/journal.jsonl | cut -f1
	rm -rf "$FLEETLAB_RESULTS/runs"
}

# Room for the plan, and some of the trials: these take as much as the plan.
fill $(($(kib_of_journal effect) * 3 / 4))
fl run null --profile smoke -e effect
check 'a full disk: exit status 1' exited 1
check 'the journal is named' err_has 'journal.jsonl'
check 'and the reason' err_has 'No space left on device'
check 'and how to go on' err_has 'try: make room, then: fleetlab run --resume'
done_before=$(trials_in)
check 'some trials had been done' [ "$done_before" -gt 0 ]
check 'but not all' [ "$done_before" -lt 24 ]
fl run --resume
check 'without room it fails again' exited 1
check 'and loses nothing' has_trials "$done_before"
rm "$disk/ballast"
fl run --resume
check 'with room again it goes on' exited 0
check 'and completes' out_has '24 planned, 24 ended: 24 ok'

# A record that does not fit: the journal has all, the record is written by the next try.
rm -rf "${disk:?}/runs"
fill $(($(kib_of_journal evidence) + 4))
fl run null --profile smoke -e evidence
check 'no room for the record: exit status 1' exited 1
check 'a reason' err_has 'No space left on device'
check 'and a remedy' has_remedy
rm "$disk/ballast"
fl run --resume
check 'resumed, there is a record' out_has '4 planned, 4 ended'

# A block of spare time that does not fit: a run whose plan is done is no complete one for that.
rm -rf "${disk:?}/runs"
fl run null --profile smoke -e effect -p readings=1
check 'a run with room completes' exited 0
done_before=$(trials_in)
rm "$disk"/runs/*/complete # as if it had been killed before its end
fill_page_of_journal
fill -8 2>/dev/null # all that there is
fl run --resume --budget 60s
check 'no room for one more block: exit status 1' exited 1
check 'it is the journal that lacks it' err_has 'journal.jsonl: No space left on device'
check 'and how to go on' err_has 'try: make room, then: fleetlab run --resume'
check 'nothing was run' has_trials "$done_before"
rm "$disk/ballast"
fl_start again run --resume --budget 60s
check 'with room it goes on' wait_until 30 has_trials $((done_before + 1))
kill -INT "$started"
fl_wait again "$started"
check 'until ^C' exited 130

# Not writable
mkdir "$SCRATCH/readonly"
mount -t tmpfs -o ro none "$SCRATCH/readonly" || exit 1
fl run null --profile smoke --results "$SCRATCH/readonly"
check 'a read-only results directory: exit status 1' exited 1
check 'named' err_has readonly
check 'with a remedy' has_remedy
check 'before any trial' not err_has 'trial 1 of'
echo x >"$SCRATCH/file"
fl run null --profile smoke --results "$SCRATCH/file"
check 'a file in its place: exit status 1' exited 1
check 'named' err_has "$SCRATCH/file"
check 'with a remedy' has_remedy
finish
