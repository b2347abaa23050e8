#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: a host without room for what a guest writes: the VM waits, says so, and goes on.
lab_timeout=600
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

# shellcheck disable=SC2317 # both are called through "within"
waits() {
    crosh vmc list 2>&1 | grep -q "full waits: the host has no room for what it writes to disk0"
}
# shellcheck disable=SC2317
goes_on() {
    test "$(state)" = running
}
state() {
    crosh vmc status full | sed -n 's/^state: *//p'
}

# The guest's file system believes in 64 MiB, of which the host has room for 24.
mkdir /tmp/small
mount -t tmpfs -o size=24m none /tmp/small
truncate -s 64M /tmp/small/disk
/usr/sbin/mke2fs -q -t ext4 /tmp/small/disk
check "a VM starts" start full --extra-disk /tmp/small/disk
check "its disk is mounted" run_in full mount -t ext4 -o errors=panic /dev/vda /mnt
check "what fits is written" run_in full sh -c 'echo before >/mnt/before && sync'

# 32 MiB, in records that can be told from each other: they do not fit.
# shellcheck disable=SC2016 # the variables are the guest's
crosh vsh full -- sh -c '
    i=0
    while [ $i -lt 32 ]; do
        yes "record $i" | head -c 1048576 >/mnt/record$i || exit 1
        i=$((i + 1))
    done
    sync && echo all written' >/tmp/writer 2>&1 &
writer=$!
check "the VM comes to wait, and the list says so" within 60 waits
equal "it is paused" "$(state)" paused
contains "its status says why" "$(crosh vmc status full)" \
    "waits:         the host has no room for what it writes to disk0"
contains "as does the list of disks" "$(crosh vmc disk list full)" "waits for room"
check "the launcher says so, too" grep -q "disk disk0: the host has no room" \
    "$(runtime full)/launcher.log"
check "resuming does not help yet" crosh vmc resume full
equal "it is still paused" "$(state)" paused
check "a snapshot is refused" sh -c '! crosh vmc suspend full 2>/dev/null'

mount -o remount,size=60m /tmp/small
check "with room it goes on by itself" within 60 goes_on
wait "$writer"
equal "the writer saw no error" "$(cat /tmp/writer)" "all written"
# shellcheck disable=SC2016 # the variables are the guest's
equal "and all of it is there" "$(run_in full sh -c '
    echo 3 >/proc/sys/vm/drop_caches
    i=0
    while [ $i -lt 32 ]; do
        yes "record $i" | head -c 1048576 | cmp - /mnt/record$i || echo "record $i differs"
        i=$((i + 1))
    done
    cat /mnt/before')" before
check "the disk saw no error" sh -c 'crosh vmc disk list --json full | grep -q "\"errors\": 0"'
check "the VM stops" stop full
equal "by power-off" "$(ended full)" "poweroff 0"
check "the file system is in order" /usr/sbin/e2fsck -fn /tmp/small/disk

# Ended while it waits: nothing hangs.
mount -o remount,size=40m /tmp/small
check "the VM starts again" start full
run_in full mount -t ext4 /dev/vda /mnt
crosh vsh full -- dd if=/dev/zero of=/mnt/more bs=1M count=20 conv=fsync >/dev/null 2>&1 &
check "it waits again" within 60 waits
check "it can be ended" crosh vmc stop --force full
equal "by force" "$(ended full)" "killed 12"
# fsck repairs by the journal what the end interrupted.
/usr/sbin/e2fsck -fp /tmp/small/disk >/dev/null
check "the file system can be repaired" test $? -le 1
finish
