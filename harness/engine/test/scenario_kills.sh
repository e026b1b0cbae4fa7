#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# kill -9 of each kind of process at random moments of a run: nothing of it stays on the host, and
# what is not the run itself costs one trial. COUNT kills (20); SEED repeats a series.
. ci/scenario-lib.sh

COUNT=${COUNT:-20}
SEED=${SEED:-$(date +%s)}
echo "SEED=$SEED COUNT=$COUNT"
# Park and Miller's generator: sh has none, and the same seed shall give the same series.
draw() { # draw N: $drawn is 0 … N-1
	SEED=$((SEED % 2147483647 * 16807 % 2147483647))
	drawn=$((SEED / 7 % $1))
}

victims_of() {
	case $1 in
	parent) echo "$started" ;;
	init) processes '^fleetlab-lab ' ;;
	body) processes '^fleetlab-body ' ;;
	stack) processes '^exe fleetlab stack ' ;;
	qemu) processes '^qemu-system-x86 ' ;;
	esac
}
has_victim() {
	has_ended "$started" || [ -n "$(victims_of "$kind")" ]
}
has_plan() { grep -q '"plan"' "$FLEETLAB_RESULTS"/runs/*/journal.jsonl 2>/dev/null; }
has_record() { [ -n "$(find "$FLEETLAB_RESULTS/runs" -maxdepth 1 -name '*.json' 2>/dev/null)" ]; }
has_trial_or_ended() { has_trials 1 || has_ended "$started"; }

host_state >"$SCRATCH/before"
kinds='parent init body stack qemu'
hits=0 misses=0 resumed=0
while [ "$hits" -lt "$COUNT" ] && [ "$misses" -lt $((3 * COUNT)) ]; do
	# shellcheck disable=SC2086
	set -- $kinds
	shift $(((hits + misses) % 5))
	kind=$1
	rm -rf "$FLEETLAB_RESULTS/runs"
	fl_start killed run shmipc --profile smoke -e roundtrip --variant shm-polling
	# From when the first such process is there, or from the end of the first trial on.
	wait_until 30 has_victim
	draw 2
	[ "$drawn" = 0 ] || wait_until 60 has_trial_or_ended
	draw $((drawn == 0 ? 400 : 100)) # of 10 ms each
	delay_until=$(($(date +%s%N) + drawn * 10000000))
	is_due() { [ "$(date +%s%N)" -ge "$delay_until" ] || has_ended "$started"; }
	wait_until 30 is_due
	wait_until 30 has_victim
	victims=$(victims_of "$kind")
	# shellcheck disable=SC2086
	set -- $victims
	if [ $# = 0 ] || has_ended "$started"; then
		misses=$((misses + 1)) # the run was over
		fl_wait killed "$started"
		continue
	fi
	draw $#
	shift "$drawn"
	kill -KILL "$1" 2>/dev/null || {
		misses=$((misses + 1))
		fl_wait killed "$started"
		continue
	}
	hits=$((hits + 1))
	what="kill $hits: $kind (pid $1, $(trials_in) trials done)"
	if [ "$kind" = parent ]; then
		fl_wait killed "$started"
		check "$what: the parent's end ends all" wait_until 10 nothing_runs
		# Once its record is written the run is complete: nothing is left to resume.
		if [ "$resumed" = 0 ] && ! has_record && has_plan; then
			resumed=1
			fl run --resume
			check "$what: the run is resumed" exited 0
		fi
	else
		# Whether a trial fails depends on the moment: between a trial's end and its lab's,
		# and in the template's lab, another story is told; but the run comes to its end.
		fl_wait killed "$started"
		check "$what: the run goes on to its end" out_has '^trials: 2 planned, 2 ended'
		one_failed_at_most() { [ "$status" = 0 ] || [ "$status" = 2 ]; }
		check "$what: exit status 0 or 2" one_failed_at_most
		check "$what: at most one trial is lost" out_has '2 ended: [12] ok, [01] failed'
		check "$what: nothing stays" nothing_runs
	fi
	host_state >"$SCRATCH/after"
	check "$what: the host is as it was" cmp "$SCRATCH/before" "$SCRATCH/after"
	echo "  $what: exit status $status, $(sed -n 's/.*ended: //p' "$SCRATCH/out")"
	[ "$failed" -lt 5 ] || break
done
check "there were $COUNT kills" [ "$hits" = "$COUNT" ]
fl run shmipc --profile smoke -e roundtrip --variant shm-polling
check 'the next run works' exited 0
finish
