#!/bin/sh
# SPDX-License-Identifier: MIT
# The part of net.sh that runs in the lab host: one candidate. Prints lines "LABEL PATTERN COUNT
# MICROSECONDS EXITS". Arguments: repetitions, kilobytes of each stream, label (WAY-NAME), and the
# path of a crosh-vm, "qemu" or "vhost".
set -eu
repetitions=$1
kilobytes=$2
label=$3
program=$4
way=${label%-*}
image=/images/micro

modprobe tun
modprobe vhost_net
# The guest: its modules, its address, and what answers there.
mkdir -p guest/etc/crosh
(cd guest && cpio -i -d -u --quiet etc/crosh/modules <$image/initramfs)
cp net-load guest/net-load
cat >guest/bench-init <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module parameters; do insmod $module $parameters; done </etc/crosh/modules
ip link set lo up
case $(cat /proc/cmdline) in
*bench=tap*) ip addr add 10.9.0.2/24 dev eth0 ;;
*bench=passt1500*) ip addr add 10.9.0.1/24 dev eth0 && ip link set eth0 mtu 1500 ;;
*bench=user*) ip addr add 10.0.2.15/24 dev eth0 ;;
*) ip addr add 10.9.0.1/24 dev eth0 && ip link set eth0 mtu 32768 ;;
esac
ip link set eth0 up
case $(cat /proc/cmdline) in
*bench=user*) ip route add default via 10.0.2.2 ;;
*) ip route add default via 10.9.0.254 ;;
esac
/net-load serve
END
chmod +x guest/bench-init
(cd guest && find bench-init net-load | cpio -o -H newc 2>/dev/null) >additions
cat $image/initramfs additions >initramfs
cat $image/vmlinux initramfs >/dev/null
# Counted time jumps while a file is waited for.
cat "$(command -v qemu-system-x86_64)" >/dev/null
parameters="console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests rdinit=/bench-init"

exits() {
    cat /sys/kernel/debug/kvm/exits
}

# timed PATTERN COUNT COMMAND...: the command prints microseconds.
timed() {
    pattern=$1
    count=$2
    shift 2
    before=$(exits)
    us=$("$@") && echo "$label $pattern $count $us $(($(exits) - before))"
}

round_trips() {
    ping -q -c 50 -i 0.01 "$1" | sed -n 's,.*min/avg/max = [0-9.]*/\([0-9.]*\)/.*,\1,p' |
        awk '{ print int($1 * 50000) }'
}

measure() { # measure COMMAND...
    rm -rf run
    mkdir -m 700 run
    "$@" >log 2>&1 &
    launcher=$!
    tries=100
    until ./net-load from "$address" 100000 1 >/dev/null 2>&1 || [ "$tries" -eq 0 ]; do
        tries=$((tries - 1))
        usleep 200000
    done
    if [ "$tries" -gt 0 ]; then
        for _ in $(seq 0 "$repetitions"); do
            timed to-guest "$kilobytes" ./net-load to "$address" $((kilobytes * 1000)) 1
            timed from-guest "$kilobytes" ./net-load from "$address" $((kilobytes * 1000)) 1
            timed to-guest-4-streams "$kilobytes" ./net-load to "$address" $((kilobytes * 250)) 4
            timed from-guest-4-streams "$kilobytes" ./net-load from "$address" $((kilobytes * 250)) 4
            timed small-to-guest 640 ./net-load small-to "$address" 640
            timed small-from-guest 640 ./net-load small-from "$address" 640
            timed round-trip 50 ./net-load round-trip "$address" 50
            [ "$address" = 127.0.0.1 ] || timed ping 50 round_trips "$address"
        done
    else
        echo "$label failed: $(cat log run/console* 2>/dev/null | tail -n 5)"
    fi
    kill -KILL "$launcher"
    wait "$launcher" 2>/dev/null || true
}

case $way in
tap)
    /usr/sbin/ip tuntap add tap0 mode tap vnet_hdr
    ip addr add 10.9.0.1/24 dev tap0
    ip link set tap0 up
    address=10.9.0.2
    net=tap=tap0
    netdev=tap,ifname=tap0,script=no,downscript=no,vhost=off
    [ "$program" != vhost ] || netdev=${netdev%off}on
    ;;
user)
    address=127.0.0.1
    netdev=user,hostfwd=tcp:127.0.0.1:5000-:5000,hostfwd=udp:127.0.0.1:5000-:5000
    ;;
*)
    # The guest takes the address of an interface of the host's, from which passt takes its own.
    for limit in wmem_max rmem_max; do echo 16777216 >/proc/sys/net/core/$limit; done
    /usr/sbin/ip tuntap add up0 mode tap
    ip addr add 10.9.0.1/24 dev up0
    ip link set up0 up
    ip route add default via 10.9.0.254
    passt --foreground --quiet --runas 0 --socket "$PWD/passt.sock" -t 5000 -u 5000 2>passt.log &
    until [ -S passt.sock ]; do usleep 50000; done
    address=127.0.0.1
    net=passt=$PWD/passt.sock
    netdev=stream,server=off,addr.type=unix,addr.path=$PWD/passt.sock
    ;;
esac
case $program in
qemu | vhost)
    measure qemu-system-x86_64 -M microvm,rtc=on,pcie=on -accel kvm -cpu host -m 256 -smp 1 \
        -nodefaults -no-user-config -display none -no-reboot -serial file:run/console \
        -netdev "$netdev,id=net0" -device virtio-net-pci,netdev=net0,romfile= \
        -kernel $image/vmlinux -initrd initramfs -append "$parameters bench=$way"
    ;;
*)
    measure "$program" --name bench --runtime-dir run --accel kvm --memory 256M --net "$net" \
        --kernel $image/vmlinux --initrd initramfs --cmdline "rdinit=/bench-init bench=$way"
    ;;
esac
