#!/bin/sh
# The dashboard in a real browser: every page with real records, a run and a fleet while they live,
# ten thousand runs. Each test of dashboard/web/test/*.test.js is a check here.
# shellcheck disable=SC1091,SC2154 # the library is beside
. ci/scenario-lib.sh
CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
export CHROMIUM SCRATCH TMPDIR="$SCRATCH" XDG_CONFIG_HOME="$SCRATCH" STORE_10000="$SCRATCH/10000"
DEADLINE_S=300

ip link set lo up
last="node --version; ls $CHROMIUM"
if ! check 'node and chromium are there (ci/with-deps make test)' test -x "$(command -v node)" -a -x "$CHROMIUM"; then
	finish
fi

# Files of tests, one after the other: each starts a browser. What failed is shown whole.
browse() {
	last="node --test $*"
	for file; do
		timeout -k 10 "$DEADLINE_S" node --test --test-reporter=tap "dashboard/web/test/$file" >"$SCRATCH/tap" 2>&1
		ok=$(sed -n 's/^# pass //p' "$SCRATCH/tap") bad=$(sed -n 's/^# fail //p' "$SCRATCH/tap")
		cancelled=$(sed -n 's/^# cancelled //p' "$SCRATCH/tap")
		passed=$((passed + ${ok:-0})) failed=$((failed + ${bad:-1} + ${cancelled:-0}))
		grep -o '# first view .*' "$SCRATCH/tap"
		if [ "${bad:-1}" != 0 ] || [ "${cancelled:-1}" != 0 ]; then
			printf '  FAILED: %s\n' "$file"
			grep -A 25 -E '^ *not ok' "$SCRATCH/tap" | head -n 150
			[ -n "$bad" ] || tail -n 30 "$SCRATCH/tap"
		fi
	done
}

fl_start big synthetic 10000 "$STORE_10000" # half a minute of one processor, beside the first tests
big=$started
browse format.test.js pages.test.js live.test.js
fl_wait big "$big"
check 'ten thousand synthetic runs are made' exited 0
fl index --results "$STORE_10000"
browse scale.test.js
finish
