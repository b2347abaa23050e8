#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: the ways a VM ends are told apart, and none leaves anything in the way of the next.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

check "a VM starts" start vm
run_in vm poweroff
equal "power-off inside" "$(ended vm)" "poweroff 0"

check "it starts again" start vm
run_in vm sh -c 'echo c >/proc/sysrq-trigger' 2>/dev/null
equal "a kernel panic" "$(ended vm)" "crash 11"
contains "told by pvpanic" "$(cat "$(runtime vm)/ended")" pvpanic
contains "the console log has it" "$(crosh vmc logs vm)" "Kernel panic"

check "it starts after the panic" start vm
check "a forced stop" crosh vmc stop --force vm
equal "a forced stop is a kill" "$(ended vm)" "killed 12"

check "it starts after the kill" start vm
kill -KILL "$(cat "$(runtime vm)/pid")"
check "its launcher killed, it starts again" start vm
equal "and works" "$(run_in vm echo back)" back

boot_id=$(run_in vm cat /proc/sys/kernel/random/boot_id)
run_in vm reboot
check "a reboot inside comes back" within 60 sh -c "
    new=\$(crosh vsh vm -- cat /proc/sys/kernel/random/boot_id) && [ \"\$new\" != '$boot_id' ]"

check "an orderly stop" stop vm

# A guest whose agent cannot be reached, for want of vsock, is asked by the ACPI power button.
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
