#!/bin/sh
# SPDX-License-Identifier: MIT
# The part of disk.sh that runs in the lab host: boots one candidate and prints
# "LABEL PATTERN OPERATIONS MICROSECONDS". Arguments: repetitions, path of crosh-vm, vcpus, label.
set -eu
repetitions=$1
crosh_vm=$2
cpus=$3
label=$4
image=/images/micro
parameters="console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests"

mkdir -p add
cp disk-load add/disk-load
cat >add/init <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
cd /lib/modules/*
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci \
    virtio_mmio virtio_blk; do
    insmod $module.ko
done
/disk-load /dev/vda
echo END
reboot -f
END
chmod +x add/init
(cd add && find . | cpio -o -H newc 2>/dev/null) >additions
cat $image/initramfs additions >initramfs
# A file system as disks lie on; what is there is read before anything is measured.
modprobe loop
truncate -s 160M fs
/usr/sbin/mke2fs -q -t ext4 fs
mkdir -p disks
mount -o loop fs disks
dd if=/dev/urandom of=disks/disk bs=1M count=64 2>/dev/null
sync
cat $image/vmlinux initramfs disks/disk >/dev/null
# Counted time jumps while a file is waited for.
cat "$(command -v qemu-system-x86_64)" /usr/share/qemu/* "$crosh_vm" >/dev/null
find / -xdev -name '*.so*' -type f -exec cat {} + >/dev/null

measured() { # measured CONSOLE COMMAND...
    console=$1
    shift
    # The kernel's start hangs now and then where time counts instructions: twice, then it counts.
    for _ in 1 2; do
        rm -rf run
        mkdir -m 700 run
        timeout 300 "$@" >output 2>&1 </dev/null || true
        if grep -q '^END' "$console" 2>/dev/null; then
            sed -n "s/^RESULT \([^ ]* [0-9]* [0-9]*\).*/$label \1/p" "$console"
            return
        fi
    done
    echo "$label failed: $(tail -n 2 output "$console" 2>&1 | tr '\n' ' ')"
}

qemu() { # qemu MACHINE DEVICE AIO [ARGUMENT]...
    machine=$1
    device=$2
    aio=$3
    shift 3
    measured run/console qemu-system-x86_64 -M "microvm,rtc=on$machine" -accel kvm -cpu host \
        -m 256 -smp "$cpus" -nodefaults -no-user-config -display none -no-reboot \
        -serial file:run/console "$@" \
        -drive "if=none,id=disk,format=raw,file=disks/disk,aio=$aio,cache=writeback" \
        -device "$device,drive=disk,num-queues=$cpus" \
        -kernel $image/vmlinux -initrd initramfs -append "$parameters"
}

for _ in $(seq "$repetitions"); do
    case $label in
    qemu-threads) qemu '' virtio-blk-device threads ;;
    qemu-threads-own) qemu '' virtio-blk-device,iothread=io threads -object iothread,id=io ;;
    qemu-uring-own) qemu '' virtio-blk-device,iothread=io io_uring -object iothread,id=io ;;
    qemu-uring-own-pci) qemu ,pcie=on virtio-blk-pci,iothread=io io_uring -object iothread,id=io ;;
    crosh-*)
        measured run/console.log "$crosh_vm" --name bench --runtime-dir run --accel kvm \
            --memory 256M --cpus "$cpus" --kernel $image/vmlinux --initrd initramfs \
            --transport "${label#crosh-}" --disk disks/disk --no-reboot
        ;;
    esac
done
