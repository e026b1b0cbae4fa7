# shellcheck shell=sh disable=SC1091,SC2154 # the library is beside
# What the scenarios in a browser share; they source it. Each test of a *.test.js file is a check.
. ci/scenario-lib.sh
CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
export CHROMIUM SCRATCH TMPDIR="$SCRATCH" XDG_CONFIG_HOME="$SCRATCH"
DEADLINE_S=360

ip link set lo up
last="node --version; ls $CHROMIUM"
check 'node and chromium are there (ci/with-deps make test)' test -x "$(command -v node)" -a -x "$CHROMIUM" || finish

# browse FILE…: files of tests, one after the other. What failed is shown whole.
browse() {
	for file; do
		last="node --test $file"
		timeout -k 10 "$DEADLINE_S" node --test --test-reporter=tap "dashboard/web/test/$file" >"$SCRATCH/tap" 2>&1
		ok=$(sed -n 's/^# pass //p' "$SCRATCH/tap") bad=$(sed -n 's/^# fail //p' "$SCRATCH/tap")
		cancelled=$(sed -n 's/^# cancelled //p' "$SCRATCH/tap")
		passed=$((passed + ${ok:-0})) failed=$((failed + ${bad:-1} + ${cancelled:-0}))
		if [ "${bad:-1}" != 0 ] || [ "${cancelled:-1}" != 0 ]; then
			printf '  FAILED: %s\n' "$file"
			grep -A 25 -E '^ *not ok' "$SCRATCH/tap" | head -n 150
			[ -n "$bad" ] || tail -n 30 "$SCRATCH/tap"
		fi
	done
}
