#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check; the library is beside
# make install puts everything in its place, and systemd takes the units as they are.
. ci/scenario-lib.sh

prefix=$SCRATCH/usr units=$SCRATCH/units
make -s install PREFIX="$prefix" UNITDIR="$units" >"$SCRATCH/out" 2>"$SCRATCH/err" || status=$?
last='make install'
check 'it installs' exited 0
for file in bin/fleetlab share/man/man1/fleetlab.1 share/bash-completion/completions/fleetlab; do
	check "$file is there" [ -s "$prefix/$file" ]
done
for unit in fleetlab-nightly.service fleetlab-nightly.timer fleetlab-nightly-resume.service fleetlab-serve.service; do
	check "$unit is there" [ -s "$units/$unit" ]
done
check 'with the place of the program' grep -q "^ExecStart=$prefix/bin/fleetlab nightly" "$units/fleetlab-nightly.service"
# Labs need /dev/kvm, /dev/net/tun and /dev/vhost-net, which are in no list that systemd makes by itself.
check 'nights have all devices' not grep -E '^(ProtectClock|PrivateDevices|Device[A-Z])' "$units/fleetlab-nightly.service" "$units/fleetlab-nightly-resume.service"
check 'and no mark left' sh -c "! grep -r @ '$units' | grep -v SystemCallFilter"
if command -v systemd-analyze >/dev/null; then
	systemd-analyze verify --man=no "$units"/* >"$SCRATCH/out" 2>"$SCRATCH/err" </dev/null || status=$?
	last='systemd-analyze verify'
	check 'systemd takes them' exited 0
	check 'without a word' [ ! -s "$SCRATCH/err" ]
else
	echo 'skipped: no systemd-analyze here'
fi

# The options that the units give are those that the program has.
for service in nightly nightly-resume; do
	words=$(sed -n 's/^ExecStart=[^ ]* //p' "$units/fleetlab-$service.service")
	# shellcheck disable=SC2086
	fl $words --max-load none
	check "fleetlab-$service gives options that exist" err_has '--max-load none: not a number'
done
finish
