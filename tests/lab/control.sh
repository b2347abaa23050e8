#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: what is asked of a running VM over its control socket.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

# Memory of the launcher, the supervisor's child, that is there on the host, in MiB.
resident() {
    pid=$(cat "$(runtime vm)/pid")
    awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(tr -d ' ' <"/proc/$pid/task/$pid/children")/status"
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

# A subscriber from here on; its last words are judged at the end.
crosh vmc events --json vm >events.log 2>&1 &
events=$!

# Figures. stat DEVICE NAME: a number of a device's.
stat() {
    crosh vmc stats --json vm >stats.log
    awk -v device="\"$1\"," -v name="\"$2\":" \
        '$1 == "\"name\":" { here = $2 == device } here && $1 == name { print int($2); exit }' stats.log
}
# A number of the first vcpu's, of a name that the whole has once before.
vcpu() {
    crosh vmc stats --json vm | sed -n '/"vcpus"/,/"devices"/p' |
        awk -v name="\"$1\":" '$1 == name { print int($2); exit }'
}
equal "the disk was not read yet" "$(stat blk1 read_bytes)" ""
before=$(stat blk0 written_bytes)
run_in vm dd if=/dev/vda of=/dev/null bs=64k count=160 2>/dev/null
after=$(stat blk0 written_bytes)
check "10 MiB read are 10 MiB counted ($before, then $after)" \
    [ $((after - before)) -ge 10485760 -a $((after - before)) -lt 12582912 ]
check "by requests" [ "$(stat blk0 requests)" -gt 20 ]
check "and interrupts" [ "$(stat blk0 interrupts)" -gt 0 ]
equal "none failed" "$(stat blk0 errors)" 0
check "streams count, too" [ "$(stat vsock0 read_bytes)" -gt 100 ]
user=$(vcpu user_us)
run_in vm dd if=/dev/zero of=/dev/null bs=64k count=20000 2>/dev/null
check "a vcpu that works uses time ($user us, then $(vcpu user_us))" [ "$(vcpu user_us)" -gt "$user" ]
check "its exits are counted" [ "$(vcpu port)" -gt 0 ]
equal "and the host's kernel counts the same" "$(sed -n 's/.*"io_exits": \(.*\),/\1/p' stats.log)" \
    "$(sed -n 's/.*"port": \(.*\),/\1/p' stats.log)"
guest=$(crosh vmc stats --json vm | awk '$1 == "\"guest_us\":" { print int($2) }')
check "time in the guest is told ($guest us)" [ "$guest" -gt 0 ]
contains "people are told as well" "$(crosh vmc stats vm)" "exits to the launcher"

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
wait $events
equal "its subscriber is content" $? 0
contains "it saw the balloon grow" "$(cat events.log)" '"actual_bytes":146800640'
contains "and the guest stop" "$(cat events.log)" '{"event":"state","state":"stopping"}'
contains "and the end" "$(tail -n 1 events.log)" '{"event":"ended","reason":"poweroff"'
contains "a stopped VM has no button" "$(crosh vmc button vm 2>&1)" "VM vm is not running"
finish
