#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: commands and terminals in a VM, through crosh's own vsock device.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

status_of() {
    "$@" >/dev/null 2>&1
    echo $?
}

check "a VM starts" start term
for status in 0 1 7 126 255; do
    equal "exit status $status comes back" "$(status_of run_in term sh -c "exit $status")" $status
done
equal "a signal is 128 and its number" "$(status_of run_in term sh -c 'kill -TERM $$')" 143
contains "an unknown command is named" "$(run_in term no-such-command 2>&1)" no-such-command

run_in term sh -c 'echo out; echo err >&2' >out 2>err
equal "stdout is stdout" "$(cat out)" out
equal "stderr is stderr" "$(cat err)" err

head -c 3000000 /dev/urandom >data
equal "3 MB of stdin arrive whole" "$(run_in term sha256sum <data)" "$(sha256sum <data)"
run_in term cat <data >copy
equal "and come back whole" "$(sha256sum <copy)" "$(sha256sum <data)"
equal "an empty stdin ends" "$(run_in term wc -c </dev/null)" 0

# Eight at once: each answers for itself.
i=0
pids=
while [ $i -lt 8 ]; do
    run_in term sh -c "sleep 1; echo session $i; exit $i" >session.$i &
    pids="$pids $!"
    i=$((i + 1))
done
i=0
for pid in $pids; do
    wait "$pid"
    equal "session $i of 8 at once has its status" $? $i
    equal "session $i of 8 at once has its output" "$(cat session.$i)" "session $i"
    i=$((i + 1))
done

equal "a session leaves no process behind" "$(run_in term pidof sleep)" ""
check "the VM stops" stop term
finish
