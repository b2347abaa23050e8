#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: VMs that are paused, saved in the middle of their work, and restored.
# shellcheck disable=SC2034
lab_timeout=540
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

restore() { # restore NAME DIR [OPTION]...
    launch "$1" --restore "$2" ${3+"$3"}
    within 60 running "$1" || { cat "$1.out" && tail "$(runtime "$1")/console.log" && return 1; }
}

paused() {
    [ "$(state "$1")" = paused ]
}

state() { # state NAME
    crosh vmc status "$1" | sed -n 's/^state: *//p'
}

# refused NAME DIR TEXT: a restore that must fail, and its only word.
refused() {
    launch "$1" --restore "$2"
    wait "$launcher"
    status=$?
    equal "refused: $3" "$status: $(head -n 1 "$1.out")" "1: crosh-vm: snapshot $2: $3"
}

# set_up NAME: a process that counts in a tmpfs, a mounted disk with a file.
set_up() {
    # shellcheck disable=SC2016 # the variables are the guest's
    run_in "$1" sh -c 'mkdir -p /tmp/x /tmp/disk && mount -t tmpfs tmpfs /tmp/x &&
        mount -t ext4 /dev/vda /tmp/disk && echo before >/tmp/disk/file && sync
        (i=0; while :; do i=$((i + 1)); echo $i >/tmp/x/new && mv /tmp/x/new /tmp/x/count; usleep 20000
        done) </dev/null >/dev/null 2>&1 &'
}
count() { # count NAME: how far the guest's process has counted
    run_in "$1" cat /tmp/x/count
}
grown() {
    [ "$(count "$1")" -gt "$2" ]
}
grows() { # grows NAME: whether it goes on counting
    within 60 grown "$1" "$(count "$1")"
}
# attach_more NAME: a disk that comes while it runs, mounted, with a file.
attach_more() {
    truncate -s 32M more.img && mke2fs -q -F more.img >/dev/null 2>&1
    check "a disk comes" crosh vmc disk attach --name more "$1" more.img
    check "and is seen" within 60 run_in "$1" test -e /sys/block/vdb/size
    # shellcheck disable=SC2016 # the variables are the guest's
    check "and used" run_in "$1" sh -c 'mkdir -p /tmp/more && mount -t ext4 /dev/vdb /tmp/more &&
        echo attached >/tmp/more/file && sync'
}
# has_more NAME: the checks of it after the restore.
has_more() {
    equal "the attached disk is mounted" "$(run_in "$1" sh -c \
        'echo 3 >/proc/sys/vm/drop_caches; cat /tmp/more/file')" attached
    check "it is written to" run_in "$1" sh -c 'echo later >/tmp/more/later && umount /tmp/more'
    contains "and is listed as attached" "$(crosh vmc disk list "$1" | grep '^more')" attached
    check "it can be detached" crosh vmc disk detach "$1" more
    equal "and is listed no more" "$(crosh vmc disk list "$1" | grep -c '^more')" 0
    check "its file is free, and comes anew" crosh vmc disk attach --name anew "$1" more.img
    check "with what was written" within 60 run_in "$1" sh -c \
        'mount -t ext4 /dev/vdb /tmp/more && grep -q later /tmp/more/later && umount /tmp/more'
}
# event_count NAME: interrupts of ACPI's event device so far.
event_count() {
    run_in "$1" sed -n 's/^ *[0-9]*: *\([0-9]*\) .*ACPI:Ged.*/\1/p' /proc/interrupts
}
# time_is_right NAME: whether the guest's clock is between two looks at the host's, or 2 s off.
time_is_right() {
    earliest=$(date +%s)
    guest_time=$(run_in "$1" date +%s)
    [ "$guest_time" -ge $((earliest - 2)) ] && [ "$guest_time" -le $(($(date +%s) + 2)) ]
}

truncate -s 64M data.img
mke2fs -q -F data.img >/dev/null 2>&1

# ---- Pause ----
check "a VM boots" start one --extra-disk data.img
keep_command one
set_up one
check "a process counts" grows one
check "pause" crosh vmc pause one
equal "it is told" "$(state one)" paused
check "again" crosh vmc pause one
check "resume" crosh vmc resume one
equal "it is told, too" "$(state one)" running
check "the process counts on" grows one
equal "what is not paused is resumed without a word" "$(crosh vmc resume one 2>&1)" ""

# ---- A snapshot; the VM goes on ----
check "a snapshot" ./take-snapshot one saved
equal "of two files" "$(cd saved && echo *)" "memory state"
equal "with nothing beside it" "$(echo saved*)" saved
check "sparse: less than half of the memory" test "$(du -m saved/memory | cut -f1)" -lt 128
check "the VM goes on" grows one
verify() { # verify DIR: the launcher's word on it, and its status
    "$(head -n 1 one.command)" --verify "$1" 2>&1
    echo $?
}
equal "it is verified" "$(verify saved)" 0
cp -r saved spoilt
printf X | dd of=spoilt/memory bs=1 seek=17825792 conv=notrunc 2>/dev/null
equal "and another with one byte that is wrong is not" "$(verify spoilt | tr '\n' ' ')" \
    "crosh-vm: snapshot spoilt: its memory is damaged, between the bytes 16777216 and 20971520 of the file 1 "
rm -r spoilt
events=$(event_count one)
counted=$(count one)
check "and is saved again, in place of the first" ./take-snapshot one saved
equal "with nothing beside it" "$(echo saved*)" saved
run_in one touch /tmp/x/later
kill_vm one
./take-snapshot --copy data.img data.saved

# ---- Restored, twice ----
check "it is restored" restore one saved
check "the process counts from there" test "$(count one)" -ge "$counted"
check "what came later is not there" run_in one test ! -e /tmp/x/later
check "and on" grows one
equal "the disk is mounted" "$(run_in one cat /tmp/disk/file)" before
run_in one sh -c 'echo after >/tmp/disk/file; sync'
check "the time is right" within 60 time_is_right one
if [ "$arch" = x86_64 ]; then
    equal "there is a generation id" "$(run_in one cat /sys/bus/acpi/devices/CRSH0001:00/path)" \
        "\\_SB_.VGEN"
    equal "of whose change the kernel heard" "$(event_count one)" $((events + 1))
fi
check "the guest was told" grep -q "restored from a snapshot" "$(runtime one)/console.log"
first_random=$(run_in one head -c 16 /dev/urandom | md5sum)
kill_vm one
refused one saved "disk /lab/data.img was written to since it was taken"
./take-snapshot --copy data.saved data.img
check "it is restored again" restore one saved
equal "with the disk of that time" "$(run_in one cat /tmp/disk/file)" before
check "its random numbers are others" test "$(run_in one head -c 16 /dev/urandom | md5sum)" != \
    "$first_random"
check "it is saved and ends" ./take-snapshot one suspended stop
equal "so it is recorded" "$(ended one)" "suspended 0"

# ---- Suspended and restored under load on its disk ----
check "what was suspended is restored" restore one suspended
# shellcheck disable=SC2016
run_in one sh -c '(i=0; while :; do i=$((i + 1)); dd if=/dev/urandom of=/tmp/disk/load.$((i % 7)) \
    bs=64k count=40 conv=fsync 2>/dev/null || echo failed >/tmp/x/failed; done) </dev/null >/dev/null 2>&1 &'
check "files are written" within 60 run_in one test -e /tmp/disk/load.3
check "it is saved meanwhile and ends" ./take-snapshot one suspended stop
equal "so it is recorded" "$(ended one)" "suspended 0"
check "and is restored" restore one suspended
check "the process counts on" grows one
check "no write has failed" run_in one sh -c '[ ! -e /tmp/x/failed ]'
check "it powers off" stop one
/usr/sbin/e2fsck -f -n data.img >fsck.log 2>&1
equal "the file system is whole" "$? $(grep -c WARNING fsck.log)" "0 0"

# ---- Refused ----
sed -i '/^--disk/d' one.command
refused one saved "it is of a VM with 1 disks, not 0"
check "a VM without disks boots" start bare
keep_command bare
check "it is saved" ./take-snapshot bare bare.saved stop
equal "and ends" "$(ended bare)" "suspended 0"
refused bare nowhere "it has no file state"
cp -r bare.saved cut
truncate -s 200 cut/state
refused bare cut "its state is incomplete"
cp bare.saved/state cut/state
printf '\377' | dd of=cut/state bs=1 seek=500 conv=notrunc 2>/dev/null
refused bare cut "its state is damaged"
cp bare.saved/state cut/state
truncate -s 200M cut/memory
refused bare cut "its memory is incomplete"
cp one.command other.command
cp bare.saved/memory cut/memory
cp saved/state cut/state
refused bare cut "it is of a VM with 1 disks, not 0"
check "the one that is whole is restored, paused" launch bare --restore bare.saved --paused
check "as it says" within 60 paused bare
check "and goes on when told to" crosh vmc resume bare
check "to where it was" within 60 running bare
check "it stops" stop bare

# ---- Two vcpus, and virtio over MMIO ----
for what in "two --cpus 2" "mmio --cpus 1"; do
    # shellcheck disable=SC2086
    set -- $what
    truncate -s 64M data.img && mke2fs -q -F data.img >/dev/null 2>&1
    check "VM $1 boots" start "$1" --cpus "$3" --extra-disk data.img
    keep_command "$1"
    if [ "$1" = mmio ]; then
        check "it stops" stop mmio
        sed -i 's/^--transport=.*/--transport=mmio/' mmio.command
        launch mmio
        check "and boots with virtio over MMIO" within 60 running mmio
    fi
    set_up "$1"
    check "its process counts" grows "$1"
    more=
    if [ "$1$arch" = mmiox86_64 ]; then
        attach_more mmio
        more=--disk=more.img,name=more
    fi
    check "VM $1 is saved and ends" ./take-snapshot "$1" "$1.saved" stop
    equal "so it is recorded" "$(ended "$1")" "suspended 0"
    [ -z "$more" ] || refused mmio mmio.saved "the VM had the disk more attached, of the file /lab/more.img"
    check "VM $1 is restored" restore "$1" "$1.saved" ${more:+"$more"}
    equal "with all its vcpus" "$(run_in "$1" nproc)" "$3"
    check "its process counts on" grows "$1"
    equal "its disk is mounted" "$(run_in "$1" cat /tmp/disk/file)" before
    [ -z "$more" ] || has_more mmio
    check "VM $1 stops" stop "$1"
done

# ---- Message interrupts, and more than one vcpu: the devices on PCI ----
check "a VM boots over PCI" start pair --cpus 2 --kernel /images/micro/vmlinux \
    --initrd /images/micro/initramfs --extra-disk data.img
keep_command pair
boot_id=$(run_in pair cat /proc/sys/kernel/random/boot_id)
run_in pair sh -c 'mkdir -p /tmp/x && mount -t tmpfs tmpfs /tmp/x && dd if=/dev/vda of=/dev/null 2>/dev/null'
for cpu in 0 1; do
    run_in pair sh -c "(i=0; while :; do i=\$((i + 1)); echo \$i >/tmp/x/new$cpu
        mv /tmp/x/new$cpu /tmp/x/count$cpu; usleep 20000; done) </dev/null >/dev/null 2>&1 &
        taskset -p $((1 << cpu)) \$! >/dev/null"
done
more=
if [ "$arch" = x86_64 ]; then
    attach_more pair
    more=--disk=more.img,name=more
fi
check "a snapshot of it" ./take-snapshot pair pair.saved
kill_vm pair
check "it is restored, too" restore pair pair.saved ${more:+"$more"}
equal "it is the same" "$(run_in pair cat /proc/sys/kernel/random/boot_id)" "$boot_id"
equal "with both vcpus" "$(run_in pair nproc)" 2
for cpu in 0 1; do
    before=$(run_in pair cat "/tmp/x/count$cpu")
    # shellcheck disable=SC2016 # the arguments are the inner shell's
    check "vcpu $cpu works on" within 60 sh -c '[ "$(crosh vsh pair -- cat "/tmp/x/count$1")" -gt "$2" ]' \
        sh "$cpu" "$before"
done
equal "its disk is read by interrupts" \
    "$(run_in pair sh -c 'echo 3 >/proc/sys/vm/drop_caches; sha256sum </dev/vda')" \
    "$(sha256sum <data.img)"
[ -z "$more" ] || has_more pair
check "it stops in good order" stop pair
equal "by power-off" "$(ended pair)" "poweroff 0"

# ---- Directories of the host's: left before, mounted again afterwards ----
daemon=/usr/lib/qemu/virtiofsd
share_socket() { # share_socket NAME
    echo "$(runtime shared)/fs.sock_$1"
}
serve() { # serve NAME: another daemon in place of the one that ended with the VM
    rm -f "$(share_socket "$1")"
    "$daemon" "--socket-path=$(share_socket "$1")" -o "source=/tmp/$1" -o sandbox=chroot >"$1.log" 2>&1 &
    check "a daemon for $1 listens" within 60 test -S "$(share_socket "$1")"
}
words() { # words: what the guest reads in both directories
    run_in shared cat /mnt/shared/home/word /mnt/shared/late/word 2>&1 | tr '\n' ' '
}
has_words() {
    [ "$(words)" = "at home came late " ]
}
if [ "$arch" = x86_64 ]; then
    mkdir /tmp/home /tmp/late
    echo "at home" >/tmp/home/word
    echo "came late" >/tmp/late/word
    check "a VM with a shared directory starts" start shared --share /tmp/home
    keep_command shared
    check "another one comes" crosh vmc share shared /tmp/late
    check "both are mounted" has_words
    # shellcheck disable=SC2016 # the variables are the guest's
    run_in shared sh -c 'cd /mnt/shared/home && (sleep 600 </dev/null >/dev/null 2>&1 & echo $! >/tmp/user)'
    equal "one that is in use stays, and no snapshot is taken" "$(./take-snapshot shared shared.saved 2>&1)" \
        "the guest could not leave the shared directory home: Device or resource busy"
    check "the other is mounted again" within 60 has_words
    # shellcheck disable=SC2016
    run_in shared sh -c 'kill "$(cat /tmp/user)"; mkdir /tmp/bound; mount -o bind /mnt/shared/late /tmp/bound'
    equal "the same with one that is mounted elsewhere, too" "$(./take-snapshot shared shared.saved 2>&1)" \
        "the guest could not leave the shared directory late: Device or resource busy"
    check "both are there" within 60 has_words
    check "it is left there" run_in shared umount /tmp/bound
    check "a VM that stands still" crosh vmc pause shared
    equal "cannot leave any" "$(./take-snapshot shared shared.saved 2>&1)" \
        "the guest stands still and cannot leave the shared directory home"
    check "but when it goes on" crosh vmc resume shared
    check "it is saved" ./take-snapshot shared shared.saved
    check "and has both again" within 60 has_words
    check "it is saved and ends" ./take-snapshot shared shared.saved stop
    equal "so it is recorded" "$(ended shared)" "suspended 0"
    check "its daemons are gone" within 60 sh -c '! pgrep -f "[c]rosh-share"'
    serve home
    refused shared shared.saved "the VM had the shared directory late"
    serve home
    serve late
    check "it is restored" restore shared shared.saved "--fs=tag=late,socket=$(share_socket late),mount"
    check "with both" within 60 has_words
    check "one is written to" run_in shared sh -c 'echo again >/mnt/shared/late/again && sync'
    equal "by the guest" "$(cat /tmp/late/again)" again
    check "what had come later can be detached" crosh vmc unshare shared late
    equal "and is gone" "$(run_in shared ls /mnt/shared)" home
    check "it stops" stop shared
    equal "by power-off" "$(ended shared)" "poweroff 0"
fi

finish
