#!/bin/sh
# SPDX-License-Identifier: MIT
# The part of disk.sh that runs in the lab host: boots each candidate and prints
# "LABEL PATTERN OPERATIONS MICROSECONDS". Arguments: repetitions, path of crosh-vm, vcpus.
set -eu
repetitions=$1
crosh_vm=$2
cpus=$3
image=/images/micro
parameters="console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests"

mkdir -p add
cp disk-load add/disk-load
cat >add/init <<'EOF'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
cd /lib/modules/*
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci \
    virtio_mmio virtio_blk; do
    insmod $module.ko
done
# The first time does not count: the host reads the file then.
/disk-load /dev/vda >/dev/null
/disk-load /dev/vda
echo END
reboot -f
EOF
chmod +x add/init
(cd add && find . | cpio -o -H newc 2>/dev/null) >additions
cat $image/initramfs additions >initramfs
truncate -s 64M disk
dd if=/dev/urandom of=disk bs=1M count=64 conv=notrunc 2>/dev/null

measured() { # measured LABEL CONSOLE COMMAND...
    label=$1
    console=$2
    shift 2
    rm -rf run
    mkdir -m 700 run
    : >"$console"
    timeout 300 "$@" >output 2>&1 </dev/null || true
    grep -q '^END' "$console" || { echo "$label failed: $(tail -n 2 output "$console" | tr '\n' ' ')"; return; }
    sed -n "s/^RESULT \([^ ]* [0-9]* [0-9]*\).*/$label \1/p" "$console"
}

qemu() { # qemu LABEL AIO [DEVICE OPTION [ARGUMENT]...]
    label=$1
    aio=$2
    device=virtio-blk-device,drive=disk,num-queues=$cpus${3:-}
    [ $# -lt 3 ] || shift
    shift 2
    measured "$label" run/console qemu-system-x86_64 -M microvm,rtc=on -accel kvm -cpu host \
        -m 256 -smp "$cpus" -nodefaults -no-user-config -display none -no-reboot \
        -serial file:run/console "$@" \
        -drive "if=none,id=disk,format=raw,file=disk,aio=$aio,cache=writeback" -device "$device" \
        -kernel $image/vmlinux -initrd initramfs -append "$parameters"
}

crosh() { # crosh LABEL TRANSPORT
    measured "$1" run/console.log "$crosh_vm" --name bench --runtime-dir run --accel kvm \
        --memory 256M --cpus "$cpus" --kernel $image/vmlinux --initrd initramfs \
        --transport "$2" --disk disk --no-reboot
}

i=0
while [ "$i" -lt "$repetitions" ]; do
    qemu qemu-threads threads
    qemu qemu-io_uring io_uring
    qemu qemu-io_uring-iothread io_uring ,iothread=io -object iothread,id=io
    crosh crosh-mmio mmio
    crosh crosh-pci pci
    i=$((i + 1))
done
