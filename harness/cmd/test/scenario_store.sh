#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# The store: a run is indexed, exported, and imported on "another host"; a full disk, a read-only one,
# and synthetic records are told, and lose nothing.
. ci/scenario-lib.sh

other=$SCRATCH/other
mkdir "$other"

fl run null --profile smoke -e effect
check 'a run' exited 0
id=$(basename "$FLEETLAB_RESULTS"/runs/*.json .json)
fl index
check 'it is indexed' out_has '^1 runs; 1 read'
fl index --json
check 'once' out_has '"unchanged": 1'
echo '{' >"$FLEETLAB_RESULTS/runs/damaged.json"
fl index
check 'a damaged file is listed' out_has 'damaged *runs/damaged.json'
check 'and is no failure' exited 0
rm "$FLEETLAB_RESULTS/runs/damaged.json"
fl index
check 'until it is gone' not out_has damaged.json
fl list
check 'the index is no run' not out_has 'sqlite'

# --- export ---

cd "$SCRATCH" || exit 1
fl export latest
check 'it is exported' exited 0
check 'to the name it has' [ -s "$id.tar.zst" ]
fl export latest
check 'nothing is replaced' exited 1
check 'the file is named' err_has "$id.tar.zst exists"
check 'with a remedy' has_remedy
fl export "$id" run.tar.gz
check 'as gzip' exited 0
mkdir unpacked
tar -C unpacked -xf run.tar.gz
check 'what is in it is whole' sh -c "cd unpacked/$id && sha256sum --quiet -c SHA256SUMS"
check 'a command for each claim' grep -q 'fleetlab run null --only N1 --profile smoke' "unpacked/$id/README.md"
check 'the journal' [ -s "unpacked/$id/journal.jsonl" ]
fl export latest run.zip
check 'another kind is refused' err_has '.tar.zst'

# --- import ---

fl import --results "$other" "$id.tar.zst"
check 'an archive is imported' out_has '^1 imported, 0 here already, 0 refused'
fl import --results "$other" run.tar.gz
check 'once' out_has '^0 imported, 1 here already, 0 refused'
fl import --results "$other" "unpacked/$id"
check 'also unpacked' out_has '^0 imported, 1 here already'
fl import --results "$other" "$FLEETLAB_RESULTS"
check 'also the store it came from' out_has '^0 imported, 1 here already'
fl index --results "$other"
check 'it is indexed there' out_has '^1 runs'
FLEETLAB_RESULTS=$other fl report latest
check 'and reported there' exited 0
check 'unaltered' not out_has 'ltered'
FLEETLAB_RESULTS=$other fl list
check 'nobody is told to resume it' not out_has 'cut short'
fl report --results "$other" latest
check 'report takes a store too' exited 0
fl report --results "$other" --brief
check 'and what it tells to type has it' out_has "fleetlab report $id --results"
fl compare --results "$other" "$id" latest
check 'compare as well' exited 0
fl list runs --results "$other"
check 'and list' out_has "^$id$"
sed 's/"seed": [0-9]*/"seed": 1/' "$FLEETLAB_RESULTS/runs/$id.json" >"$SCRATCH/forged.json"
fl import --results "$SCRATCH/third" forged.json
check 'a changed record is refused: status 2' exited 2
check 'with the reason' out_has 'digest does not fit'
mkdir "$other/runs/.import-dead"
fl gc --results "$other"
check 'what a killed import left is removed' out_has '1 unfinished import removed'
check 'all of it' [ ! -e "$other/runs/.import-dead" ]

# --- synthetic records ---

fl synthetic 3 "$SCRATCH/nights"
check 'synthetic nights' exited 0
fl import "$SCRATCH/nights"
check 'do not come among measured runs' out_has '^0 imported, 0 here already, 3 refused'
fl synthetic 3 "$FLEETLAB_RESULTS"
check 'nor are they made there' err_has 'were measured'
fl run null --profile smoke -e evidence --results "$SCRATCH/nights"
check 'nothing is measured among them' err_has 'synthetic'
fl synthetic 600 "$SCRATCH/many"

# --- disks ---

disk=$SCRATCH/disk
mkdir "$disk"
mount -t tmpfs -o size=1m small "$disk" || exit 1
mkdir "$disk/runs"
mount --bind "$SCRATCH/many/runs" "$disk/runs"
cp "$SCRATCH/many/SYNTHETIC" "$disk"
head -c 800000 /dev/zero >"$disk/ballast"
fl index --results "$disk"
check 'a full disk: exit status 1' exited 1
check 'the reason' err_has 'No space left on device'
check 'and what to do' err_has 'try: make room, then: fleetlab index'
rm "$disk/ballast"
mount -o remount,size=64m "$disk"
fl index --results "$disk"
check 'with room it goes on' out_has '^600 runs'

mount -o remount,ro "$disk"
fl index --results "$disk"
check 'a read-only one: exit status 1' exited 1
check 'named' err_has "$disk"
finish
