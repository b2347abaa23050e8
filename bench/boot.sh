#!/bin/bash
# SPDX-License-Identifier: MIT
# How long a VM takes from its launcher's start to /init and to its agent's readiness, crosh-vm
# beside QEMU's microvm machine, in one lab host (tests/lab/lab) with real KVM.
#
#     bench/boot.sh --build DIR [--prefix DIR] [--image DIR] [--repetitions N]
#                   [--idle SECONDS] [--only WORD] [--wall]
#
# Time is counted in instructions of the emulated host (1 ms is one million), so that the figures
# do not depend on this machine or its load; --wall takes its clock instead. Each figure is the
# median of N boots (default 5) after one that does not count. All candidates boot the same kernel
# and initramfs (the image's own, with a first program that says so), 1 vcpu, 256 MiB, and have the
# same virtio devices: disk, network card on a tap, vsock, console, random source. crosh-vm gives
# its own kernel parameters, QEMU is given the like. "Ready" is the agent's hello arriving at the
# host through vsock: through crosh-vm's own device, or through QEMU's with the host kernel's vhost.
# Memory is the launcher's PSS without the guest's; vhost's kernel memory is not in QEMU's. Idle is
# the share of a processor that the launcher's threads take in the seconds after (default 20).
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/common.sh
. "$top/bench/common.sh"
repetitions=5 idle=20 only=
read_options idle only -- "$@"
timer=$build/bench/boot-timer
mark=$build/bench/init-mark
need "$timer" "$mark"

results=$(mktemp)
trap 'rm -f "$results"' EXIT
"${lab[@]}" --timeout 3000 -f "$timer" -f "$mark" "$top/bench/boot-inside.sh" "$repetitions" \
    "$crosh_vm" "$idle" "$only" | tee "$results" |
    while read -r line; do printf '  %s\n' "$line" >&2; done

# The median of each column, per candidate, without its first line.
awk "$median"'
$2 !~ /^init_us=/ { failed[$1]++; next }
{
    if (!($1 in seen)) { seen[$1] = 1; order[++labels] = $1; next }
    for (i = 2; i <= 6; i++) { split($i, part, "="); list[$1, i] = list[$1, i] part[2] " " }
    count[$1]++
}
END {
    printf "%-18s %9s %10s %12s %7s %8s %6s %7s\n", "candidate", "/init, ms", "ready, ms",
           "memory, MiB", "exits", "idle, %", "boots", "failed"
    for (k = 1; k <= labels; k++) {
        l = order[k]
        n = count[l]
        if (n)
            printf "%-18s %9.1f %10.1f %12.2f %7d %8.3f %6d %7d\n", l, median(list[l, 2]) / 1000,
                   median(list[l, 3]) / 1000, median(list[l, 4]) / 1024, median(list[l, 5]),
                   median(list[l, 6]) / 10000, n, failed[l]
    }
}' "$results"
