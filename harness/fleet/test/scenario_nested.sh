#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check; the library is beside
# Guests inside guests: two L1 guests share the memory of L2 guests, one of which is moved between
# them four times, through shared memory, and stays the guest that it was.
. ci/scenario-lib.sh

# moves: the lines below the table's head, one a move.
moves() { sed '1,/pages compared/d' "$SCRATCH/out"; }
all_compared() { [ "$(moves | awk '$8 == 0' | wc -l)" = 0 ]; }

host_state >"$SCRATCH/before"
fl image build hypervisor
check 'the image is there' exited 0
fl bench --nested
check 'L2 guests are moved between L1 guests and are the same afterwards' exited 0
check 'both L1 guests map the same memory' out_has 'same memory *yes'
check 'four moves' [ "$(moves | wc -l)" = 4 ]
check 'each with pages compared' all_compared
check 'nothing runs' nothing_runs
host_state >"$SCRATCH/after"
check 'the host is as it was' cmp "$SCRATCH/before" "$SCRATCH/after"
finish
