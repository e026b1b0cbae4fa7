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

# Which verdict it is depends on how quiet the host is.
graded='^ *N1  *\(reproduced\|direction-only\|inconclusive\) '

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
check 'a run ends with claims and published tables' out_has "$graded"
check 'of the rest it is told how to get it' out_has '^also measured, [1-9][0-9]* tables*: fleetlab report [0-9]'
check 'but not shown' not out_has '^  also measured: '
check 'a report without terminal is plain' is_plain
check 'and fits 100 columns' fits 100
fl report
check 'report shows the rest' out_has '^  also measured: '
fl report --brief
check 'report --brief does not' not out_has '^  also measured: '
for format in text markdown csv json junit; do
	fl report --format $format
	check "report --format $format" exited 0
	check "has no control characters" is_plain
done
# Whether what these words print fits 70 columns where nothing but COLUMNS says how wide it may be.
fits_when_narrow() (
	export COLUMNS=70
	fl "$@"
	fits 70
)
check 'COLUMNS makes reports narrower where there is no terminal' fits_when_narrow report
fl report --verbose
check 'report --verbose fits 100 columns' fits 100
fl compare latest latest
check 'compare fits 100 columns' fits 100
fl list
check 'list fits 100 columns' fits 100
fl show C1
check 'show fits 100 columns' fits 100
fl show D8
check 'show names the profile that has the claim' out_has '^decide it: .*--only D8 --profile paper$'
fl show C4
check 'and says why nothing decides one' out_has '^nothing decides it: .*no result'
fl show D6
check 'published values as they were published' not out_has '[09]\{6\}'
for mechanism in null shmipc zerocopy; do
	fl show $mechanism
	check "show $mechanism fits 100 columns" fits 100
	check 'and 70' fits_when_narrow show $mechanism
done

# A log line after a report, when both go to one file, stands below it.
"$FLEETLAB" run null --profile smoke -e effect >"$SCRATCH/out" 2>&1 </dev/null
last_line_is() { tail -n 1 "$SCRATCH/out" | grep -q -e "$1"; }
check 'the record is named below the report, not in its midst' last_line_is '^fleetlab: record: '

# README's results are a reference record's, as they are reported.
id=$(sed -n '/results: begin/,/results: end/s/^Run \([^,]*\),.*/\1/p' README.md)
last="fleetlab report results/reference/$id.json --brief --format markdown"
"$FLEETLAB" report "results/reference/$id.json" --brief --format markdown >"$SCRATCH/wanted" 2>"$SCRATCH/err"
sed '1,/results: begin/d; /results: end/,$d' README.md | diff "$SCRATCH/wanted" - >"$SCRATCH/out"
check "README's results are what it prints" [ $? = 0 ]

# On a terminal of 80 and of 100 columns. script(1) gives one.
for columns in 80 100 120; do
	last="fleetlab report on a terminal of $columns columns"
	script -qec "stty cols $columns rows 40; '$FLEETLAB' report" /dev/null </dev/null >"$SCRATCH/tty" 2>&1
	sed "s/$(printf '\033')\[[0-9;]*m//g; s/$(printf '\r')//g" "$SCRATCH/tty" >"$SCRATCH/out"
	: >"$SCRATCH/err"
	check 'shows its claims' out_has "$graded"
	check "fits $columns columns" fits "$((columns > 100 ? 100 : columns))"
done

# Colours: only on a terminal that knows them, for who wants them.
escape=$(printf '\033\[')
coloured() {
	last="$* fleetlab report on a terminal"
	script -qec "env $* '$FLEETLAB' report" /dev/null </dev/null >"$SCRATCH/out" 2>&1
	out_has "$escape"
}
check 'colours on a terminal that has them' coloured -u NO_COLOR TERM=xterm
check 'none on one that says it has none' not coloured -u NO_COLOR TERM=dumb
check 'nor on one that says nothing' not coloured -u NO_COLOR -u TERM
check 'nor for who wants none' not coloured TERM=xterm NO_COLOR=1
finish
