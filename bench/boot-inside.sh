#!/bin/sh
# SPDX-License-Identifier: MIT
# The part of boot.sh that runs in the lab host: boots every candidate in turn, prints one line a
# boot: "LABEL init_us=N ready_us=N pss_kib=N exits=N idle_ppm=N".  Arguments: repetitions, path of
# crosh-vm, seconds of idleness, part of the labels to run ("" for all).
set -eu
repetitions=$1
crosh_vm=$2
idle=$3
only=$4
memory=256
image=/images/micro
parameters="console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests"

modprobe vhost_vsock
modprobe tun
/usr/sbin/ip tuntap add tap0 mode tap
ip link set tap0 up
truncate -s 64M disk

# The first program is one that says that it runs. The kernel unpacks one archive after another,
# and the later one's files win.
mkdir -p add
cp init-mark add/init
(cd add && find . | cpio -o -H newc 2>/dev/null) >additions
cat $image/initramfs additions >initramfs

# Once read, the files come from memory; else each first boot would wait for the disk.
cat $image/vmlinuz $image/vmlinux initramfs >/dev/null
if command -v qemu-system-x86_64 >/dev/null; then
    cat "$(command -v qemu-system-x86_64)" /usr/share/qemu/* >/dev/null
    find / -xdev -name '*.so*' -type f -exec cat {} + >/dev/null
    qemu-system-x86_64 --version >/dev/null
fi

boot_timer() {
    ./boot-timer --via "$via" --memory $memory --console "$console" --idle "$idle" --timeout 20 -- "$@"
}

timed() { # timed LABEL VIA COMMAND...
    label=$1
    via=$2
    shift 2
    case $label in *"$only"*) ;; *) return ;; esac
    rm -rf run
    mkdir -m 700 run
    # The kernel's start hangs now and then where time counts instructions: once more, then it counts.
    boot_timer "$@" >line 2>error ||
        { rm -rf run && mkdir -m 700 run &&
            boot_timer "$@" >line 2>error; } ||
        { echo "$label failed: $(cat error)" && return; }
    echo "$label $(cat line)"
}

qemu() { # qemu LABEL MACHINE KERNEL
    console=run/console
    timed "$1" vsock qemu-system-x86_64 -M "$2" -accel kvm -cpu host -m $memory -smp 1 \
        -nodefaults -no-user-config -display none -no-reboot -serial file:run/console \
        -drive if=none,id=disk,format=raw,file=disk -device virtio-blk-device,drive=disk \
        -netdev tap,id=net,ifname=tap0,script=no,downscript=no \
        -device virtio-net-device,netdev=net \
        -device vhost-vsock-device,guest-cid=3 \
        -device virtio-serial-device -chardev null,id=console -device virtconsole,chardev=console \
        -device virtio-rng-device \
        -kernel "$3" -initrd initramfs -append "$parameters"
}

crosh() { # crosh LABEL KERNEL TRANSPORT
    console=run/console.log
    timed "$1" control "$crosh_vm" --name bench --runtime-dir run --accel kvm --memory ${memory}M \
        --kernel "$2" --initrd initramfs --transport "$3" --disk disk --net tap=tap0 --control-fd 3
}

i=0
while [ "$i" -le "$repetitions" ]; do
    if command -v qemu-system-x86_64 >/dev/null; then
        qemu "qemu-as-it-comes" microvm $image/vmlinuz
        qemu "qemu-tuned" microvm,rtc=on $image/vmlinuz
        qemu "qemu-tuned-pvh" microvm,rtc=on $image/vmlinux
    fi
    crosh "crosh-bzimage" $image/vmlinuz mmio
    crosh "crosh-pci" $image/vmlinux pci
    crosh "crosh" $image/vmlinux mmio
    i=$((i + 1))
done
