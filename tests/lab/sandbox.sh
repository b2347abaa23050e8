#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: every thread of the launcher is confined while its guest runs, and a reboot still works.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

status() { # status FIELD FILE
    sed -n "s/^$1:[[:space:]]*//p" "$2"
}

truncate -s 16M /tmp/disk
check "a VM starts" start vm --cpus 2 --extra-disk /tmp/disk
[ "$failed" -eq 0 ] || finish
supervisor=$(cat "$(runtime vm)/pid")
pid=$(cat "/proc/$supervisor/task/$supervisor/children")
pid=${pid% }
equal "nothing was left out" "$(grep -c 'going on without' "$(runtime vm)/launcher.log")" 0

threads=
for task in "/proc/$pid/task"/*; do
    name=$(cat "$task/comm")
    threads="$threads$name
"
    equal "$name: no new privileges" "$(status NoNewPrivs "$task/status")" 1
    equal "$name: a system call filter" "$(status Seccomp "$task/status")" 2
    for set in CapInh CapPrm CapEff CapBnd CapAmb; do
        equal "$name: no $set" "$(status "$set" "$task/status")" 0000000000000000
    done
done
equal "loop, 2 vcpus and a disk" "$(printf %s "$threads" | sort -u | tr '\n' ' ')" \
    "blk crosh-vm vcpu0 vcpu1 "
equal "the supervisor: a system call filter" "$(status Seccomp "/proc/$supervisor/status")" 2
equal "the supervisor: no capabilities" "$(status CapEff "/proc/$supervisor/status")" 0000000000000000
equal "first of its pid namespace" "$(status NSpid "/proc/$pid/status" | tr '\t' ' ')" "$pid 1"
equal "a root of its own" "$(awk '{ print $5 }' "/proc/$pid/mountinfo" | sort | tr '\n' ' ')" \
    "/ /dev/kvm $(runtime vm) "
for space in user mnt pid ipc net uts; do
    check "another $space namespace" \
        test "$(readlink "/proc/$pid/ns/$space")" != "$(readlink "/proc/self/ns/$space")"
done
equal "no network but its own" "$(grep -c : "/proc/$pid/net/dev")" 1
equal "no core dumps" "$(sed -n 's/^Max core file size *//p' "/proc/$pid/limits" | tr -s ' ')" \
    "0 0 bytes "

check "vmc security finds the same" crosh vmc security vm
crosh vmc security --json vm >security.json
equal "and all of it by the kernel's word but Landlock" \
    "$(grep -c '"by": "launcher"' security.json)" 1

# A reboot builds the whole machine anew under the same rules, from the files it was started with.
boot_id=$(run_in vm cat /proc/sys/kernel/random/boot_id)
run_in vm reboot
check "a reboot inside comes back" within 60 sh -c "
    new=\$(crosh vsh vm -- cat /proc/sys/kernel/random/boot_id) && [ \"\$new\" != '$boot_id' ]"
equal "in the same process" "$(cat "/proc/$supervisor/task/$supervisor/children")" "$pid "
equal "its disk is there" "$(run_in vm cat /sys/block/vda/size)" 32768
for task in "/proc/$pid/task"/*; do
    equal "$(cat "$task/comm"): still confined" "$(status Seccomp "$task/status")" 2
done

# The console's log is renamed and made anew at 4 MiB.
run_in vm sh -c 'dd if=/dev/zero bs=1M count=5 2>/dev/null | tr "\0" x >/dev/hvc0'
check "console.log turns over" within 60 test -s "$(runtime vm)/console.log.old"
check "the VM runs on" run_in vm true
check "an orderly stop" stop vm
equal "is a power-off" "$(ended vm)" "poweroff 0"
equal "no socket is left" "$(find "$(runtime vm)" -type s)" ""

# As an ordinary user, who may make namespaces only in one of its own.
cat >/tmp/as-user <<'END'
export XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/user
exec crosh vmc "$@"
END
check "a user's VM starts" su user -s /bin/sh -c \
    "sh /tmp/as-user start --no-shell --accel kvm --memory 256M theirs" 2>theirs.log
theirs=$(cat /run/user/1000/crosh/theirs/pid)
child=$(cat "/proc/$theirs/task/$theirs/children")
child=${child% }
equal "nothing was left out" "$(cat /run/user/1000/crosh/theirs/launcher.log)" ""
for space in user mnt pid ipc net uts; do
    check "another $space namespace for a user's" \
        test "$(readlink "/proc/$child/ns/$space")" != "$(readlink "/proc/self/ns/$space")"
done
check "vmc security confirms it" su user -s /bin/sh -c "sh /tmp/as-user security theirs"
kill -9 "$theirs"
check "a killed supervisor takes the launcher along" within 60 test ! -e "/proc/$child"
contains "which vmc sees" "$(su user -s /bin/sh -c 'sh /tmp/as-user list --json')" '"killed"'

# Off only when asked, and not in silence.
mkdir -m 700 /tmp/bare
crosh vmc create bare
"$(dirname "$(command -v crosh)")/../libexec/crosh/crosh-vm" --no-sandbox --accel kvm --name bare \
    --runtime-dir /tmp/bare --kernel /images/micro/vmlinux --initrd /images/micro/initramfs \
    --lock "$HOME/.local/share/crosh/vms/bare/lock" 2>/tmp/bare.log &
bare=$!
check "without a sandbox it runs as well" within 60 test -S /tmp/bare/vsock.sock
within 60 sh -c 'crosh vmc list --json | grep -q "\"starting\"\|\"running\""'
crosh vmc security bare >bare.security 2>&1
equal "which vmc security notices" $? 1
contains "and names" "$(cat bare.security)" "launcher  seccomp"
contains "and warns" "$(cat /tmp/bare.log)" "warning: --no-sandbox"
equal "and is not confined" "$(status Seccomp "/proc/$bare/status")" 0
kill $bare
kill $bare
wait
finish
