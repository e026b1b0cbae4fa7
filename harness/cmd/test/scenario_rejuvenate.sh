#!/bin/sh
# shellcheck disable=SC1091,SC2154 # the library is beside; $status is its
# A running fleet is moved to a fresh stack by one command, with connections open; what cannot be
# done is refused with the reason, and the guests go on.
. ci/scenario-lib.sh

boot_ids() {
	for guest in g0 g1 g2; do
		"$FLEETLAB" fleet exec "$guest" -- cat /proc/sys/kernel/random/boot_id || return 1
	done
}
same_boots() { boot_ids >"$SCRATCH/now" && cmp -s "$SCRATCH/boots" "$SCRATCH/now"; }
qemus() { processes '^qemu-system-x86 ' | wc -l; }
stacks() { processes '^exe fleetlab stack ' | wc -l; }
is() { [ "$1" = "$2" ]; }
all_kept() { [ "$(grep -c ' kept$' "$SCRATCH/out")" = 3 ]; }
all_same() { [ "$(grep -c 'pages  the same ' "$SCRATCH/out")" = 3 ]; }

fl rejuvenate
check 'no fleet: a usage error' exited 1
check 'with a remedy' has_remedy
fl fleet up 3 --movable --memory 128M
check 'a movable fleet comes up' exited 0
boot_ids >"$SCRATCH/boots"
fl fleet exec g0 -- sh -c 'echo kept >/tmp/file'
check 'a file is left in a guest' exited 0

fl rejuvenate --watch
check 'rejuvenated' exited 0
check 'every connection is kept' all_kept
check 'every guest has the same memory' all_same
check 'the same boots go on' same_boots
check 'one QEMU a guest' is "$(qemus)" 3
check 'one stack' is "$(stacks)" 1
fl fleet exec g0 -- cat /tmp/file
check 'the file is there' out_has '^kept$'

fl rejuvenate --together --digest-all --age 2
check 'all together, after aging' exited 0
check 'aged memory is told' out_has 'old stack, aged'
check 'the same boots go on' same_boots
fl rejuvenate --method precopy
check 'by copying' exited 0
check 'which is said' out_has ' copied'
check 'the same boots go on' same_boots
fl rejuvenate --json
check 'once more, as JSON' exited 0
check 'with the number of the stack' out_has '"stack": 4'
# Two at once: one waits for the other.
fl_start first rejuvenate --age 100
first=$started
check 'a rejuvenation is under way' wait_until 20 grep -q 'aging stack' "$SCRATCH/first.err"
fl_start second rejuvenate --json
second=$started
fl_wait first "$first"
check 'another one does not disturb it' exited 0
check 'it made stack 5' out_has '(number 5)'
fl_wait second "$second"
check 'which waits, and then does the same' exited 0
check 'from stack 5 to stack 6' out_has '"stack": 6'
check 'the same boots go on' same_boots
check 'one QEMU a guest' is "$(qemus)" 3
check 'one stack' is "$(stacks)" 1
fl_start first rejuvenate --age 100
first=$started
check 'a rejuvenation is under way' wait_until 20 grep -q 'aging stack' "$SCRATCH/first.err"
fl rejuvenate --timeout 1ms
check 'who does not want to wait is refused' exited 1
check 'with the reason' err_has 'waiting for the command that has to do with guest'
check 'and a remedy' has_remedy
fl_wait first "$first"
check 'and nothing is lost by it' exited 0
check 'the same boots go on' same_boots
fl fleet enter -- ip -brief address show lan
check "a command of the host is in the fleet's network" out_has '10.77.0.254/24'
fl fleet enter -- /no/such/program
check 'what cannot be run is told' err_has 'cannot run /no/such/program'
fl rejuvenate --method telepathy
check 'an unknown method is refused' exited 1
check 'with a remedy' has_remedy
fl fleet exec g2 -- mv /sbin/fleetlab-guest /sbin/away
check 'a guest loses what it is watched with' exited 0
fl rejuvenate --watch
check 'then it cannot be watched' exited 1
check 'when others are already' err_has 'connecting to each guest'
fl fleet exec g0 -- sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" " "'
check 'which tell what runs there' out_has 'qemu-ga'
check 'and of the watch nothing stays' not out_has 'echo --port'
check 'the same boots go on' same_boots
fl fleet list
check 'the fleet is whole' out_has 'g2 .* up '
fl fleet down
check 'down' exited 0

fl fleet up 1 --memory 128M
fl rejuvenate
check "memory that is the template's cannot be mapped" exited 1
check 'the remedy names --movable' err_has 'fleet up .*--movable'
fl fleet exec g0 -- true
check 'the guest goes on' exited 0
fl rejuvenate --method precopy
check 'but copied' exited 0
fl fleet exec g0 -- true
check 'and the guest goes on' exited 0
fl fleet down
check 'nothing stays' wait_until 10 nothing_runs
finish
