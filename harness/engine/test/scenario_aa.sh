#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# A/A: a variant against itself, for any mechanism; it grades no claim.
. ci/scenario-lib.sh

fl run null --aa --profile smoke -e effect --seed 1
check 'an A/A run' exited 0
check 'has one variant in two arms' out_has '12 planned, 12 ended: 12 ok'
check 'whose ratio is told' out_has 'null effect, none, time: [01][.0-9]* x \[.*\], 6 pairs'
no_claims() {
	! out_has 'N1'
}
check 'and no claim' no_claims
fl report --format markdown
check 'in Markdown too' out_has '^| effect *| none *| time '
fl report --format json
check 'and in JSON' out_has '"aa": \['

fl run null --aa --profile smoke -e effect --variant delay
check 'a named variant' exited 0
check 'is compared with itself' out_has 'null effect, delay, time: '

# Real guests.
fl run null --aa --profile smoke -e boot -p guests=1
check 'with guests' exited 0
check 'too few pairs are said to be that' out_has 'ready: .* 2 pairs: too few to tell'

fl run null --aa --until-decided --budget 1m
check 'there is nothing to decide' exited 1
check 'which is said' err_has 'no claim to decide'
check 'with a remedy' has_remedy
finish
