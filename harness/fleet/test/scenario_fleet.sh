#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check and wait_until; the library is beside
# A fleet for people: up, list, exec, down; every guest is itself; what dies is told, and whatever
# dies nothing stays.
. ci/scenario-lib.sh

# guest GUEST COMMAND…: what the command prints in the guest.
guest() {
	fl fleet exec "$@"
	cat "$SCRATCH/out"
}
guests_up() {
	fl fleet list
	[ "$(grep -c ' up ' "$SCRATCH/out")" = "$1" ]
}
differ() { [ "$(printf '%s\n' "$@" | sort -u | wc -l)" = $# ]; }
no_trace() { nothing_runs && [ -z "$(find /run/fleetlab/fleets -type s -o -name '*.pid' 2>/dev/null)" ]; }
is_gone() {
	fl fleet list
	out_has "$1 .*GONE"
}

host_state >"$SCRATCH/before"
fl fleet up 4 --memory 128M
check 'four clones come up' exited 0
check 'the time to ready is told' err_has '4 guests ready in [0-9.]* s'
check 'all four are up' guests_up 4
fl fleet list --json
check 'list --json' out_has '"alive": true'

ids='' macs='' uuids='' names=''
for g in g0 g1 g2 g3; do
	names="$names $(guest $g -- hostname)"
	ids="$ids $(guest $g -- cat /etc/machine-id)"
	macs="$macs $(guest $g -- cat /sys/class/net/eth0/address)"
	uuids="$uuids $(guest $g -- cat /proc/sys/kernel/random/uuid)"
done
check 'each guest has its name' [ "$names" = ' g0 g1 g2 g3' ]
# shellcheck disable=SC2086
check 'machine-ids differ' differ $ids
# shellcheck disable=SC2086
check 'MAC addresses differ' differ $macs
# shellcheck disable=SC2086
check 'the kernels draw different random numbers' differ $uuids

clock_is_near() {
	there=$(guest g2 -- date +%s)
	off=$((there - $(date +%s)))
	[ "$off" -ge -2 ] && [ "$off" -le 2 ]
}
check "a clone's clock is the host's" clock_is_near
fl fleet exec g0 -- ping -c 1 -W 5 10.77.0.4
check 'g0 reaches g3' exited 0
fl fleet exec g3 -- ping -c 1 -W 5 10.77.0.254
check 'g3 reaches the host end of the link' exited 0

fl fleet exec g1 -- sh -c 'echo to-out; echo to-err >&2; exit 42'
check "a command's exit status is passed on" exited 42
check 'its output' out_has '^to-out$'
check 'its errors' err_has '^to-err$'
printf 'a line\nand another' | "$FLEETLAB" fleet exec --stdin g1 -- wc -c >"$SCRATCH/out" 2>"$SCRATCH/err"
check '--stdin passes input on' out_has '^18$'
fl fleet exec g1 -- cat
check 'without --stdin a command has none, and ends' exited 0
fl fleet exec --timeout 1s g1 -- cat /dev/zero
check 'a command that never ends: the deadline is told' exited 1
fl fleet exec g1 -- hostname
check 'and the guest still answers' out_has '^g1$'
fl fleet exec g9 -- true
check 'an unknown guest is an error' exited 1
check 'which names it' err_has "'g9'"
fl fleet exec g1 -- no-such-program
check 'an unknown program is an error' exited 1
check 'which names it' err_has no-such-program
fl fleet up 1
check 'a second fleet of the same name is refused' exited 1
check 'with a remedy' has_remedy
check 'and the first one lives' guests_up 4

# A panic, and a power-off: told long before the deadline; the others go on.
fl fleet exec --timeout 60s g0 -- sh -c 'echo c >/proc/sysrq-trigger'
check 'exec in a guest that panics fails' exited 1
check 'because it is gone' err_has 'g0 is gone'
check 'list tells' wait_until 20 is_gone g0
fl fleet exec --timeout 60s g0 -- hostname
check 'exec in a dead guest fails' exited 1
check 'by name' err_has g0
fl fleet exec --timeout 60s g1 -- poweroff -f
check 'a guest that powers off is gone' wait_until 20 is_gone g1
fl fleet exec g2 -- ping -c 1 -W 5 10.77.0.4
check 'the others go on' exited 0

fl fleet down
check 'down' exited 0
check 'no process, no socket stays' no_trace
fl fleet down
check 'down without a fleet is an error' exited 1
check 'with a remedy' has_remedy

# Two fleets at once; kill -9 of the keeper, and of the lab's first process.
fl fleet up 1 --name one --memory 128M
check 'a fleet with a name' exited 0
fl fleet up 1 --name two --memory 128M --cold
check 'another one beside it, booted cold' exited 0
fl fleet exec --name two g0 -- hostname
check 'which answers' out_has '^g0$'
keepers=$(processes '^fleetlab-body .*--name one')
check 'the keeper of the first is found' [ "$(echo "$keepers" | wc -w)" = 1 ]
kill -KILL "$keepers"
one_is_gone() { [ -z "$(processes '(--name one|guest=g0.*/one/)')" ]; }
check 'kill -9 of a keeper ends its lab' wait_until 10 one_is_gone
fl fleet list
check 'list does not fail over it' exited 0
check 'nor show it' not out_has 'fleet one'
check 'and shows the other' out_has 'fleet two'
kill -KILL "$(cat /run/fleetlab/fleets/two.pid)"
check "kill -9 of a lab's first process ends all" wait_until 10 nothing_runs
fl gc
check 'gc removes what they left' out_has '2 stale fleets'
check 'no socket, no note stays' no_trace
host_state >"$SCRATCH/after"
check 'the host is as it was' cmp "$SCRATCH/before" "$SCRATCH/after"

# The debian image takes a minute and more to build: only where it is there.
if [ -n "${FLEETLAB_TEST_DEBIAN:-}" ] || "$FLEETLAB" image list | grep -q '^debian '; then
	fl fleet up 1 --image debian --memory 512M
	check 'a Debian guest comes up' exited 0
	fl fleet exec g0 -- systemctl is-system-running --wait
	check 'with systemd' out_has '^\(running\|degraded\)$'
	fl fleet down
	check 'and goes down' no_trace
fi
finish
