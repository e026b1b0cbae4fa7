#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# Paper C on real guests; and with the mechanism taken away, its claim must not be reproduced.
. ci/scenario-lib.sh

# Counts lines of a record that match, once a trial.
count() { grep -c -e "$1" "$record"; }
record_of_last() { record=$(sed -n 's/^fleetlab: record: //p' "$SCRATCH/err"); }
claim_has() { "$FLEETLAB" report "$record" --format csv | awk -F, '{ print $4, $7 }' | grep -q -x "$1 $2"; }

fl run shmipc --profile smoke
check 'a smoke run completes' exited 0
check 'all trials are ok' out_has '14 planned, 14 ended: 14 ok, 0 failed, 0 invalid'
record_of_last
check 'C3: pointers work in both guests' claim_has C3 reproduced
check 'C1 is not contradicted' not claim_has C1 contradicted
check 'C1 has a measured ratio' out_has '^ *C1 .*x .*10/10'
check 'what is emulated is called so' out_has '^ *emulated: CPU by tcg\|accelerator kvm'
# Evidence: every trial looked at the network's ports, those with shared memory at the region, too.
check 'evidence from the network in all 14' [ "$(count '"name": "network"')" = 14 ]
check 'evidence from the region in all 4 that move ints' [ "$(count '"name": "region"')" = 4 ]
check 'and of the pointers in it in both others' [ "$(count '"name": "pointers"')" = 2 ]

# The mechanism taken away by parameters
fl run shmipc --profile smoke --variant shm-polling -p transport=tcp
check 'a variant cannot be made another one' exited 1
check 'the parameter is named' err_has 'transport=tcp'
check 'and the variant that does it' err_has 'try: --variant tcp-nodelay'

# … and behind the plan's back: a run that ended before its first trial, with its plan changed.
rm -rf "$FLEETLAB_RESULTS/runs"
has_plan() { grep -q '"plan"' "$FLEETLAB_RESULTS"/runs/*/journal.jsonl 2>/dev/null; }
fl_start begun run shmipc --profile smoke -e roundtrip --variant shm-polling
check 'a plan is written before the first trial' wait_until 30 has_plan
kill -KILL "$started"
fl_wait begun "$started"
wait_until 10 nothing_runs
journal=$(ls "$FLEETLAB_RESULTS"/runs/*/journal.jsonl)
sed -E -i '1s/("variant":"shm-polling","parameters":\{[^}]*"transport":)"shm"/\1"tcp"/g' "$journal"
check 'the plan is changed' grep -q '"transport":"tcp"' "$journal"
fl run --resume
check 'without its region a trial of shared memory is invalid' out_has '2 planned, 2 ended: 0 ok, 0 failed, 2 invalid'
check 'and the run says so' exited 2
record_of_last
check 'nothing is reproduced by it' not claim_has '.*' reproduced
finish
