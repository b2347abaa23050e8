#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: a directory of the host's in the guest, through virtiofsd: files both ways, the daemon's end.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

daemon=/usr/lib/qemu/virtiofsd
[ -x "$daemon" ] || {
    echo "skipped: there is no virtiofsd (Debian: qemu-system-common)"
    exit 77
}

# serve: a virtiofsd for /tmp/shared; $served is its process.
serve() {
    rm -f "$socket"
    "$daemon" "--socket-path=$socket" -o source=/tmp/shared -o sandbox=chroot \
        >/tmp/virtiofsd.log 2>&1 &
    served=$!
    check "virtiofsd listens" within 60 test -S "$socket"
}

# A confined launcher finds a daemon again only where its socket is in the runtime directory.
socket=$(runtime one)/fs.sock
mkdir -p "$(runtime one)" /tmp/shared
chmod 700 "$XDG_RUNTIME_DIR/crosh" "$(runtime one)"
head -c 20000000 /dev/urandom >/tmp/shared/from-host
echo small >/tmp/shared/small

serve
check "a VM with a share starts" launch one --accel kvm --fs "tag=home,socket=$socket"
[ "$failed" -eq 0 ] || finish
check "it is mounted" run_in one mount -t virtiofs home /mnt
equal "a file of the host's is read" "$(run_in one cat /mnt/small)" small
equal "20 MB are read" "$(run_in one sh -c 'sha256sum </mnt/from-host')" \
    "$(sha256sum </tmp/shared/from-host)"
run_in one sh -c 'head -c 20000000 /dev/urandom >/mnt/from-guest'
equal "20 MB are written" "$(run_in one sh -c 'sha256sum </mnt/from-guest')" \
    "$(sha256sum </tmp/shared/from-guest)"
run_in one sh -c 'mkdir /mnt/many && cd /mnt/many && i=0 &&
    while [ $i -lt 200 ]; do echo $i >file.$i; i=$((i + 1)); done && rm file.7 && mv file.8 file.x'
equal "200 files are made" "$(find /tmp/shared/many -type f | wc -l)" 199
equal "and renamed" "$(cat /tmp/shared/many/file.x)" 8
echo changed >/tmp/shared/small
check "the host's change is seen" within 60 run_in one grep -q changed /mnt/small

# A reboot inside goes on with the same daemon.
boot_id=$(run_in one cat /proc/sys/kernel/random/boot_id)
run_in one reboot
check "a reboot inside comes back" within 60 sh -c "
    new=\$(crosh vsh one -- cat /proc/sys/kernel/random/boot_id) && [ \"\$new\" != '$boot_id' ]"
check "it is mounted again" run_in one mount -t virtiofs home /mnt
equal "with its files" "$(run_in one cat /mnt/many/file.x)" 8

# The daemon dies while the guest writes: errors, no hanging, and the VM lives on.
run_in one sh -c 'for i in 1 2 3 4; do dd if=/dev/zero of=/mnt/endless$i bs=64k & done; wait' \
    2>/tmp/dd.log &
writers=$!
check "the guest writes" within 60 test -s /tmp/shared/endless4
kill -KILL "$served"
wait "$writers"
equal "all writers fail" "$(grep -c 'Transport endpoint is not connected' /tmp/dd.log)" 4
contains "so does looking" "$(run_in one ls /mnt 2>&1)" "Transport endpoint is not connected"
check "it is unmounted" run_in one umount /mnt
contains "the launcher says so" "$(cat "$(runtime one)/launcher.log")" \
    "the process behind virtio-fs ($socket) is gone"
check "the VM lives on" run_in one true

# A new daemon is found when the driver starts anew.
serve
device=$(run_in one sh -c 'cd /sys/bus/virtio/drivers/virtiofs && echo virtio[0-9]*')
run_in one sh -c "cd /sys/bus/virtio/drivers/virtiofs && echo $device >unbind && echo $device >bind"
check "a new daemon's is mounted" run_in one mount -t virtiofs home /mnt
equal "with its files" "$(run_in one cat /mnt/small)" changed
check "the VM stops" stop one
equal "by power-off" "$(ended one)" "poweroff 0"

# The same with virtio over MMIO, where interrupts are shared and pass through the launcher.
serve
check "a VM with MMIO starts" launch two --accel kvm --transport mmio \
    --fs "tag=home,socket=$socket"
check "it is mounted there" run_in two mount -t virtiofs home /mnt
equal "20 MB are read there" "$(run_in two sh -c 'sha256sum </mnt/from-host')" \
    "$(sha256sum </tmp/shared/from-host)"
check "it stops as well" stop two

# Refusals have reasons.
mkdir -m 700 /tmp/refused
"$(dirname "$(command -v crosh)")/../libexec/crosh/crosh-vm" --accel kvm --name refused \
    --runtime-dir /tmp/refused --kernel /images/micro/vmlinux --fs tag=home,socket=/tmp/none \
    2>/tmp/refused.log
equal "without a daemon it does not start" "$?" 1
contains "and says what to do" "$(cat /tmp/refused.log)" "start virtiofsd first"
finish
