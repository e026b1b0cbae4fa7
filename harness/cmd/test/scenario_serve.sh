#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# The dashboard as people start it: real records, a real run followed live, a token and TLS, and
# a clean end. What it shows it never changes.
. ci/scenario-lib.sh

ip link set lo up
mkdir "$FLEETLAB_RESULTS/reference"
cp results/reference/*.json "$FLEETLAB_RESULTS/reference/"
records=$(find "$FLEETLAB_RESULTS/reference" -name "*.json" | wc -l)

has_url() { [ -s "$SCRATCH/$1.out" ]; }
# serve NAME OPTIONS…: starts it; its pid is in $started and its address in $url.
serve() {
	name=$1
	shift
	fl_start "$name" serve "$@"
	check "it serves ($*)" wait_until 20 has_url "$name"
	url=$(cat "$SCRATCH/$name.out")
}
# get PATH OPTIONS…: body in $SCRATCH/out, status in $code.
get() {
	path=$1
	shift
	last="GET $path $*"
	code=$(curl -s -m 20 -o "$SCRATCH/out" -w '%{http_code}' "$@" "${url}$path")
}
answers() { [ "$code" = "$1" ]; }
ended_with() {
	fl_wait "$1" "$2"
	exited "$3"
}
all_indexed() {
	get api/v1/runs
	out_has "\"total\":$1"
}
state_of_store() { find "$FLEETLAB_RESULTS" -type f ! -name 'index.sqlite*' ! -name '.index.lock' -exec sha256sum {} + | sort; }

state_of_store >"$SCRATCH/before"
serve plain --listen 127.0.0.1:0
check 'the address is all of its output' [ "$(wc -l <"$SCRATCH/plain.out")" = 1 ]
check 'the records are indexed' wait_until 30 all_indexed "$records"
for path in api/v1/overview api/v1/papers/C api/v1/papers/D api/v1/claims/C1 api/v1/claims/D2a \
	api/v1/runs/latest api/v1/runs/latest/topology api/v1/runs/latest/report.md '' runs icon.svg; do
	get "$path"
	check "there is /$path" answers 200
done
get ''
files=$(grep -o 'assets/[^"]*' "$SCRATCH/out")
check 'the page names its files' [ "$(echo "$files" | wc -w)" -ge 2 ]
for path in $files; do
	get "$path"
	check "there is /$path" answers 200
done
get api/v1/runs/latest/topology
check 'the topology is drawn from the record' out_has '"type":"Package"'
get api/v1/claims/D2a
check 'a claim of a real run has its pairs' out_has '"ratios":\[{"pair"'
get api/v1/nothing
check 'what there is not is told' answers 404
get api/v1/runs -H 'Host: evil.example'
check 'a foreign Host gets nothing' answers 403
get api/v1/runs -X POST
check 'nothing can be written' answers 405

# --- a port in use ---

port=${url##*:} port=${port%/}
fl serve --listen "127.0.0.1:$port"
check 'a port in use is an error' exited 1
check 'that names it' err_has "port $port"
check 'with a remedy' has_remedy

# --- a run, live ---

curl -sN -m 120 "${url}api/v1/runs/latest/events" >"$SCRATCH/events" &
follower=$!
fl run null --profile smoke -e effect
check 'a run' exited 0
check 'its events end with it' wait_until 60 has_ended $follower
check 'it began' grep -q '^event: run' "$SCRATCH/events"
check 'each of its trials is told' [ "$(grep -c '^event: trial' "$SCRATCH/events")" = "$(trials_in)" ]
check 'and its end' grep -q '^event: end' "$SCRATCH/events"
check 'it is in the list' wait_until 30 all_indexed $((records + 1))
id=$(basename "$FLEETLAB_RESULTS"/runs/*.json .json)
get "api/v1/runs/$id/trials"
check 'with its trials' out_has '"outcome":"ok"'
rm -r "${FLEETLAB_RESULTS:?}/runs"
state_of_store >"$SCRATCH/after"
check 'nothing in the store was changed' cmp -s "$SCRATCH/before" "$SCRATCH/after"

# --- a fleet ---

fl fleet up 2 --memory 128M
check 'a fleet is up' exited 0
get api/v1/fleets
check 'it is listed' out_has '"name":"default","guests":2,"alive":2'
get api/v1/fleets/default
check 'its guests are told' out_has '"name":"g1"'
check 'with their memory' out_has '"rss_bytes":[1-9]'
check 'their CPU' out_has '"cpu_s":[0-9]'
check 'their links' out_has '"links":\[{"name":"g0n0","rx_bytes":'
check 'and what their balloons leave them' [ "$(grep -o '"balloon_bytes":134217728[,}]' "$SCRATCH/out" | wc -l)" = 2 ]

says() {
	get "$1"
	out_has "$2"
}
balloons() {
	get api/v1/fleets/default
	[ "$(grep -o '"balloon_bytes"' "$SCRATCH/out" | wc -l)" = "$1" ]
}
qemu=$(processes '^qemu.*guest=g0')
check 'the QEMU of a guest is found' [ "$(echo "$qemu" | wc -w)" = 1 ]
kill -STOP "$qemu"
check 'one that hangs costs but its own balloon' wait_until 20 balloons 1
check 'all else is told' out_has '"name":"g0".*"name":"g1"'
kill -CONT "$qemu"
check 'until it goes on' wait_until 20 balloons 2
keeper=$(processes '^fleetlab-body')
check 'the keeper is found' [ "$(echo "$keeper" | wc -w)" = 1 ]
kill -STOP "$keeper"
check 'of a keeper that hangs its last word is told, as such' wait_until 20 says api/v1/fleets/default '"stale":true'
check 'with the reason' out_has '"trouble":"its keeper does not answer"'
check 'also in the list' wait_until 20 says api/v1/fleets '"name":"default","guests":2,.*"stale":true'
kill -CONT "$keeper"
told_anew() { says api/v1/fleets/default '"name":"g1"' && not out_has stale; }
check 'until it goes on' wait_until 20 told_anew
fl fleet down
get api/v1/fleets/default
check 'until it is down' answers 404

# --- its end ---

kill -TERM "$started"
check 'SIGTERM ends it well' ended_with plain "$started" 0
serve again --listen "127.0.0.1:$port"
kill -INT "$started"
check '^C ends it' ended_with again "$started" 130

# --- others may ask ---

fl serve --listen 0.0.0.0:0
check 'an open address wants a token' exited 1
check 'and says how' has_remedy
fl serve --token short
check 'not a short one' exited 1
echo 0123456789abcdef0123456789abcdef >"$SCRATCH/token"
serve token --listen 0.0.0.0:0 --token-file "$SCRATCH/token"
url="http://127.0.0.1:${url##*:}"
get api/v1/runs
check 'without the token nothing' answers 401
get api/v1/runs -H "Authorization: Bearer $(cat "$SCRATCH/token")"
check 'with it all' answers 200
kill -TERM "$started"
check 'it ends' ended_with token "$started" 0

if command -v openssl >/dev/null; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
		-keyout "$SCRATCH/key.pem" -out "$SCRATCH/cert.pem" 2>/dev/null
	serve tls --listen 127.0.0.1:0 --cert "$SCRATCH/cert.pem" --key "$SCRATCH/key.pem"
	get api/v1/runs -k
	check 'over TLS' answers 200
	kill -TERM "$started"
	check 'it ends' ended_with tls "$started" 0
fi
fl serve --cert /nonexistent --key /nonexistent
check 'a certificate that is not there is named' err_has /nonexistent
fl serve --listen nowhere:1
check 'a name is no address' err_has "'nowhere' is no IP address"
fl serve --listen 127.0.0.1:99999
check 'nor is that a port' err_has 127.0.0.1:99999
finish
