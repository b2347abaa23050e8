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
build='' prefix='' repetitions=5 clock=--icount idle=20 only=
image=${XDG_DATA_HOME:-$HOME/.local/share}/crosh/images/micro
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2 && shift ;;
    --prefix) prefix=$2 && shift ;;
    --image) image=$2 && shift ;;
    --repetitions) repetitions=$2 && shift ;;
    --idle) idle=$2 && shift ;;
    --only) only=$2 && shift ;;
    --wall) clock='' ;;
    *)
        sed -n '3,21s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
timer=${build:?--build DIR is needed}/bench/boot-timer
mark=$build/bench/init-mark
for program in "$timer" "$mark"; do
    [ -x "$program" ] || { echo "boot.sh: $program is not built" >&2 && exit 1; }
done

lab=("$top/tests/lab/lab" run --timeout 3000 --image "$image" -f "$timer" -f "$mark")
crosh_vm=
if [ -n "$prefix" ]; then
    lab+=(--prefix "$prefix")
    crosh_vm=$prefix/libexec/crosh/crosh-vm
fi
[ -z "$clock" ] || lab+=("$clock")

results=$(mktemp)
trap 'rm -f "$results"' EXIT
"${lab[@]}" "$top/bench/boot-inside.sh" "$repetitions" "$crosh_vm" "$idle" "$only" | tee "$results" |
    while read -r line; do printf '  %s\n' "$line" >&2; done

# The median of each column, per candidate, without its first line.
awk '
function median(list, n,    values, i, j, t) {
    split(list, values, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && values[j - 1] + 0 > values[j] + 0; j--) {
            t = values[j]; values[j] = values[j - 1]; values[j - 1] = t
        }
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}
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
            printf "%-18s %9.1f %10.1f %12.2f %7d %8.3f %6d %7d\n", l, median(list[l, 2], n) / 1000,
                   median(list[l, 3], n) / 1000, median(list[l, 4], n) / 1024, median(list[l, 5], n),
                   median(list[l, 6], n) / 10000, n, failed[l]
    }
}' "$results"
