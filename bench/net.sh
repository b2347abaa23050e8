#!/bin/bash
# SPDX-License-Identifier: MIT
# Network throughput and round trips of a guest on a tap interface, crosh-vm beside QEMU, in one lab
# host (tests/lab/lab) with real KVM.
#
#     bench/net.sh [--prefix DIR] [--image DIR] [--repetitions N] [--megabytes N]
#                  [--wall]
#
# Time is counted in instructions of the emulated host (1 ms is one million), so that the figures
# do not depend on this machine or its load; --wall takes its clock instead. That host has one CPU:
# the figures say what a byte costs, guest included, not how well work is spread. The guest is the
# micro image's kernel with one vcpu and offloads on; a stream of zeroes (16 MB unless told) is
# sent each way by nc, and 50 pings are answered. Each figure is the median of N runs (default 3)
# after one that does not count. qemu-vhost moves the frames in the host's kernel.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
prefix=$top/build/main/prefix repetitions=3 megabytes=16 clock=--icount
image=${XDG_DATA_HOME:-$HOME/.local/share}/crosh/images/micro
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) prefix=$2 && shift ;;
    --image) image=$2 && shift ;;
    --repetitions) repetitions=$2 && shift ;;
    --megabytes) megabytes=$2 && shift ;;
    --wall) clock='' ;;
    *)
        sed -n '3,16s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done

lab=("$top/tests/lab/lab" run --timeout 1800 --image "$image" --prefix "$prefix")
[ -z "$clock" ] || lab+=("$clock")

results=$(mktemp)
trap 'rm -f "$results"' EXIT
"${lab[@]}" "$top/bench/net-inside.sh" "$repetitions" "$megabytes" "$prefix/libexec/crosh/crosh-vm" |
    tee "$results" | while read -r line; do printf '  %s\n' "$line" >&2; done

# The median of each column, per candidate, without its first line; and against the first candidate.
awk -v megabytes="$megabytes" '
function median(list, n,    values, i, j, t) {
    split(list, values, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && values[j - 1] + 0 > values[j] + 0; j--) {
            t = values[j]; values[j] = values[j - 1]; values[j - 1] = t
        }
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}
$2 !~ /^to_guest_ms=/ { print; next }
{
    if (!($1 in seen)) { seen[$1] = 1; order[++labels] = $1; next }
    for (i = 2; i <= 4; i++) { split($i, part, "="); list[$1, i] = list[$1, i] part[2] " " }
    count[$1]++
}
END {
    printf "%-12s %14s %16s %9s %24s\n", "candidate", "to guest, MB/s", "from guest, MB/s", "ping, us",
           "times of crosh are ..."
    for (k = 1; k <= labels; k++) {
        l = order[k]
        for (i = 2; i <= 4; i++) m[l, i] = median(list[l, i], count[l])
        printf "%-12s %14.0f %16.0f %9.0f %8.2f %7.2f %7.2f\n", l, megabytes * 1048.576 / m[l, 2],
               megabytes * 1048.576 / m[l, 3], m[l, 4], m[order[1], 2] / m[l, 2],
               m[order[1], 3] / m[l, 3], m[order[1], 4] / m[l, 4]
    }
}' "$results"
