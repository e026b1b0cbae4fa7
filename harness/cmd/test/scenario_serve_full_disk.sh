#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# The disk is full under the dashboard: it goes on with the index that it has, says why that is not
# up to date, and catches up when there is room again.
. ci/scenario-lib.sh

ip link set lo up
disk=$SCRATCH/disk
mkdir "$disk"
mount -t tmpfs -o size=8m small "$disk" || exit 1
FLEETLAB_RESULTS=$disk
export FLEETLAB_RESULTS

has_url() { [ -s "$SCRATCH/$1.out" ]; }
serve() {
	fl_start "$1" serve --listen 127.0.0.1:0
	check "it serves ($1)" wait_until 20 has_url "$1"
	url=$(cat "$SCRATCH/$1.out")
}
ended_with() {
	fl_wait "$1" "$2"
	exited "$3"
}
# get PATH: body in $SCRATCH/out, status in $code.
get() {
	last="GET $1"
	code=$(curl -s -m 20 -o "$SCRATCH/out" -w '%{http_code}' "${url}$1")
}
answers() { [ "$code" = "$1" ]; }
says() {
	get "$1"
	out_has "$2"
}
has_said() { grep -q -e "$2" "$SCRATCH/$1.err"; }
fill() {
	head -c 16m /dev/zero >"$disk/ballast" 2>/dev/null || :
}

fl synthetic 6 "$SCRATCH/records"
check 'there are records' exited 0
mkdir "$disk/runs" "$disk/.later"
cp "$SCRATCH/records/SYNTHETIC" "$disk/"
set -- "$SCRATCH"/records/runs/*.json
cp "$1" "$2" "$3" "$disk/runs/"
shift 3
cp "$@" "$disk/.later/"

# --- before there is an index ---

fill
serve first
check 'without an index there is no overview' wait_until 20 says api/v1/overview 'index'
check 'which is for now' answers 503
check 'the reason is told to clients' wait_until 20 says api/v1/overview 'full\|No space left'
check 'and to who started it' wait_until 20 has_said first 'not up to date: .*\(full\|No space left\)'
get ''
check 'the pages are there' answers 200
get api/v1/live
check 'and what needs no index' answers 200
rm "$disk/ballast"
check 'with room again there is one' wait_until 60 says api/v1/overview '"runs":3,'
check 'which is up to date' wait_until 20 says api/v1/overview '"running":false,"done":[0-9]*,"total":[0-9]*}'

# --- while it grows ---

fill
mv "$disk"/.later/* "$disk/runs/"
check 'the index cannot grow: the reason is told' wait_until 30 says api/v1/overview '"trouble":"[^"]*\(full\|No space left\)'
check 'with what was indexed before' out_has '"runs":3,'
check 'as an answer like any other' answers 200
get api/v1/runs
check 'the runs are listed' out_has '"total":3'
get api/v1/runs/latest
check 'and shown' answers 200

# --- it starts again ---

kill -TERM "$started"
check 'it ends well all the same' ended_with first "$started" 0
serve second
check 'started on the full disk it shows the old index' wait_until 30 says api/v1/overview '"runs":3,'
check 'and the reason' wait_until 30 says api/v1/overview '"trouble":"'
rm "$disk/ballast"
check 'with room again it catches up' wait_until 60 says api/v1/overview '"runs":6,'
check 'and says so' wait_until 20 has_said second 'up to date again'
check 'the trouble is over' wait_until 20 says api/v1/overview '"total":[0-9]*}'
kill -TERM "$started"
check 'it ends' ended_with second "$started" 0
finish
