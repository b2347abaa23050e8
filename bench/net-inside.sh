#!/bin/sh
# SPDX-License-Identifier: MIT
# The part of net.sh that runs in the lab host: the same guest on the same tap under each launcher.
# Prints lines "LABEL to_guest_ms=N from_guest_ms=N ping_us=N".  Arguments: repetitions, megabytes,
# path of crosh-vm.
set -eu
repetitions=$1
megabytes=$2
crosh_vm=$3
image=/images/micro

modprobe tun
modprobe vhost_net
# The guest: its modules, its address, and two services, one that swallows and one that pours.
mkdir -p guest/etc/crosh
(cd guest && cpio -i -d -u --quiet etc/crosh/modules <$image/initramfs)
cat >guest/bench-init <<END
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module parameters; do insmod \$module \$parameters; done </etc/crosh/modules
ip link set lo up
ip addr add 10.9.0.2/24 dev eth0
ip link set eth0 up
mkfifo /open
while :; do nc -l -p 5000 <>/open >/dev/null; done &
while :; do dd if=/dev/zero bs=64k count=$((megabytes * 16)) 2>/dev/null | nc -l -p 5001; done &
sleep 1000000
END
chmod +x guest/bench-init
(cd guest && echo bench-init | cpio -o -H newc 2>/dev/null) >additions
cat $image/initramfs additions >initramfs
cat $image/vmlinux initramfs >/dev/null
parameters="console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests rdinit=/bench-init"
mkfifo open

milliseconds() { # busybox's date has no better than seconds
    sed -n 's/^now at \([0-9]*\)[0-9]\{6\} nsecs$/\1/p' /proc/timer_list
}

answers() { # whether the guest is there within a while
    tries=300
    while ! ping -c 1 -W 1 10.9.0.2 >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
    done
    while ! nc -w 2 10.9.0.2 5001 <>open >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        usleep 50000
    done
}

measure() { # measure LABEL COMMAND...
    label=$1
    shift
    /usr/sbin/ip tuntap add tap0 mode tap vnet_hdr
    ip addr add 10.9.0.1/24 dev tap0
    ip link set tap0 up
    rm -rf run
    mkdir -m 700 run
    "$@" >log 2>&1 &
    launcher=$!
    if answers; then
        i=0
        while [ "$i" -le "$repetitions" ]; do
            start=$(milliseconds)
            dd if=/dev/zero bs=64k count=$((megabytes * 16)) 2>/dev/null | nc 10.9.0.2 5000
            middle=$(milliseconds)
            nc 10.9.0.2 5001 <>open >/dev/null
            end=$(milliseconds)
            rtt=$(ping -q -c 50 -i 0.01 10.9.0.2 | sed -n 's,.*min/avg/max = [0-9.]*/\([0-9.]*\)/.*,\1,p')
            echo "$label to_guest_ms=$((middle - start)) from_guest_ms=$((end - middle))" \
                "ping_us=$(echo "$rtt" | awk '{ print int($1 * 1000) }')"
            i=$((i + 1))
        done
    else
        echo "$label failed: $(cat log)"
    fi
    kill -KILL "$launcher"
    wait "$launcher" 2>/dev/null || true
    /usr/sbin/ip link delete tap0
}

qemu() { # qemu LABEL VHOST
    measure "$1" qemu-system-x86_64 -M microvm,rtc=on,pcie=on -accel kvm -cpu host -m 256 -smp 1 \
        -nodefaults -no-user-config -display none -no-reboot -serial file:run/console \
        -netdev tap,id=net0,ifname=tap0,script=no,downscript=no,vhost="$2" \
        -device virtio-net-pci,netdev=net0,romfile= \
        -kernel $image/vmlinux -initrd initramfs -append "$parameters"
}

measure crosh "$crosh_vm" --name bench --runtime-dir run --accel kvm --memory 256M \
    --kernel $image/vmlinux --initrd initramfs --cmdline rdinit=/bench-init --net tap=tap0
qemu qemu off
qemu qemu-vhost on
