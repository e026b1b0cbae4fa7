#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# A run that is cut short, by kill -9, ^C or its budget, goes on at the next trial; nothing is done
# twice and nothing half-done counts. Two runs at once would measure each other.
. ci/scenario-lib.sh

# Slow enough to be met in the middle: 24 trials of 0.3 s.
slow='-p readings=6 -p base_us=50000'
# complete_once N: the record that the last fl named holds each of N trials once, in order.
complete_once() {
	record=$(sed -n 's/^fleetlab: record: //p' "$SCRATCH/err")
	grep -q '"state": *"complete"' "$record" || return 1
	done=$("$FLEETLAB" report "$record" | sed -n 's/^trials: \([0-9]*\) planned, \([0-9]*\) ended.*/\1 \2/p')
	[ "$done" = "$1 $1" ] && [ "$(trial_lines "$record")" = "$(seq 0 $(($1 - 1)))" ]
}
# The trials' indices as the journal of this run has them.
trial_lines() {
	sed -n 's/^{"trial":{"index":\([0-9]*\),.*/\1/p' "${1%.json}/journal.jsonl"
}

# kill -9
# shellcheck disable=SC2086
fl_start killed run null --profile smoke -e effect $slow
check 'a run is under way' wait_until 30 has_trials 2
kill -KILL "$started"
fl_wait killed "$started"
check 'nothing of it runs on' wait_until 10 nothing_runs
check 'it left no record' [ -z "$(ls "$FLEETLAB_RESULTS"/runs/*.json 2>/dev/null)" ]
fl list
check 'the list tells how to go on' out_has 'fleetlab run --resume=[0-9]'
before=$(trials_in)
other=$FLEETLAB_RESULTS
FLEETLAB_RESULTS=$SCRATCH fl list --results "$other"
check 'also of a store that is not the usual one' out_has "fleetlab run --resume=[^ ]* --results $other"
fl run --resume
check 'it goes on' exited 0
check 'where it was' err_has "goes on: $before of 24 trials are done"
check 'and completes, each trial once' complete_once 24
check 'the claims are graded over both halves' out_has '^ *N1 *\(reproduced\|direction-only\|inconclusive\) '
fl run --resume
check 'there is nothing more to resume' exited 1
check 'which is said' err_has 'no unfinished run'
check 'with a remedy' has_remedy

# A line cut in half, as by a power cut.
rm -rf "$FLEETLAB_RESULTS/runs"
# shellcheck disable=SC2086
fl_start cut run null --profile smoke -e effect $slow
check 'another run is under way' wait_until 30 has_trials 3
kill -KILL "$started"
fl_wait cut "$started"
wait_until 10 nothing_runs
journal=$(ls "$FLEETLAB_RESULTS"/runs/*/journal.jsonl)
truncate -s -40 "$journal"
before=$(($(wc -l <"$journal") - 1))
fl run --resume
check 'half a line is dropped' err_has "goes on: $before of 24 trials are done"
check 'and its trial done again' complete_once 24

# ^C, and the same for TERM
rm -rf "$FLEETLAB_RESULTS/runs"
# shellcheck disable=SC2086
fl_start stopped run null --profile smoke -e effect $slow
check 'a third run is under way' wait_until 30 has_trials 1
kill -INT "$started"
fl_wait stopped "$started"
check '^C: exit status 130' exited 130
check 'its record says interrupted' grep -q '"state": *"interrupted"' "$FLEETLAB_RESULTS"/runs/*.json
check 'how to go on is told' err_has 'fleetlab run --resume='
check 'nothing runs on' nothing_runs
# shellcheck disable=SC2046
fl_start again $(sed -n 's/.*to go on: fleetlab \(run --resume=.*\)/\1/p' "$SCRATCH/err")
more=$(($(trials_in) + 1))
check 'it goes on' wait_until 30 has_trials "$more"
kill -TERM "$started"
fl_wait again "$started"
check 'TERM interrupts as well' exited 130
fl run --resume=latest
check 'and resumes as well' complete_once 24
check 'one record, not three' [ "$(find "$FLEETLAB_RESULTS/runs" -maxdepth 1 -name "*.json" | wc -l)" = 1 ]

# Budgets. 24 trials take 8 s: a budget of 3 s ends before them, one of 30 s has time to spare.
begin=$(date +%s)
# shellcheck disable=SC2086
fl run null --profile smoke -e effect $slow --budget 3s
took=$(($(date +%s) - begin))
check 'a budget of 3 s ends' [ "$took" -le 8 ]
check 'without failure' exited 0
check 'and is named in the record' grep -q '"state": *"budget"' "$(sed -n 's/^fleetlab: record: //p' "$SCRATCH/err")"
# What is spent stays spent: no third of the trials fits in what is left.
ended=$(trials_in)
fl run --resume
check 'going on, the budget is not granted again' [ "$(trials_in)" -le $((ended + 3)) ]
check 'what is left of it is told' err_has 'of its budget of 3.0 s are left'
check 'and how to go on' err_has 'to go on: fleetlab run --resume=.* --budget TIME'
check 'which is no failure' exited 0
fl run --resume --budget 10s
check 'with another budget beside it' err_has '^fleetlab: 10 s of its budget of 1[0-9] s are left'
check 'it goes on' exited 0
rm -rf "$FLEETLAB_RESULTS/runs"
# shellcheck disable=SC2086
fl_start stopped run null --profile smoke -e effect $slow --budget 60s
check 'a run with a budget is under way' wait_until 30 has_trials 2
kill -INT "$started"
fl_wait stopped "$started"
spent() { jq .plan.spent_s "$FLEETLAB_RESULTS"/runs/*.json; }
check 'interrupted, it knows what it has taken' [ "$(spent | cut -d. -f1)" -lt 60 ]
before=$(spent)
fl_start killed run --resume
more=$(($(trials_in) + 2))
check 'it goes on' wait_until 30 has_trials "$more"
kill -KILL "$started"
fl_wait killed "$started"
wait_until 10 nothing_runs
fl_start stopped run --resume
more=$(($(trials_in) + 1))
wait_until 30 has_trials "$more"
kill -INT "$started"
fl_wait stopped "$started"
check 'killed, it knows it too' awk -v a="$before" -v b="$(spent)" 'BEGIN { exit !(b > a + 0.9) }'
rm -rf "$FLEETLAB_RESULTS/runs"
fl run null --profile smoke -e effect -p base_us=2000 --budget 6s
check 'spare time is used for more trials' out_has '^trials: \(2[5-9]\|[3-9][0-9]\|[1-9][0-9][0-9]\) planned'
check 'and the run completes or ends by its budget' exited 0

# What was added to the plan is in the journal, block by block, and is gone on with.
rm -rf "$FLEETLAB_RESULTS/runs"
fl_start killed run null --profile smoke -e effect -p base_us=2000 -p readings=1 --budget 60s
check 'a run uses its spare time' wait_until 30 has_trials 45
kill -KILL "$started"
fl_wait killed "$started"
wait_until 10 nothing_runs
lines() { grep -c "^{\"$1\":" "$FLEETLAB_RESULTS"/runs/*/journal.jsonl; }
check 'each block that it added has a line' [ "$(lines planned)" -ge 3 ]
check 'and the plan is not written again' [ "$(lines plan)" = 0 ]
more=$(($(trials_in) + 10))
fl_start stopped run --resume
check 'it goes on' wait_until 30 has_trials "$more"
kill -INT "$started"
fl_wait stopped "$started"
as_planned() {
	jq -e '[.plan.trials[].index] == [range(.plan.trials | length)] and
		[.trials[] | [.index, .variant, .block, .half]] ==
		[.plan.trials[:(.trials | length)][] | [.index, .variant, .block, .half]]' \
		"$FLEETLAB_RESULTS"/runs/*.json >/dev/null
}
check 'and all trials are as they were planned' as_planned

# Two at once
fl_start first run null --profile quick -e effect -p readings=20 -p base_us=100000
first=$started
is_holding() { grep -q "\"pid\":${first}[,}]" /run/fleetlab/run.lock; }
check 'one run holds the host' wait_until 20 is_holding
fl run null --profile smoke -e effect
check 'a second one is refused' exited 1
check "with the first one's pid" err_has "pid $first"
check 'and a remedy' has_remedy
fl_start second run null --profile smoke -e evidence --wait 60s
kill -INT "$first"
fl_wait second "$started"
check 'with --wait it runs afterwards' out_has '4 planned, 4 ended'
fl_wait first "$first"
check 'and the first one ends by its ^C' exited 130

# Two that go on with the same run: the second one waits, and finds it complete.
rm -rf "$FLEETLAB_RESULTS/runs"
# shellcheck disable=SC2086
fl_start stopped run null --profile smoke -e effect $slow
check 'a run is cut short' wait_until 30 has_trials 1
kill -INT "$started"
fl_wait stopped "$started"
fl_start first run --resume
first=$started
check 'one goes on with it' wait_until 20 is_holding
kill -STOP "$first" # until the second one is where it waits
fl_start second run --resume --wait 60s
second=$started
is_waiting() { find "/proc/$second/fd" -lname '*/run.lock' | grep -q .; }
check 'another one waits to do so' wait_until 20 is_waiting
kill -CONT "$first"
fl_wait first "$first"
check 'the first one completes it' out_has '24 planned, 24 ended'
complete=$(cat "$FLEETLAB_RESULTS"/runs/*.json)
fl_wait second "$second"
check 'the second one has nothing to do' exited 1
check 'which is said' err_has 'has come to its end while it was waited for'
check 'with a remedy' has_remedy
check 'and leaves the record alone' [ "$complete" = "$(cat "$FLEETLAB_RESULTS"/runs/*.json)" ]
finish
