#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: what is asked of a running VM over its control socket.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

# Memory of the launcher that is there on the host, in MiB.
resident() {
    awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(cat "$(runtime vm)/pid")/status"
}

# figure NAME: a number of the balloon's, in MiB.
figure() {
    crosh vmc balloon --json vm | awk -v name="\"$1\":" '$1 == name { print int($2 / 1048576) }'
}

resident_below() { [ "$(resident)" -lt "$1" ]; }
figure_is() { [ "$(figure "$1")" -eq "$2" ]; }

truncate -s 150M disk.img
check "a VM starts" start vm --extra-disk disk.img
contains "its kernel drives the balloon" "$(crosh vmc balloon --json vm)" '"has_driver": true'
equal "nothing is asked of the guest at first" "$(figure target_bytes)" 0
check "the guest tells of its memory" [ "$(figure total_bytes)" -gt 200 ]

# Memory is used, then freed: it comes back to the host without a word from here.
check "a file fills memory" run_in vm sh -c \
    'mount -t tmpfs -o size=140m none /mnt && dd if=/dev/zero of=/mnt/file bs=1M count=120 2>/dev/null'
full=$(resident)
check "which the host has to find ($full MiB)" [ "$full" -gt 130 ]
check "the file goes" run_in vm rm /mnt/file
check "and the host has its memory back" within 60 resident_below $((full - 90))
check "by reports of free pages" [ "$(figure reported_bytes)" -gt 90 ]

# The same by request: the guest gives up what is no free memory, its cache of the disk.
# The cache lasts as long as somebody has the disk open.
check "the disk's cache fills memory" run_in vm sh -c \
    'setsid sleep 600 </dev/vda >/dev/null 2>&1 & dd if=/dev/vda of=/dev/null bs=1M 2>/dev/null'
check "and is not free" [ "$(figure free_bytes)" -lt 90 ]
full=$(resident)
check "which the host has to find ($full MiB)" [ "$full" -gt 150 ]
check "140 MiB are asked for" crosh vmc balloon vm 140M
check "the guest gives them" within 60 figure_is actual_bytes 140
check "it has so much less" [ "$(figure available_bytes)" -lt 70 ]
check "and the host more ($(resident) MiB)" resident_below $((full - 90))
check "they are given back" crosh vmc balloon vm 0
check "and taken" within 60 figure_is actual_bytes 0
check "the guest can use them" run_in vm dd if=/dev/zero of=/mnt/file bs=1M count=120
check "and does" [ "$(resident)" -gt 150 ]
run_in vm rm /mnt/file

contains "more than there is, is refused" "$(crosh vmc balloon vm 1G 2>&1)" \
    "the VM has only 256 MiB of memory to give"

check "the power button is pressed" crosh vmc button vm
equal "and the guest powers off" "$(ended vm)" "poweroff 0"
contains "a stopped VM has no button" "$(crosh vmc button vm 2>&1)" "VM vm is not running"
finish
