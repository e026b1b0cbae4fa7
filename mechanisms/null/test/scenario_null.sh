#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# The harness on itself: known effects are found, none is found where there is none, what fails is
# named, what proves nothing is never graded, and a changed record does not pass.
. ci/scenario-lib.sh

# verdict_is CLAIM VERDICT: in the last run, as CSV gives it (columns: paper 3, claim 4, verdict 7).
verdict_is() {
	"$FLEETLAB" report --format csv 2>/dev/null |
		awk -F, -v claim="$1" -v verdict="$2" '$4 == claim && $7 == verdict { found = 1 } END { exit !found }'
}

# Long waits beside a small share of noise: another program on this host does not change them much.
fl run null --profile smoke -e effect -p base_us=10000 -p readings=9
check 'a run of known effects completes' exited 0
check 'N1: the slowdown is found' verdict_is N1 reproduced
check 'N2: equal variants differ by nothing' verdict_is N2 reproduced
check 'N3: what did not run is not graded' verdict_is N3 not-run
check 'the seed is told' err_has 'seed [0-9]'
check 'all trials are ok' out_has '24 ended: 24 ok, 0 failed, 0 invalid'
record=$(ls "$FLEETLAB_RESULTS"/runs/*.json)

fl run null --profile smoke -e effect -p base_us=10000 -p readings=9 --json
check '--json: the record on standard output' out_has '"schema": *"fleetlab.report/1"'
fl report "$record" --json
check 'the record holds the verdicts' out_has '"verdict": *"reproduced"'

fl run null --profile smoke -e failure
check 'a crash and a hang: exit status 2' exited 2
check 'the crash is named with its phase' out_has "crash, .*crashed: SIGSEGV in phase 'measure'"
check 'the hang is named with its phase' out_has "hang, .*hung: the deadline passed in phase 'measure'"
check 'a run survives both' out_has '4 planned, 4 ended: 0 ok, 4 failed'
fl report latest --strict
check 'report --strict says so too' exited 2

fl run null --profile smoke -e evidence
check 'trials without evidence: exit status 2' exited 2
check 'they are invalid' out_has '4 planned, 4 ended: 0 ok, 0 failed, 4 invalid'
check 'N3: never graded' verdict_is N3 reproduced

# The first record, with the subject made faster than its baseline: its readings (14 to 16 ms)
# become 5 ms, those of the baselines stay.
fl report "$record"
check 'an untouched record is not called altered' not out_has ALTERED
check 'an untouched record: exit status 0' exited 0
sed -E 's/^( *)1[3-9][0-9]{3}\.[0-9]+(,?)$/\15000.0\2/' "$record" >"$SCRATCH/tampered.json"
check 'the edit changed something' not cmp -s "$record" "$SCRATCH/tampered.json"
fl report "$SCRATCH/tampered.json"
check 'a changed record: exit status 2' exited 2
check 'a changed record is called altered' out_has '^ *ALTERED'
fl report "$SCRATCH/tampered.json" --format csv
check 'its verdict is computed from what it holds now' out_has '^.*,null,N1,1,ratio,contradicted'
sed 's/"verdict": *"reproduced"/"verdict": "contradicted"/' "$record" >"$SCRATCH/forged.json"
fl report "$SCRATCH/forged.json" --format csv
check 'a forged verdict does not stand' out_has '^.*,null,N1,1,ratio,reproduced'
check 'and is noticed' exited 2
head -c 2000 "$record" >"$SCRATCH/cut.json"
fl report "$SCRATCH/cut.json"
check 'half a record: exit status 1' exited 1
check 'half a record is named' err_has 'cut.json'
finish
