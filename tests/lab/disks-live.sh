#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: disks of a running VM: several queues under load, attached, detached, resized, limited.
lab_timeout=600
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

# shellcheck disable=SC2317 # called through "within"
# The guest's view: whether DEVICE is there, of that many bytes.
has_disk() { # has_disk DEVICE BYTES
    test "$(run_in "$vm" cat "/sys/block/$1/size" 2>/dev/null)" = "$(($2 / 512))"
}
# shellcheck disable=SC2317
has_no_disk() {
    run_in "$vm" test ! -e "/sys/block/$1"
}

truncate -s 64M /tmp/first
truncate -s 32M /tmp/second
check "a VM with 4 vcpus starts" start live --cpus 4 --transport pci --extra-disk /tmp/first
equal "each vcpu has a queue" "$(run_in live sh -c 'ls /sys/block/vda/mq | wc -l')" 4

# Four writers beside each other, each with data of its own; read back past the guest's cache.
# shellcheck disable=SC2016 # the variables are the guest's
equal "what writers write beside each other is read back" "$(run_in live sh -c '
    for i in 0 1 2 3; do
        (yes "line of writer $i" | head -c 8388608 >/tmp/w$i
         dd if=/tmp/w$i of=/dev/vda bs=64k seek=$((i * 128)) conv=notrunc 2>/dev/null
         sync) &
    done
    wait
    echo 3 >/proc/sys/vm/drop_caches
    for i in 0 1 2 3; do
        dd if=/dev/vda bs=64k skip=$((i * 128)) count=128 2>/dev/null | cmp - /tmp/w$i || echo differs $i
    done
    rm /tmp/w*
    echo done')" "done"
equal "the host has it, too" "$(dd if=/tmp/first bs=64k skip=256 count=128 2>/dev/null | sha256sum)" \
    "$(yes "line of writer 2" | head -c 8388608 | sha256sum)"

check "a disk is attached" crosh vmc disk attach --name more live /tmp/second
check "the guest sees it" within 60 has_disk vdb 33554432
contains "it is listed" "$(crosh vmc disk list live)" "more"
check "it is refused a second time" sh -c \
    'crosh vmc disk attach live /tmp/second 2>&1 | grep -q "in use by another VM"'
check "and under a name that is taken" sh -c \
    'truncate -s 1M /tmp/third; crosh vmc disk attach --name more live /tmp/third 2>&1 |
    grep -q "there is a disk more already"'
check "a file system works on it" run_in live sh -c 'mke2fs /dev/vdb >/dev/null 2>&1 &&
    mount -t ext4 /dev/vdb /mnt && echo kept >/mnt/file && umount /mnt'
check "it grows" crosh vmc disk resize live more 48M
check "the guest sees that" within 60 has_disk vdb 50331648
truncate -s 64M /tmp/second
check "a file that grew is noticed on request" crosh vmc disk resize live more
check "the guest sees that, too" within 60 has_disk vdb 67108864
check "it does not shrink" sh -c 'crosh vmc disk resize live more 1M 2>&1 | grep -q "only grow"'
equal "the file has the size" "$(stat -c %s /tmp/second)" 67108864
check "a disk of the start stays" sh -c \
    'crosh vmc disk detach live disk0 2>&1 | grep -q "since its start"'

check "a disk is limited" crosh vmc disk limit --iops 2 --iops-burst 1 live more
# Read ahead: there are several requests at once, so that one has to wait on any machine.
check "reads go on" run_in live sh -c 'echo 3 >/proc/sys/vm/drop_caches
    dd if=/dev/vdb of=/dev/null bs=1M count=1 2>/dev/null'
check "and have to wait" test "$(crosh vmc disk list --json live |
    sed -n 's/.*"throttled_us": *\([0-9]*\).*/\1/p' | tail -n 1)" -gt 0
contains "the limit is listed" "$(crosh vmc disk list live)" "2 op/s"
check "and is lifted" crosh vmc disk limit live more

check "it is detached" crosh vmc disk detach live more
check "the guest has it no more" has_no_disk vdb
equal "nor does the list" "$(crosh vmc disk list --json live | grep -c '"name"')" 1
for round in 1 2 3 4 5 6; do
    check "it comes ($round)" crosh vmc disk attach --name again live /tmp/second
    within 60 has_disk vdb 67108864
    check "and goes ($round)" crosh vmc disk detach live again
done
check "it is there once more" crosh vmc disk attach --read-only --name again live /tmp/second
check "the guest sees it once more" within 60 has_disk vdb 67108864
equal "its file was kept" "$(run_in live sh -c \
    'mount -t ext4 -o ro,noload /dev/vdb /mnt && cat /mnt/file; umount /mnt')" kept

# The driver lets go in the middle of the work: what is under way ends, and it can start anew.
# shellcheck disable=SC2016
equal "a disk is reset while it is busy" "$(run_in live sh -c '
    dev=$(basename "$(readlink -f /sys/block/vdb/device)")
    for i in 1 2 3 4 5; do
        echo 3 >/proc/sys/vm/drop_caches
        dd if=/dev/vdb of=/dev/null bs=256k 2>/dev/null &
        echo "$dev" >/sys/bus/virtio/drivers/virtio_blk/unbind
        wait
        echo "$dev" >/sys/bus/virtio/drivers/virtio_blk/bind
    done
    dd if=/dev/vdb of=/dev/null bs=1M count=1 2>/dev/null && echo alive')" alive

check "the guest reboots" sh -c 'crosh vsh live -- reboot; exit 0'
check "with the attached disk" within 60 has_disk vdb 67108864
check "which belongs to it now" sh -c \
    'crosh vmc disk detach live again 2>&1 | grep -q "since its start"'
check "the VM stops" stop live
equal "by power-off" "$(ended live)" "poweroff 0"

# A guest that has its devices over MMIO meets a PCI bus when the first disk comes, not before.
case $arch in
aarch64) transport=pci ;;
*) transport=mmio ;;
esac
truncate -s 64M /tmp/second
check "a VM starts over $transport" start quick --transport $transport --extra-disk /tmp/first
if [ $transport = mmio ]; then
    equal "it has no PCI bus" "$(run_in quick sh -c 'ls /sys/bus/pci/devices | wc -l')" 0
fi
for round in 1 2 3; do
    check "a disk comes ($round)" crosh vmc disk attach --name "more$round" quick /tmp/second
    check "the guest sees it ($round)" within 60 has_disk vdb 67108864
    check "what is written is read back ($round)" run_in quick sh -c 'echo "round $1" >/tmp/in &&
        dd if=/tmp/in of=/dev/vdb bs=4k conv=sync 2>/dev/null && sync &&
        echo 3 >/proc/sys/vm/drop_caches && dd if=/dev/vdb bs=4k count=1 2>/dev/null |
        head -n 1 | cmp - /tmp/in' sh "$round"
    equal "the host has it ($round)" "$(head -n 1 /tmp/second)" "round $round"
    check "beside it another one comes ($round)" crosh vmc disk attach --name "other$round" quick /tmp/third
    check "and is seen ($round)" within 60 has_disk vdc 1048576
    check "it goes ($round)" crosh vmc disk detach quick "more$round"
    check "the guest has it no more ($round)" within 60 has_no_disk vdb
    check "the other one works on ($round)" run_in quick dd if=/dev/vdc of=/dev/null bs=64k
    check "and goes ($round)" crosh vmc disk detach quick "other$round"
    check "the guest has neither ($round)" within 60 has_no_disk vdc
done
check "one is left in" crosh vmc disk attach --name last quick /tmp/second
check "the guest sees it" within 60 has_disk vdb 67108864
boot_id=$(run_in quick cat /proc/sys/kernel/random/boot_id)
check "the guest reboots" sh -c 'crosh vsh quick -- reboot; exit 0'
check "and comes back" within 60 sh -c "
    new=\$(crosh vsh quick -- cat /proc/sys/kernel/random/boot_id) && [ \"\$new\" != '$boot_id' ]"
check "with the attached disk" within 60 has_disk vdb 67108864
check "another comes after the reboot" crosh vmc disk attach --name after quick /tmp/third
check "and is seen there" within 60 has_disk vdc 1048576
check "it stops with a disk that was attached" stop quick
equal "by power-off, too" "$(ended quick)" "poweroff 0"
finish
