#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check; the library is beside
# Paper D on real guests: the flat systems in the smoke profile, every workload that needs no more
# than them, and a variant that is not what it says.
. ci/scenario-lib.sh

# Counts lines of a record that match.
count() { grep -c -e "$1" "$record"; }
record_of_last() { record=$(sed -n 's/^fleetlab: record: //p' "$SCRATCH/err"); }
# Evidence of this name, in so many trials; that it holds is what makes a trial ok.
has_evidence() { [ "$(count "\"name\": \"$1\"")" = "$2" ]; }

fl run zerocopy --profile smoke
check 'a smoke run completes' exited 0
check 'all trials are ok' out_has '4 planned, 4 ended: 4 ok, 0 failed, 0 invalid'
record_of_last
fl report "$record"
check 'one row for each memory size' out_has '^ *256 '
check 'of the migration time' out_has 'migration_time, s, by memory_mib'
check 'and of the downtime that a client saw' out_has 'downtime, s, by memory_mib'
check 'what is emulated is called so' out_has '^ *emulated: CPU by tcg\|accelerator kvm'
for name in one-side inode boot-id connection content disk stream; do
	check "evidence '$name' in all 4 trials" has_evidence "$name" 4
done
check 'pages were compared in the 2 without copying' has_evidence same-memory 2

# Other workloads, one block each, small
for experiment in dirty pages stack postcopy; do
	fl run zerocopy --profile nightly -e "$experiment" --variant flat-zerocopy -p memory_mib=256 \
		-p memory_most_mib=256 -p guests=3 -p dirty_steps=2 --budget 20s
	check "experiment $experiment runs" exited 0
	check "and all of its trials are ok" out_has ' 0 failed, 0 invalid'
	check 'at least one' not out_has ' 0 ended'
done

# Systems with a link between them: what it carried is evidence in every trial, and so is, of nested
# ones, which of their kernels has the guest
for variant in phys vmbeam; do
	fl run zerocopy --profile paper -e migration --variant "$variant" -p memory_most_mib=128 \
		--budget 60s
	check "experiment migration runs with $variant" exited 0
	check 'and all of its trials are ok' out_has ' 0 failed, 0 invalid'
	record_of_last
	for name in link one-side inode; do
		check "with evidence '$name'" not has_evidence "$name" 0
	done
done

fl run zerocopy --profile smoke --variant flat-zerocopy -p method=precopy
check 'a variant cannot be made another one' exited 1
check 'the variant that does it is named' err_has 'try: --variant'
finish
