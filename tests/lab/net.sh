#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: a network card on a tap interface: addresses, bulk data both ways, offloads.
# shellcheck disable=SC2034
lab_files=lab/frames.py
# shellcheck disable=SC2317 # functions that are called by check
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

# address NAME ADDRESS INTERFACE
address() {
    run_in "$1" sh -c "ip addr add $2/24 dev $3 && ip link set $3 up"
}

# larger BYTES: whether a frame of that many is more than one segment.
larger() {
    [ "$1" -gt 1514 ]
}

modprobe tun
/usr/sbin/ip tuntap add tap0 mode tap
ip addr add 10.9.0.1/24 dev tap0
ip link set tap0 up
head -c 20000000 /dev/urandom >/tmp/data
sum=$(sha256sum </tmp/data)

check "a VM with a card starts" launch one --accel kvm --net tap=tap0,mac=02:00:00:00:09:02
[ "$failed" -eq 0 ] || finish
equal "its address is the one given" "$(run_in one cat /sys/class/net/eth0/address)" \
    02:00:00:00:09:02
check "it takes an address" address one 10.9.0.2 eth0
equal "its link is up" "$(run_in one cat /sys/class/net/eth0/carrier)" 1
equal "its mtu is the tap's" "$(run_in one cat /sys/class/net/eth0/mtu)" "$(cat /sys/class/net/tap0/mtu)"
check "it is reached by ping" ping -q -c 3 -i 0.2 10.9.0.2
# Descriptors opened both ways keep a pipe from ending: nc would leave at its end.
mkfifo /tmp/open
run_in one mkfifo /tmp/open
run_in one sh -c 'nc -l -p 5000 <>/tmp/open >/tmp/data' &
check "the guest listens" within 60 run_in one sh -c 'netstat -ltn | grep -q :5000'
nc 10.9.0.2 5000 </tmp/data
wait $!
equal "20 MB arrive in the guest" "$(run_in one sha256sum /tmp/data)" "${sum%-}/tmp/data"
nc -l -p 5001 <>/tmp/open >/tmp/back &
check "the host listens" within 60 sh -c 'netstat -ltn | grep -q :5001'
run_in one sh -c 'nc 10.9.0.1 5001 </tmp/data'
wait $!
equal "and come back" "$(sha256sum </tmp/back)" "$sum"

# Offloads, by what does not depend on speed: bits 0, 1, 7 to 9 and 11 to 13 of the features that the
# guest has taken (checksums, TSO for both versions of IP and with ECN, each way), and 14,480 bytes
# that are written at once on a new connection: TCP hands them to the card two segments or more at a
# time, and a card without TSO gets them singly.
equal "the guest takes every offload" \
    "$(run_in one cut -c 1,2,8-10,12-14 /sys/class/net/eth0/device/features)" 11111111
run_in one nc -l -p 5002 -e dd of=/dev/null &
check "the guest listens" within 60 run_in one sh -c 'netstat -ltn | grep -q :5002'
frames=$(python3 frames.py tap0 nc 10.9.0.2 5002 -e dd if=/dev/zero bs=14480 count=1 2>/dev/null)
check "frames larger than the MTU go to the guest ($frames)" larger "$(echo "$frames" | cut -d' ' -f2)"
wait $!
nc -l -p 5003 -e dd of=/dev/null 2>/dev/null &
check "the host listens" within 60 sh -c 'netstat -ltn | grep -q :5003'
frames=$(python3 frames.py tap0 crosh vsh one -- \
    nc 10.9.0.1 5003 -e dd if=/dev/zero bs=14480 count=1 2>/dev/null)
check "and come from it ($frames)" larger "$(echo "$frames" | cut -d' ' -f4)"
wait $!
check "the VM stops" stop one
equal "by power-off" "$(ended one)" "poweroff 0"
finish
