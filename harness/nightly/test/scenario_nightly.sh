#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154,SC2086 # called by check; the library is beside; $watch is words
# The watch of a lab host, night by night, with real trials of the synthetic mechanism: a regression
# is confirmed in its second night and recovers, a drill is caught and leaves nothing behind, and a
# night that is killed, or meets a host in use or the end of its time, says so.
. ci/scenario-lib.sh

# Long waits beside a small share of noise; the load of the machine that tests is no matter here.
plain='-p base_us=20000 -p readings=3'
slow='-p base_us=40000 -p readings=3'
watch='nightly --mechanisms null --budget 5m --max-load 1000000 --json'
nights=$FLEETLAB_RESULTS/nightly

# Of the night that the last fl has printed.
is() { [ "$(jq -r "$1" <"$SCRATCH/out")" = "$2" ]; }
verdict_of() { echo ".metrics[] | select(.name == \"null effect none time\") | .verdict.$1"; }

# ---- one night ----
fl $watch $plain --hook "cat >$SCRATCH/mail; env | grep ^FLEETLAB_NIGHT >$SCRATCH/environment"
check 'the first night' exited 0
check 'is complete' is .state complete
check 'and learns' is "$(verdict_of state)" learning
check 'with an A/A arm' is '[.metrics[] | select(.aa == null)] | length' 0
id=$(jq -r .id <"$SCRATCH/out")
check 'the hook has the summary' grep -q "^# fleetlab night $id" "$SCRATCH/mail"
check 'and is told what it is about' grep -q 'HEADLINE=still learning' "$SCRATCH/environment"
check 'the summary is in Markdown' [ -s "$nights/$id.md" ]
check 'in HTML' grep -q '</html>' "$nights/$id.html"
check 'and in JUnit, which parses' python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$nights/$id.xml"

# ---- nights before: SYNTHETIC copies of the first one, a little apart ----
record=$nights/$id.json
when=$(jq .night "$record")
for i in $(seq 1 12); do
	copy=$(date -u -d "@$((when - i * 86400))" +%Y%m%dT%H%M%SZ)-00000$((i % 10))
	jq --arg id "$copy" --argjson night $((when - i * 86400)) --argjson i "$i" '
		.id = $id | .night = $night | .synthetic = true |
		.metrics[] |= (.value *= 1 + 0.02 * (($i * 7) % 5 - 2) | .aa = 1 + 0.03 * (($i * 3) % 5 - 2))' \
		"$record" >"$nights/$copy.json"
done

# ---- a regression ----
fl $watch $slow
check 'a step in its first night is suspect' is "$(verdict_of state)" suspect
check 'though fresh trials see it' is "$(verdict_of confirmation.pairs)" 8
check 'nobody is told yet' exited 0
fl $watch $slow
check 'in its second night it is a regression' exited 3
check 'told' is "$(verdict_of alert)" true
check 'to the worse' is "$(verdict_of direction)" worse
check 'once' is .totals.regressions 1
check 'since the night before' is "$(verdict_of since)" "$(find "$nights" -maxdepth 1 -name '2*.json' | sort | tail -n 2 | head -n 1 | sed 's/.*\///; s/\.json//')"
check 'fresh trials of the same night' is "$(verdict_of confirmation.answer)" confirmed
fresh=$(jq -r "$(verdict_of confirmation.run)" <"$SCRATCH/out")
check 'are a run of their own' [ -s "$FLEETLAB_RESULTS/runs/$fresh.json" ]
last=$(jq -r .id <"$SCRATCH/out")
check 'JUnit has a failure' grep -q '<failure type="regression"' "$nights/$last.xml"
check 'Markdown says it first' grep -q '1 regression confirmed' "$nights/$last.md"
# ---- a drill ----
fl $watch $plain --drill=null/effect/delay --slowdown 1.6
check 'a drill begins' is .drill.state open
check 'which is no alert' exited 0
fl $watch $plain
check 'it is caught' is .drill.state caught
check 'in its second night' is .drill.delay_nights 1
check 'by the metric that was slowed down' is .drill.caught_by 'null effect delay time'
check 'without a false alarm' is '[.ledger.false_alarms, .ledger.precision, .ledger.recall] | join(" ")' '0 1 1'
check 'what is real is quiet' is '.metrics[] | select(.variant == "delay") | .verdict.state' quiet
run=$(jq -r '.runs[] | select(.purpose == "drill") | .id' <"$SCRATCH/out")
no_trace() { ! grep -rqs "$run" "$FLEETLAB_RESULTS/runs" && ! "$FLEETLAB" list | grep -q "$run"; }
check 'its runs are not among what was measured' no_trace
drill=$nights/drills/runs/$run.json
check 'and say DRILL' sh -c "\"$FLEETLAB\" report \"$drill\" | grep -q ^DRILL"
check 'the summary marks them too' grep -q '^| DRILL null effect delay time' "$nights/$(jq -r .id <"$SCRATCH/out").md"

# ---- cut ----
journals() { cat "$FLEETLAB_RESULTS"/runs/*/journal.jsonl 2>/dev/null | grep -c '^{"trial"'; }
has_more() { [ "$(journals)" -ge $((before + 4)) ]; }
before=$(journals)
fl_start cut $watch $plain
check 'a night is under way' wait_until 30 has_more
kill -KILL "$started"
fl_wait cut "$started"
wait_until 10 nothing_runs
cut=$(find "$nights" -maxdepth 1 -name '2*.json' | sort | tail -n 1)
check 'killed, it is in progress' [ "$(jq -r .state "$cut")" = in-progress ]
fl nightly --resume --max-load 1000000 --json
check 'it goes on' exited 0
check 'as the same night' is .id "$(basename "$cut" .json)"
check 'and completes' is '[.state, .resumed, .totals.metrics] | join(" ")' 'complete 1 3'
check 'with each trial once' is '.runs[0].trials | [.planned, .ok] | join(" ")' '18 18'
fl nightly --resume
check 'there is nothing more to go on with' err_has 'no night to go on with'
check 'which is no failure' exited 0

# ---- a host in use ----
ln -s "$(command -v sleep)" "$SCRATCH/qemu-system-x86"
"$SCRATCH/qemu-system-x86" 300 &
machine=$!
fl $watch $plain --hook 'cat >/dev/null; echo no mail here >&2; exit 7'
check 'beside another virtual machine it does not start' is .exit_status 4
check 'which is recorded' is .state not-started
check 'a hook that fails is told' err_has 'the hook failed: exit status 7: no mail here'
check 'with a remedy' has_remedy
check 'and by the exit status' exited 5
check 'with the reason' is '.reason | test("qemu-system-x86.* is a virtual machine")' true
id=$(jq -r .id <"$SCRATCH/out")
fl nightly --resume
check 'without a hook nobody is told of it' err_has "night $id was to be told by a hook"
fl nightly --resume --hook "cat >$SCRATCH/later"
check 'by a hook that does not fail it is told' grep -q "^# fleetlab night $id" "$SCRATCH/later"
check 'and that is no failure' exited 0
rm "$SCRATCH/later"
fl nightly --resume --hook "cat >$SCRATCH/later"
check 'once' [ ! -e "$SCRATCH/later" ]
# Waiting is in its time, and so is all that it runs: less than it would take.
fl_start waits $watch -p base_us=500000 -p readings=5 --budget 20s --start-by 60s
waits_for_host() { grep -q 'waiting' "$SCRATCH/waits.err" && is_alive "$started"; }
check 'with --start-by it waits' wait_until 20 waits_for_host
kill "$machine"
wait "$machine" 2>/dev/null
fl_wait waits "$started"
check 'until the host is free' is .state complete
check 'it ends before its time is over' is '.finished <= .end_by' true
check 'and says what was cut' is '[.notes[] | select(test("cut by the time"))] | length > 0' true
check 'and that is no failure' exited 0

# ---- a full disk ----
mkdir "$SCRATCH/disk"
mount -t tmpfs -o size=64k small "$SCRATCH/disk" || exit 1
head -c 65536 /dev/zero >"$SCRATCH/disk/ballast"
fl $watch $plain --results "$SCRATCH/disk" --hook "{ cat; echo \"exit \$FLEETLAB_NIGHT_EXIT\"; } >$SCRATCH/mail"
check 'on a full disk there is no night' exited 1
check 'why' err_has 'No space left on device'
check 'and what to do' has_remedy
check 'the hook hears of it' grep -q 'there is no night: .*No space left on device' "$SCRATCH/mail"
check 'with the remedy' grep -q '^- try: make room' "$SCRATCH/mail"
check 'and the exit status' grep -q '^exit 1$' "$SCRATCH/mail"

# ---- words ----
fl nightly --until 25:00
check 'a time that is none' err_has 'not a time of day'
fl $watch $plain --hook "$(printf 'cat \377')"
check 'a hook that no record can keep is refused' exited 1
check 'and named' err_has '^fleetlab: --hook: its text is not UTF-8'
check 'with a remedy' has_remedy
fl $watch -p "$(printf 'base_us=\377')"
check 'and so is a parameter' err_has '^fleetlab: -p: its text is not UTF-8'
fl $watch -p noise=0.5
check 'a parameter that tells variants apart' err_has 'cannot be set'
check 'is an error and no night' exited 1
fl nightly --drill=null/effect/none
check 'a baseline is not drilled' err_has 'a baseline is what others are compared with'
check 'with a remedy' has_remedy
finish
