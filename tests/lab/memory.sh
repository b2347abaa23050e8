#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: memory on both sides of the hole below 4 GiB, and from reserved huge pages.
lab_memory=7168
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

large() { # large NAME OPTION...: as start, with 5 GiB
    name=$1
    shift
    start "$name" --memory 5G "$@"
}

head -c 16777216 /dev/urandom >/tmp/disk
check "a VM with 5 GiB boots" large large --extra-disk /tmp/disk
equal "it has all of it" "$(run_in large sh -c 'echo $(($(sed -n "s/^MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo) / 1048576))')" 4
equal "beyond 4 GiB, too" "$(run_in large sh -c 'dmesg | grep -c "BIOS-e820: \[mem 0x0*100000000-0x0*17fffffff\] usable"')" 1
# New pages come from beyond 4 GiB first: what is read there is what devices wrote there.
equal "devices reach it" "$(run_in large sha256sum /dev/vda)" "$(sha256sum </tmp/disk | cut -d' ' -f1)  /dev/vda"
check "pages beyond 4 GiB are in use" run_in large sh -c 'awk "/zone +Normal/ { normal = 1 }
    normal && /^ *free/ { free = \$NF } normal && /^ *present/ { present = \$NF; exit }
    END { exit !(present > free + 4096) }" /proc/zoneinfo'
check "it stops" stop large

crosh_vm=$(dirname "$(command -v crosh)")/../libexec/crosh/crosh-vm
huge() { # huge NAME: becomes the launcher of a VM in huge pages
    crosh vmc create "$1"
    mkdir -m 700 "$(runtime "$1")"
    exec "$crosh_vm" --name "$1" --runtime-dir "$(runtime "$1")" --accel kvm --memory 128M \
        --hugepages --kernel /images/micro/vmlinux --initrd /images/micro/initramfs 2>&1
}
free_pages() {
    sed -n 's/^HugePages_Free: *//p' /proc/meminfo
}
said=$(huge none)
equal "without huge pages it does not start" "$?" 1
contains "and says so" "$said" "128 MiB of guest memory in huge pages: Cannot allocate memory"
contains "and how to get them" "$said" "sudo sysctl vm.nr_hugepages=64"
echo 70 >/proc/sys/vm/nr_hugepages
equal "the host reserves some" "$(free_pages)" 70
huge some >/tmp/some.log &
launcher=$!
check "with them it boots" within 60 run_in some true
check "in them" test "$(free_pages)" -lt 60
kill -TERM $launcher
wait $launcher
equal "it ends" "$?" 0
equal "they are given back" "$(free_pages)" 70
finish
