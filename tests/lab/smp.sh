#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: more than one vcpu.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

check "4 vcpus boot" start four --cpus 4
equal "all 4 are up" "$(run_in four nproc)" 4
equal "/proc/cpuinfo has 4" "$(run_in four grep -c ^processor /proc/cpuinfo)" 4
# Each vcpu does work of its own at the same time, and all of it comes back.
equal "all 4 compute" "$(run_in four sh -c '
    for cpu in 0 1 2 3; do
        taskset $((1 << cpu)) sh -c "i=0; while [ \$i -lt 5000 ]; do i=\$((i + 1)); done; echo \$i" &
    done
    wait' | sort | uniq -c | tr -s ' ')" " 4 5000"
ticks=$(run_in four awk '$1 == "LOC:" { print $2, $3, $4, $5 } /arch_timer/ { print $2, $3, $4, $5 }' \
    /proc/interrupts)
# shellcheck disable=SC2086 # its words
set -- $ticks
equal "each has a timer" $# 4
for count in "$@"; do
    check "which ticks ($count)" test "$count" -gt 0
done
check "4 vcpus stop" stop four
equal "by power-off" "$(ended four)" "poweroff 0"

check "8 vcpus boot" start eight --cpus 8
equal "all 8 are up" "$(run_in eight nproc)" 8
check "8 vcpus stop" stop eight

finish
