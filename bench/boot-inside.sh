#!/bin/sh
# SPDX-License-Identifier: MIT
# The part of boot.sh that runs in the lab host: boots every candidate in turn, prints one line a
# boot: "LABEL ready_us=N pss_kib=N exits=N".  Arguments: repetitions, path of crosh-vm ("" for none).
set -eu
repetitions=$1
crosh_vm=${2-}
memory=256
image=/images/micro
parameters="console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests"

modprobe vhost_vsock

# QEMU's microvm has virtio over MMIO: the module for it is added, for every candidate alike. The
# kernel unpacks one archive after another, and the later one's files win.
mkdir -p add/etc/crosh
(cd add && cpio -i -d -u --quiet etc/crosh/modules <$image/initramfs)
release=$(uname -r)
module=/lib/modules/$release/virtio_mmio.ko
mkdir -p "add/lib/modules/$release"
cp "/lib/modules/$release/kernel/drivers/virtio/virtio_mmio.ko" "add$module"
grep -q -x "$module" add/etc/crosh/modules || echo "$module" >>add/etc/crosh/modules
(cd add && find . | cpio -o -H newc 2>/dev/null) >additions
cat $image/initramfs additions >initramfs

# Once read, the files come from memory; else each first boot would wait for the disk.
cat $image/vmlinuz $image/vmlinux initramfs >/dev/null

timed() { # timed LABEL VIA COMMAND...
    label=$1
    via=$2
    shift 2
    rm -rf run
    mkdir -m 700 run
    # The kernel's start hangs now and then where time counts instructions: once more, then it counts.
    ./boot-timer --via "$via" --memory $memory -- "$@" >line 2>error ||
        { rm -rf run && mkdir -m 700 run &&
            ./boot-timer --via "$via" --memory $memory -- "$@" >line 2>error; } ||
        { echo "$label failed: $(cat error)" && return; }
    echo "$label $(cat line)"
}

qemu() { # qemu LABEL MACHINE KERNEL
    timed "$1" vsock qemu-system-x86_64 -M "$2" -accel kvm -cpu host -m $memory -smp 1 \
        -nodefaults -no-user-config -display none -no-reboot -serial file:run/console \
        -device vhost-vsock-device,guest-cid=3 \
        -kernel "$3" -initrd initramfs -append "$parameters"
}

crosh() { # crosh LABEL KERNEL
    timed "$1" control "$crosh_vm" --name bench --runtime-dir run --accel kvm --memory ${memory}M \
        --kernel "$2" --initrd initramfs --control-fd 3
}

i=0
while [ "$i" -le "$repetitions" ]; do
    if command -v qemu-system-x86_64 >/dev/null; then
        qemu "qemu-as-it-comes" microvm $image/vmlinuz
        qemu "qemu-tuned" microvm,rtc=on $image/vmlinuz
        qemu "qemu-tuned-pvh" microvm,rtc=on $image/vmlinux
    fi
    if [ -n "$crosh_vm" ]; then
        crosh "crosh-bzimage" $image/vmlinuz
        crosh "crosh-vmlinux" $image/vmlinux
    fi
    i=$((i + 1))
done
