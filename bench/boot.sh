#!/bin/bash
# SPDX-License-Identifier: MIT
# How long a VM takes from its launcher's start to its agent's readiness, crosh-vm beside QEMU's
# microvm machine, in one lab host (tests/lab/lab) with real KVM.
#
#     bench/boot.sh --build DIR [--prefix DIR] [--image DIR] [--repetitions N]
#                   [--wall]
#
# Time is counted in instructions of the emulated host (1 ms is one million), so that the figures
# do not depend on this machine or its load; --wall takes its clock instead. Each figure is the
# median of N boots (default 5) after one that does not count. All candidates boot the same kernel
# and initramfs (the image's own and QEMU's virtio-mmio module), 1 vcpu, 256 MiB; crosh-vm gives its
# own kernel parameters, QEMU is given the like. "Ready" is the agent's hello arriving at the host
# through vsock: through crosh-vm's own device, or through QEMU's with the host kernel's vhost.
# Memory is the launcher's PSS without the guest's; vhost's kernel memory is not in QEMU's.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build='' prefix='' repetitions=5 clock=--icount
image=${XDG_DATA_HOME:-$HOME/.local/share}/crosh/images/micro
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2 && shift ;;
    --prefix) prefix=$2 && shift ;;
    --image) image=$2 && shift ;;
    --repetitions) repetitions=$2 && shift ;;
    --wall) clock='' ;;
    *)
        sed -n '3,16s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
timer=${build:?--build DIR is needed}/bench/boot-timer
[ -x "$timer" ] || { echo "boot.sh: $timer is not built" >&2 && exit 1; }

lab=("$top/tests/lab/lab" run --timeout 1800 --image "$image" -f "$timer")
crosh_vm=
if [ -n "$prefix" ]; then
    lab+=(--prefix "$prefix")
    crosh_vm=$prefix/libexec/crosh/crosh-vm
fi
[ -z "$clock" ] || lab+=("$clock")

results=$(mktemp)
trap 'rm -f "$results"' EXIT
"${lab[@]}" "$top/bench/boot-inside.sh" "$repetitions" "$crosh_vm" | tee "$results" |
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
$2 !~ /^ready_us=/ { failed[$1]++; next }
{
    if (!($1 in seen)) { seen[$1] = 1; order[++labels] = $1; next }
    for (i = 2; i <= 4; i++) { split($i, part, "="); list[$1, i] = list[$1, i] part[2] " " }
    count[$1]++
}
END {
    printf "%-18s %10s %12s %8s %6s %7s\n", "candidate", "ready, ms", "memory, MiB", "exits", "boots", "failed"
    for (k = 1; k <= labels; k++) {
        l = order[k]
        if (count[l])
            printf "%-18s %10.1f %12.1f %8d %6d %7d\n", l, median(list[l, 2], count[l]) / 1000,
                   median(list[l, 3], count[l]) / 1024, median(list[l, 4], count[l]), count[l], failed[l]
    }
}' "$results"
