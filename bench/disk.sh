#!/bin/bash
# SPDX-License-Identifier: MIT
# How quickly a guest reads and writes its disk, crosh-vm beside QEMU (virtio-blk with threads,
# with io_uring, and with io_uring in a thread of its own), in one lab host with real KVM.
#
#     bench/disk.sh --build DIR --prefix DIR [--image DIR] [--repetitions N] [--cpus N] [--wall]
#
# The same kernel, initramfs and program (disk-load.c) run in all; the file is in the host's page
# cache, whose use is the same for all (cache=writeback). Time is counted in instructions of the
# emulated host; --wall takes its clock, which guests with more than one vcpu need. Shown are
# operations a second, the median of N boots (default 3), and what they are of qemu-threads'.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build='' prefix='' repetitions=3 cpus=1 clock=--icount
image=${XDG_DATA_HOME:-$HOME/.local/share}/crosh/images/micro
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2 && shift ;;
    --prefix) prefix=$2 && shift ;;
    --image) image=$2 && shift ;;
    --repetitions) repetitions=$2 && shift ;;
    --cpus) cpus=$2 && shift ;;
    --wall) clock='' ;;
    *)
        sed -n '3,13s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
load=${build:?--build DIR is needed}/bench/disk-load
[ -x "$load" ] || { echo "disk.sh: $load is not built" >&2 && exit 1; }
lab=("$top/tests/lab/lab" run --timeout 3000 --image "$image" --prefix "${prefix:?--prefix DIR is needed}"
    -f "$load")
[ -z "$clock" ] || lab+=("$clock")

"${lab[@]}" "$top/bench/disk-inside.sh" "$repetitions" "$prefix/libexec/crosh/crosh-vm" "$cpus" |
    tee /dev/stderr | awk '
function median(list,    values, n, i, j, t) {
    n = split(list, values, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && values[j - 1] + 0 > values[j] + 0; j--) {
            t = values[j]; values[j] = values[j - 1]; values[j - 1] = t
        }
    return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}
NF == 4 && $3 > 0 && $4 > 0 {
    if (!($2 in pattern)) { pattern[$2] = 1; patterns[++pattern_count] = $2 }
    if (!($1 in label)) { label[$1] = 1; labels[++label_count] = $1 }
    list[$1, $2] = list[$1, $2] " " $3 * 1000000 / $4
}
END {
    printf "%-24s", "operations/s"
    for (p = 1; p <= pattern_count; p++)
        printf " %18s", patterns[p]
    print ""
    for (k = 1; k <= label_count; k++) {
        printf "%-24s", labels[k]
        for (p = 1; p <= pattern_count; p++) {
            base = median(list["qemu-threads", patterns[p]])
            value = median(list[labels[k], patterns[p]])
            printf " %11d (%4.2f)", value, base > 0 ? value / base : 0
        }
        print ""
    }
}'
