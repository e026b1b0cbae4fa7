#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check; the library is beside
# A drill on real guests: the variant whose guests are braked is slower, seen from outside, and the
# other one is as it was. The night goes on at its drill: what comes before it is a run of the same
# trials without a brake.
. ci/scenario-lib.sh

nights=$FLEETLAB_RESULTS/nightly
mkdir -p "$nights"

fl run shmipc --profile nightly --experiment iperf3
check 'the trials without a brake are done' exited 0
record=$(sed -n 's/^fleetlab: record: //p' "$SCRATCH/err")

# night WHEN STATE DRILL: a night whose measuring is done, in $record (there is no A/A).
night() {
	id=$(date -u -d "@$1" +%Y%m%dT%H%M%SZ)-abcdef
	jq --arg id "$id" --argjson night "$1" --arg state "$2" --argjson drill "$3" '{
		schema: "fleetlab.night/1", id: $id, state: $state, reason: "", night: $night,
		started: ($night | todate), end_by: ($night + 150 | todate), build: (.build | {version, commit}),
		profile: "nightly", mechanisms: ["shmipc"], asked: {drill: true, slowdown: 3},
		host: {changed: []}, metrics: [], drill: $drill, notes: [],
		runs: [{id, purpose: "measure", state: "complete"},
			{id: (.id + "-aa"), purpose: "aa", state: "failed", reason: "none here"}],
		totals: {metrics: 0, learning: 0, quiet: 0, suspect: 0, confirmed: 0, recovered: 0,
			regressions: 0, improvements: 0, changes: 0}
	}' "$record" >"$nights/$id.json"
}
now=$(date +%s)
night $((now - 86400)) complete '{"id": "20000101T000000Z-abcdef", "mechanism": "shmipc",
	"experiment": "iperf3", "variant": "tcp-nodelay", "slowdown": 3, "night": 0, "state": "open",
	"reason": "", "metrics": [], "memory": {}}'
night "$now" in-progress null
fl nightly --resume --force-busy --json
check 'the night goes on' exited 0
check 'to its end' [ "$(jq -r .state "$SCRATCH/out")" = complete ]
drill=$nights/drills/runs/$(jq -r '.runs[] | select(.purpose == "drill") | .id' "$SCRATCH/out").json
check 'with a drill, whose trials all count' [ "$(jq -r '[.trials[].outcome] | unique | join(" ")' "$drill")" = ok ]
check 'the braked trials prove it' [ "$(jq '[.trials[] | select(.variant == "tcp-nodelay") | .evidence[] |
	select(.name == "drill" and .ok)] | length' "$drill")" = 2 ]
check 'and no others' [ "$(jq '[.trials[].evidence[] | select(.name == "drill")] | length' "$drill")" = 2 ]

# throughput RECORD VARIANT: the trials' median.
throughput() {
	jq --arg variant "$2" '[.trials[] | select(.variant == $variant) | .samples[] |
		select(.metric == "throughput") | .values[]] | sort | (.[length / 2 | floor] + .[(length - 1) / 2 | floor]) / 2' "$1"
}
# The load of the machine that tests meets both alike.
slower() {
	awk -v a="$(throughput "$drill" tcp-nodelay)" -v b="$(throughput "$record" tcp-nodelay)" \
		-v c="$(throughput "$drill" tcp-e1000)" -v d="$(throughput "$record" tcp-e1000)" \
		'BEGIN { print "    " a, b, c, d; exit !(a > 0 && 2 * a / b < c / d) }' >"$SCRATCH/figures"
}
check 'what is braked is slower, what is not is not' slower
check 'the drill is apart from what was measured' [ ! -e "$FLEETLAB_RESULTS/runs/$(basename "$drill")" ]
finish
