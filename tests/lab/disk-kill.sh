#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: VMs killed at random moments while they write: the file system can be repaired by its
# journal, and every record that was synced is there. (The many kills are in tests/kvm/test-blk-kill.)
lab_timeout=600
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

kills=4
truncate -s 64M /tmp/disk
/usr/sbin/mke2fs -q -t ext4 /tmp/disk

# Records with checksums, each synced before its number is told; and noise that is not synced.
# shellcheck disable=SC2016 # the variables are the guest's
writer='
    mount -t ext4 /dev/vda /mnt || exit 1
    while :; do
        dd if=/dev/urandom of=/mnt/noise bs=64k count=64 2>/dev/null
        rm /mnt/noise
    done &
    n=$(grep -c . /mnt/log)
    while :; do
        n=$((n + 1))
        echo "$n $(echo "record $n" | md5sum)" >>/mnt/log
        sync /mnt/log && echo "$n"
    done'

acknowledged() {
    tail -n 1 /tmp/acknowledged 2>/dev/null
}
# shellcheck disable=SC2317 # called through "within"
has_more() { # has_more THAN
    test "$(acknowledged || echo 0)" -gt "$1"
}

check "a VM starts" start kill --cpus 2 --extra-disk /tmp/disk
before=0
round=0
while [ "$round" -lt "$kills" ] && [ "$failed" -eq 0 ]; do
    round=$((round + 1))
    [ "$round" -eq 1 ] || check "it starts again" start kill
    crosh vsh kill -- sh -c "$writer" >/tmp/acknowledged 2>/tmp/writer.log &
    check "records are written ($round)" within 60 has_more "$before"
    usleep $((($(head -c 2 /dev/urandom | od -An -tu2) % 1000) * 1000))
    kill_vm kill
    wait
    last=$(acknowledged)
    cp /tmp/disk /tmp/copy
    /usr/sbin/e2fsck -fp /tmp/copy >/tmp/fsck.log
    check "the journal repairs the file system ($round)" test $? -le 1
    check "nothing else is wrong with it ($round)" /usr/sbin/e2fsck -fn /tmp/copy
    /usr/sbin/debugfs -R "dump /log /tmp/log" /tmp/copy 2>/dev/null
    missing=$(awk -v last="$last" '
        { seen[$1] = 1 }
        END { for (n = 1; n <= last; n++) if (!(n in seen)) missing++; print missing + 0 }' /tmp/log)
    equal "all $last records that were acknowledged are there ($round)" "$missing" 0
    wrong=0
    head -n "$last" /tmp/log >/tmp/head
    while read -r number sum _; do
        [ "$sum" = "$(echo "record $number" | md5sum | cut -d' ' -f1)" ] || wrong=$((wrong + 1))
    done </tmp/head
    equal "and whole ($round)" "$wrong" 0
    before=$last
done
finish
