#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: VMs that are paused, saved in the middle of their work, and restored.
# shellcheck disable=SC2034
lab_timeout=420
lab_built=lab/take-snapshot
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

# keep_command NAME: notes how a VM's launcher was started, but for what only its starter has.
keep_command() {
    tr '\0' '\n' <"/proc/$(cat "$(runtime "$1")/pid")/cmdline" | grep -v '^--control-fd' >"$1.command"
}

# launch NAME [OPTION]...: starts it again in that way, with options added.
launch() {
    vm=$1
    shift
    program=$(head -n 1 "$vm.command")
    while read -r word; do
        [ "$word" = "$program" ] || set -- "$word" "$@"
    done <"$vm.command"
    "$program" "$@" >"$vm.out" 2>&1 &
    launcher=$!
}

running() { # running NAME: whether its agent is connected
    crosh vmc status "$1" | grep -q '^state: *running'
}

restore() { # restore NAME DIR
    launch "$1" --restore "$2"
    within 60 running "$1" || { cat "$1.out" && tail "$(runtime "$1")/console.log" && return 1; }
}

kill_vm() { # kill_vm NAME: as a power failure of the host does
    pid=$(cat "$(runtime "$1")/pid")
    kill -KILL "$pid"
    within 10 not_there "$pid"
}
not_there() {
    ! kill -0 "$1"
}

state() { # state NAME
    crosh vmc status "$1" | sed -n 's/^state: *//p'
}

truncate -s 64M data.img
mke2fs -q -F data.img

check "a VM boots" start one --extra-disk data.img
keep_command one

# ---- Pause ----
run_in one sh -c 'mkdir -p /tmp/x && mount -t tmpfs tmpfs /tmp/x &&
    mkdir -p /tmp/disk && mount /dev/vda /tmp/disk && echo before >/tmp/disk/file && sync
    (i=0; while :; do i=$((i + 1)); echo $i >/tmp/x/new && mv /tmp/x/new /tmp/x/count; usleep 20000
    done) </dev/null >/dev/null 2>&1 &'
count() { # count NAME: how far the guest's process has counted
    run_in "$1" cat /tmp/x/count
}
grows() { # grows NAME: whether it goes on counting
    before=$(count "$1")
    within 30 grown "$1" "$before"
}
grown() {
    [ "$(count "$1")" -gt "$2" ]
}
check "a process counts" grows one
check "pause" crosh vmc pause one
equal "it is told" "$(state one)" paused
check "again" crosh vmc pause one
check "resume" crosh vmc resume one
equal "it is told, too" "$(state one)" running
check "the process counts on" grows one

# ---- Snapshot; the VM goes on ----
check "a snapshot" ./take-snapshot one saved
equal "has two files" "$(ls saved)" "memory
state"
equal "and nothing is left beside it" "$(ls -d saved*)" saved
check "the VM goes on" grows one
at_snapshot=$(count one)
check "sparse: less than half of the memory" test "$(du -m saved/memory | cut -f1)" -lt 128
kill_vm one

# ---- Restore ----
check "it is restored" restore one saved
boot_id=$(run_in one cat /proc/sys/kernel/random/boot_id)
check "the process counts on from there" test "$(count one)" -gt 1
check "and on" grows one
equal "the mounted disk is as it was" "$(run_in one cat /tmp/disk/file)" before
run_in one sh -c 'echo after >/tmp/disk/file; sync'
contains "the kernel is the same one's" "$(run_in one dmesg)" "Linux version"
contains "the agent has begun random numbers anew" "$(cat "$(runtime one)/console.log")" \
    "restored from a snapshot"
echo "at $at_snapshot, $boot_id"
kill_vm one

# ---- Message interrupts, and more than one vcpu: the devices on PCI ----
check "a VM boots over PCI" start two --cpus 2 --kernel /images/micro/vmlinux \
    --initrd /images/micro/initramfs --extra-disk data.img
keep_command two
boot_id=$(run_in two cat /proc/sys/kernel/random/boot_id)
run_in two sh -c 'mkdir -p /tmp/x && mount -t tmpfs tmpfs /tmp/x && dd if=/dev/vda of=/dev/null 2>/dev/null'
for cpu in 0 1; do
    run_in two sh -c "(i=0; while :; do i=\$((i + 1)); echo \$i >/tmp/x/new$cpu
        mv /tmp/x/new$cpu /tmp/x/count$cpu; usleep 20000; done) </dev/null >/dev/null 2>&1 &
        taskset -p $((1 << cpu)) \$! >/dev/null"
done
check "a snapshot of it" ./take-snapshot two pair
kill_vm two
check "it is restored, too" restore two pair
equal "it is the same" "$(run_in two cat /proc/sys/kernel/random/boot_id)" "$boot_id"
equal "with both vcpus" "$(run_in two nproc)" 2
for cpu in 0 1; do
    before=$(run_in two cat "/tmp/x/count$cpu")
    # shellcheck disable=SC2016 # the arguments are the inner shell's
    check "vcpu $cpu works on" within 30 sh -c '[ "$(crosh vsh two -- cat "/tmp/x/count$1")" -gt "$2" ]' \
        sh "$cpu" "$before"
done
equal "its disk is read by interrupts" \
    "$(run_in two sh -c 'echo 3 >/proc/sys/vm/drop_caches; sha256sum </dev/vda')" \
    "$(sha256sum <data.img)"
check "it stops in good order" stop two
equal "by power-off" "$(ended two)" "poweroff 0"
finish
