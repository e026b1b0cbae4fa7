#!/bin/sh
# shellcheck disable=SC1091,SC2154 # the library is beside
# The dashboard in a real browser: a run and a fleet while they live, and ten thousand runs.
. dashboard/web/test/scenario-browser.sh
export STORE_10000="$SCRATCH/10000"

fl_start big synthetic 10000 "$STORE_10000" # half a minute of one processor, beside the first tests
big=$started
browse live.test.js
fl_wait big "$big"
check 'ten thousand synthetic runs are made' exited 0
fl index --results "$STORE_10000"
check 'ten thousand runs are indexed' exited 0
browse scale.test.js
finish
