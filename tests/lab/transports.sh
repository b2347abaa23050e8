#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: the same devices over PCI and over MMIO.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

head -c 8388608 /dev/urandom >/tmp/disk
sum=$(sha256sum </tmp/disk)

# exercise NAME: what must be the same whichever way the devices are reached.
exercise() {
    equal "$1: the disk reads as it is" "$(run_in "$1" sha256sum /dev/vda | cut -d' ' -f1)  -" "$sum"
    equal "$1: several read it at once" "$(run_in "$1" sh -c 'echo 3 >/proc/sys/vm/drop_caches
        for i in 1 2 3 4; do sha256sum /dev/vda & done; wait' | cut -d' ' -f1 | sort -u)  -" "$sum"
    equal "$1: what is written is read back" "$(run_in "$1" sh -c '
        dd if=/dev/vda of=/dev/vdb bs=64k 2>/dev/null && sync && echo 3 >/proc/sys/vm/drop_caches &&
        cmp -n 8388608 /dev/vda /dev/vdb && echo same')" same
    check "$1: the random source is ours" run_in "$1" sh -c '
        grep -q virtio /sys/class/misc/hw_random/rng_current &&
        head -c 64 /dev/hwrng | wc -c | grep -q -x 64'
    equal "$1: a stream carries much" "$(run_in "$1" sh -c 'head -c 4000000 /dev/zero' | wc -c)" 4000000
    equal "$1: the driver binds anew" "$(run_in "$1" sh -c '
        cd /sys/bus/virtio/drivers/virtio_rng && for d in virtio*; do
            echo $d >unbind && echo $d >bind; done; head -c 8 /dev/hwrng | wc -c')" 8
    equal "$1: no interrupt was lost to nobody" "$(run_in "$1" sh -c 'dmesg | grep -c "nobody cared"')" 0
}

parents() { # parents NAME: what the virtio devices hang on
    run_in "$1" sh -c 'for d in /sys/bus/virtio/devices/*; do
        basename "$(dirname "$(readlink -f $d)")"; done' | sed 's/:.*//; s/^[0-9a-f]*\.//' | sort -u
}

truncate -s 8M /tmp/second
check "over MMIO it boots" start mmio --extra-disk /tmp/disk --extra-disk /tmp/second
case $arch in
aarch64) equal "the devices are at places of the device tree" "$(parents mmio)" virtio_mmio ;;
*) equal "the devices are at places that ACPI names" "$(parents mmio)" LNRO0005 ;;
esac
equal "there is no PCI" "$(run_in mmio sh -c 'ls /sys/bus/pci/devices | wc -l')" 0
exercise mmio
check "over MMIO it stops" stop mmio
equal "by power-off" "$(ended mmio)" "poweroff 0"

# A kernel and an initramfs of the user's own may lack the driver: they get PCI.
truncate -s 0 /tmp/second
truncate -s 8M /tmp/second
check "over PCI it boots" start pci --kernel /images/micro/vmlinux --initrd /images/micro/initramfs \
    --extra-disk /tmp/disk --extra-disk /tmp/second
equal "the devices are functions of the one bus" "$(parents pci)" 0000
exercise pci
check "over PCI it stops" stop pci

# As many devices as the interrupt controller has pins for.
i=0
set --
while [ $i -lt 15 ]; do
    truncate -s $((i + 1))M "/tmp/disk$i"
    printf 'disk %02d' "$i" | dd of="/tmp/disk$i" conv=notrunc 2>/dev/null
    set -- "$@" --extra-disk "/tmp/disk$i"
    i=$((i + 1))
done
check "with 15 disks it boots" start many "$@"
equal "each disk is the one it should be" "$(run_in many sh -c 'for d in a b c d e f g h i j k l m n o; do
    head -c 7 /dev/vd$d; blockdev --getsize64 /dev/vd$d; done' | sha256sum)" "$(
    i=0
    while [ $i -lt 15 ]; do
        printf 'disk %02d%s\n' "$i" $(((i + 1) * 1048576))
        i=$((i + 1))
    done | sha256sum)"
check "it stops" stop many
finish
