#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: VMs killed at random moments while they write and flush, on a host whose power fails then:
# what its page cache held is lost. The journal repairs the guest's file system, and every record that
# was told to be durable is there. CROSH_DISK_KILLS is how often (50).
# shellcheck disable=SC2034
lab_timeout=2400
lab_built='lab/take-snapshot lab/flush-log'
lab_arguments=${CROSH_DISK_KILLS-}
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

kills=${1:-50}

# The host's file system with the disk, whose own file stands for the host's disk.
host_down() {
    ./flush-log power-failure host && umount host
}
host_up() {
    mount -o loop host.img host
}
modprobe loop
mkdir host
truncate -s 64M host.img
/usr/sbin/mke2fs -q -t ext4 host.img
host_up
truncate -s 32M host/disk
/usr/sbin/mke2fs -q -t ext4 host/disk
sync

# Each VM is the same one restored, which has not looked at the disk yet: booting takes longer. That
# the disk has been written to since is what restoring looks at, and here all right.
age() {
    touch -d '2027-01-01 00:00:00' host/disk
}
# shellcheck disable=SC2317 # both are called through "within"
running() {
    crosh vmc status kill | grep -q '^state: *running'
}
# shellcheck disable=SC2317
has_acknowledged() {
    test -s acknowledged
}
acknowledged() { # acknowledged WRITER: its last record that was told of
    awk -v writer="$1" '$1 == writer && $2 != "" { last = $2 } END { print last + 0 }' acknowledged
}

age
check "a VM starts" launch kill --cpus 2 --disk host/disk
check "it gets its program" crosh vsh cp flush-log kill:/flush-log
check "it is saved" ./take-snapshot kill saved stop
equal "and ends" "$(ended kill)" "suspended 0"
round=0
while [ "$round" -lt "$kills" ] && [ "$failed" -eq 0 ]; do
    round=$((round + 1))
    age
    relaunch kill --cpus 2 --disk host/disk --restore saved
    check "it is there again ($round)" within 60 running
    : >acknowledged
    crosh vsh kill -- sh -c 'mount -t ext4 /dev/vda /mnt && exec /flush-log write /mnt' \
        >acknowledged 2>writer.log &
    check "records are written ($round)" within 60 has_acknowledged
    usleep $((($(head -c 2 /dev/urandom | od -An -tu2) % 1000) * 1000))
    kill_vm kill
    check "the host goes down ($round)" host_down
    wait
    check "and comes back ($round)" host_up
    cp host/disk copy
    /usr/sbin/e2fsck -fp copy >fsck.log
    check "the journal repairs the file system ($round)" test $? -le 1
    /usr/sbin/e2fsck -fn copy >fsck.log 2>&1
    equal "nothing else is wrong with it ($round)" $? 0
    for writer in 0 1; do
        last=$(acknowledged $writer)
        rm -f log
        /usr/sbin/debugfs -R "dump /log$writer log" copy 2>/dev/null
        check "all $last records that writer $writer told of are there ($round)" \
            ./flush-log check log $writer "$last"
    done
done
echo "# $round kills"
finish
