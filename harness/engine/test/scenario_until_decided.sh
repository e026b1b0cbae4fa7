#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# --until-decided spends a budget on what is undecided, and ends when nothing is.
. ci/scenario-lib.sh

# One block is planned, of two pairs: nine are the least that decide anything where one looks again
# after every block.
fl run null --profile paper -e little --until-decided --budget 5m --seed 1 -p readings=15
check 'the run ends by itself' exited 0
record=$(sed -n 's/^fleetlab: record: //p' "$SCRATCH/err")
check 'because all is decided, not because the time is up' grep -q '"state": *"complete"' "$record"
check 'the claim is' out_has '^ *N4 *reproduced'
check 'and says that it was looked at until it was' out_has 'interval 99.5 %: stopped when decided'
more_than_planned() {
	[ "$(grep -c '^{"trial"' "${record%.json}/journal.jsonl")" -ge 20 ]
}
check 'it took more blocks than were planned' more_than_planned

fl run null --profile paper -e little --seed 1
check 'without it the plan is all' exited 0
check 'and the claim is open' out_has '^ *N4 *inconclusive'
check 'with a forecast' out_has 'more boots .* would probably decide'

# What is decided by the plan gets nothing more.
fl run null --profile quick -e effect --until-decided --budget 5m --seed 1
check 'a plan that decides' exited 0
record=$(sed -n 's/^fleetlab: record: //p' "$SCRATCH/err")
check 'is run as planned' [ "$(grep -c '^{"trial"' "${record%.json}/journal.jsonl")" = 48 ]

fl run null --until-decided
check 'without a budget it is refused' exited 1
check 'with a remedy' has_remedy
finish
