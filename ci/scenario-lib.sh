# shellcheck shell=sh
# What scenario scripts share; they source it. ci/run-scenarios starts each script in PID, mount and
# network namespaces of its own, with FLEETLAB (the binary), FLEETLAB_RESULTS and SCRATCH (empty
# directories) set: every process that a script can see is its own, and nothing of it outlives it.
# Must never wait without a deadline.
set -u
passed=0 failed=0 status=0 last='' shown=''

# fl WORDS…: runs fleetlab; $status, $SCRATCH/out and $SCRATCH/err tell how it went.
fl() {
	last="fleetlab $*"
	status=0
	"$FLEETLAB" "$@" >"$SCRATCH/out" 2>"$SCRATCH/err" </dev/null || status=$?
}

# check TEXT COMMAND…: counts a check; a failed one shows what the last fl printed.
check() {
	text=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		return 0
	fi
	failed=$((failed + 1))
	printf '  FAILED: %s\n    wanted: %s\n    after:  %s (exit status %s)\n' "$text" "$*" "$last" "$status"
	[ "$shown" = "$last" ] && return 1
	shown=$last
	for stream in out err; do
		[ -s "$SCRATCH/$stream" ] && tail -n 20 "$SCRATCH/$stream" | cut -c 1-400 | sed "s/^/    $stream: /"
	done
	return 1
}

# Predicates for check.
exited() { [ "$status" = "$1" ]; }
out_has() { grep -q -e "$1" "$SCRATCH/out"; }
err_has() { grep -q -e "$1" "$SCRATCH/err"; }
not() { ! "$@"; }
has_remedy() { err_has '^  try: '; }

# Makes `fl`'s background twin: its pid is in $started, its output in $SCRATCH/NAME.out and .err.
fl_start() {
	name=$1
	shift
	last="fleetlab $* (in the background)"
	"$FLEETLAB" "$@" >"$SCRATCH/$name.out" 2>"$SCRATCH/$name.err" </dev/null &
	started=$!
}

# Takes the end of a started one over into $status, $SCRATCH/out and $SCRATCH/err.
fl_wait() {
	status=0
	wait "$2" 2>/dev/null || status=$?
	cp "$SCRATCH/$1.out" "$SCRATCH/out"
	cp "$SCRATCH/$1.err" "$SCRATCH/err"
}

# wait_until SECONDS COMMAND…: polls a condition; false when the deadline passes first.
wait_until() {
	until_s=$(($(date +%s) + $1))
	shift
	while ! "$@"; do
		[ "$(date +%s)" -lt "$until_s" ] || return 1
		sleep 0.02
	done
}

# A process that has ended but was not waited for does not count.
is_alive() {
	case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
	'' | Z*) return 1 ;;
	esac
}
has_ended() { ! is_alive "$1"; }

# processes PATTERN: pids of living processes whose name and command line match (extended regex).
processes() {
	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		if [ "$pid" = $$ ] || ! is_alive "$pid"; then
			continue
		fi
		{
			cat "$dir/comm"
			tr '\0' ' ' <"$dir/cmdline"
		} 2>/dev/null | tr '\n' ' ' | grep -q -E -e "$1" && echo "$pid"
	done
	return 0
}

# What a lab consists of: its init and body, stacks, QEMUs, and a forked fleetlab.
lab_processes() { processes '^(fleetlab|qemu|libvirt)'; }
nothing_runs() { [ -z "$(lab_processes)" ]; }

# What a lab could leave on its host.
host_state() {
	ip -o link show | cut -d: -f2
	sort /proc/self/mountinfo
	cat /sys/kernel/mm/ksm/run /proc/sys/net/ipv4/ip_forward /proc/sys/vm/swappiness 2>/dev/null
	ls /dev/shm
	find /run/fleetlab -type f ! -name '*.lock' ! -name '*.json'
}

# Trials in a journal; 0 while there is none.
trials_in() {
	count=$(cat "$FLEETLAB_RESULTS"/runs/*/journal.jsonl 2>/dev/null | grep -c '^{"trial"')
	echo "$count"
}
has_trials() { [ "$(trials_in)" -ge "$1" ]; }

finish() {
	printf '%d passed, %d failed\n' "$passed" "$failed"
	[ "$failed" = 0 ]
	exit
}
