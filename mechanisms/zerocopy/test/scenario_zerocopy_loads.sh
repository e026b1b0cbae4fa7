#!/bin/sh
# shellcheck disable=SC2317,SC1091,SC2154 # called by check; the library is beside
# Paper D's workloads of two machines: data over the cable and through the tunnel, and a web server
# that is moved while httperf asks it.
. ci/scenario-lib.sh

record_of_last() { record=$(sed -n 's/^fleetlab: record: //p' "$SCRATCH/err"); }
has() { grep -q -e "\"name\": \"$1\"" "$record"; }
has_metric() { grep -q -e "\"metric\": \"$1\"" "$record"; }

fl run zerocopy --profile paper -e throughput --variant phys -p transfer_s=1 --budget 14s
check 'data is sent between two machines' exited 0
check 'and a trial is ok' out_has '[1-9] ok, 0 failed, 0 invalid'
record_of_last
check 'the cable has carried it' has link
check 'and what went through the tunnel' has link-ssh
check 'both are measured' has_metric throughput_ssh

fl run zerocopy --profile paper -e web --variant phys -p memory_mib=384 --budget 28s
check 'a web server is moved' exited 0
check 'and a trial is ok' out_has '[1-9] ok, 0 failed, 0 invalid'
record_of_last
check 'it has served before and after' has served
check 'there is a time series' has_metric web_throughput
check 'and a loss' has_metric throughput_lost

fl run zerocopy --profile paper -e web --variant phys -p memory_mib=256
check 'a guest too small for the server is refused' exited 1
check 'with the least size' err_has 'memory_mib=320'

fl run zerocopy --profile paper -e throughput --variant flat-zerocopy
check 'one host has no link to be measured' exited 1
finish
