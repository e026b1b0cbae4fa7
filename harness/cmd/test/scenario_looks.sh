#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# What people see: help with examples that fits a terminal, reports that fit it too, no colour and no
# control characters where nobody looks.
. ci/scenario-lib.sh

# Columns of the longest line: bytes without those that continue a character of UTF-8.
widest() {
	LC_ALL=C sed "s/[$(printf '\200')-$(printf '\277')]//g" "$1" |
		LC_ALL=C awk '{ if (length($0) > w) w = length($0) } END { print w + 0 }'
}
fits() { [ "$(widest "$SCRATCH/out")" -le "$1" ]; }
is_plain() { ! grep -q "$(printf '[\033\b]')" "$SCRATCH/out"; }

fl --help
check 'the overview fits 80 columns' fits 80
check 'and tells where to start' out_has 'start here'
commands=$(sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$SCRATCH/out")
check 'it lists the commands' [ "$(echo "$commands" | wc -w)" -ge 9 ]
for command in $commands; do
	fl "$command" --help
	check "$command --help" exited 0
	check "$command --help says how it is used" out_has "^usage: fleetlab $command"
	check "$command --help has an example" out_has "^  fleetlab $command"
	check "$command --help fits 80 columns" fits 80
done
fl --version
check '--version' out_has '^fleetlab [0-9]'

fl -q run null --profile smoke -e effect
check '-q: nothing on standard error' [ ! -s "$SCRATCH/err" ]
check 'a report without terminal is plain' is_plain
check 'and fits 100 columns' fits 100
for format in text markdown csv json junit; do
	fl report --format $format
	check "report --format $format" exited 0
	check "has no control characters" is_plain
done
fl report --verbose
check 'report --verbose fits 100 columns' fits 100
fl compare latest latest
check 'compare fits 100 columns' fits 100
fl list
check 'list fits 100 columns' fits 100
fl show C1
check 'show fits 100 columns' fits 100
fl show shmipc
check 'also of a mechanism' fits 100

# On a terminal of 80 and of 100 columns. script(1) gives one.
for columns in 80 100 120; do
	last="fleetlab report on a terminal of $columns columns"
	script -qec "stty cols $columns rows 40; '$FLEETLAB' report" /dev/null </dev/null >"$SCRATCH/tty" 2>&1
	sed "s/$(printf '\033')\[[0-9;]*m//g; s/$(printf '\r')//g" "$SCRATCH/tty" >"$SCRATCH/out"
	: >"$SCRATCH/err"
	check 'shows its claims' out_has '^ *N1  *reproduced'
	check "fits $columns columns" fits "$((columns > 100 ? 100 : columns))"
done
finish
