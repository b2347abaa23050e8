#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: the distribution's kernel boots, as bzImage and as ELF; stop leaves nothing; users may.
lab_timeout=400
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

kvm_vms() { # how many VMs KVM has
    find /sys/kernel/debug/kvm -mindepth 1 -maxdepth 1 -type d | wc -l
}

release=$(uname -r) # the lab host runs the same package

check "a bzImage boots" start packed --kernel /images/micro/vmlinuz \
    --initrd /images/micro/initramfs
equal "its kernel is the one given" "$(run_in packed uname -r)" "$release"
contains "it runs on KVM" "$(crosh vmc status --json packed)" '"accel": "kvm"'
equal "KVM has a VM" "$(kvm_vms)" 1
contains "it is listed as running" "$(crosh vmc list)" running

unpacked=$(find / -xdev -path '*/packed/kernel/vmlinux' 2>/dev/null)
check "it was unpacked, into the VM's directory" test -s "$unpacked"
first=$(stat -c %i.%Y "$unpacked")

check "an ELF boots beside it" start plain --kernel /images/micro/vmlinux \
    --initrd /images/micro/initramfs
equal "its kernel is the one given" "$(run_in plain uname -r)" "$release"
equal "its name is its host name" "$(run_in plain hostname)" plain
equal "no module failed to load" "$(crosh vmc logs plain | grep -c 'cannot load')" 0

check "the first stops" stop packed
equal "by power-off" "$(ended packed)" "poweroff 0"
cp /images/micro/vmlinuz /tmp/vmlinuz
check "it starts again" start packed --kernel /images/micro/vmlinuz \
    --initrd /images/micro/initramfs
equal "from what was unpacked before" "$(stat -c %i.%Y "$unpacked")" "$first"
check "it stops again" stop packed
check "with another kernel it starts, too" start packed --kernel /tmp/vmlinuz \
    --initrd /images/micro/initramfs
check "which is unpacked anew" test "$(stat -c %i.%Y "$unpacked")" != "$first"
check "it stops" stop packed
check "the second runs on" run_in plain true
check "the second stops" stop plain

# Without vmc, which unpacks it.
crosh_vm=$(dirname "$(command -v crosh)")/../libexec/crosh/crosh-vm
crosh vmc create direct
mkdir -m 700 "$(runtime direct)"
"$crosh_vm" --name direct --runtime-dir "$(runtime direct)" --accel kvm --memory 256M \
    --kernel /images/micro/vmlinuz --initrd /images/micro/initramfs 2>direct.log &
launcher=$!
check "the launcher boots a bzImage" within 60 run_in direct true
kill -TERM $launcher
wait $launcher
equal "and ends in good order" "$?" 0

equal "no launcher is left" "$(pidof crosh-vm)" ""
equal "KVM has no VM" "$(kvm_vms)" 0
equal "no socket is left" "$(find "$XDG_RUNTIME_DIR" -type s)" ""

# The same as an ordinary user, without a right of root's.
as_user() {
    /usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all \
        env HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000 "$@"
}
check "an ordinary user starts one" as_user crosh vmc start --no-shell --accel kvm mine
equal "and is root in it" "$(as_user crosh vsh mine -- id -u)" 0
check "and stops it" as_user crosh vmc stop mine

finish
