#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: the ends that have a way of their own here: a panic, the power button, PSCI's calls.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

check "a VM starts" start vm
run_in vm sh -c 'echo c >/proc/sysrq-trigger' 2>/dev/null
equal "a kernel panic" "$(ended vm)" "crash 11"
if [ "$arch" = aarch64 ]; then
    contains "told by PSCI" "$(cat "$(runtime vm)/ended")" "panicked (PSCI warm reset)"
    check "a VM starts after it" start vm
    equal "its processor" "$(run_in vm uname -m)" aarch64
    run_in vm poweroff
    equal "a power-off" "$(ended vm)" "poweroff 0"
    contains "is told by PSCI" "$(cat "$(runtime vm)/ended")" "powered off (PSCI)"
else
    contains "told by pvpanic" "$(cat "$(runtime vm)/ended")" pvpanic
fi

# A guest whose agent cannot be reached, for want of vsock, is asked by the power button: ACPI's, or a key.
image=/images/micro
run=/tmp/button/run
mkdir -p /tmp/button/root && mkdir -m 700 "$run"
(cd /tmp/button/root && cpio -idm etc/crosh/modules <"$image/initramfs" 2>/dev/null &&
    sed -i /vsock/d etc/crosh/modules && cp "$image/initramfs" ../initramfs &&
    echo etc/crosh/modules | cpio -o -H newc >>../initramfs 2>/dev/null)
"$(dirname "$(command -v crosh)")/../libexec/crosh/crosh-vm" --name button --runtime-dir "$run" \
    --accel kvm --kernel "$image/vmlinux" --initrd /tmp/button/initramfs --memory 256M \
    --cmdline crosh.console_shell=1 &
launcher=$!
check "a guest without vsock boots" within 60 grep -q root@button "$run/console.log"
kill -TERM "$launcher"
wait "$launcher"
equal "the power button turns it off" "$?" 0
contains "and it is recorded so" "$(cat "$run/ended")" '"reason":"poweroff"'
equal "no launcher is left" "$(pidof crosh-vm)" ""
finish
