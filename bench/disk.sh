#!/bin/bash
# SPDX-License-Identifier: MIT
# How quickly a guest reads and writes its disk, crosh-vm beside QEMU (virtio-blk, served by its main
# thread or by one of its own, with a pool of threads or with io_uring), each in a lab host of its own
# with real KVM.
#
#     bench/disk.sh --build DIR [--prefix DIR] [--image DIR] [--repetitions N] [--cpus N]
#                   [--only WORD] [--wall]
#
# The same kernel, initramfs and program (disk-load.c) run in all; the file lies on ext4 and is in the
# host's page cache, whose use is the same for all (cache=writeback). Time is counted in instructions
# of the emulated host; --wall takes its clock, which guests with more than one vcpu need. Shown are
# operations a second by pattern, the median of N boots (default 3), -dN with N requests in flight;
# "flush" is a write of 4 KiB and a flush of it. Behind each of ours is what it is of the best of QEMU.
# Candidates are those whose names have WORD in them.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/common.sh
. "$top/bench/common.sh"
repetitions=3 cpus=1 only=
read_options cpus only -- "$@"
load=$build/bench/disk-load
need "$load"

for label in qemu-threads qemu-threads-own qemu-uring-own qemu-uring-own-pci crosh-mmio crosh-pci; do
    case $label in *"$only"*) ;; *) continue ;; esac
    in_lab $label -f "$load" "$top/bench/disk-inside.sh" "$repetitions" "$crosh_vm" "$cpus" $label
done |
    tee /dev/stderr | awk "$median"'
NF == 4 && $3 > 0 && $4 > 0 {
    if (!($2 in pattern)) { pattern[$2] = 1; patterns[++pattern_count] = $2 }
    if (!($1 in label)) { label[$1] = 1; labels[++label_count] = $1 }
    list[$1, $2] = list[$1, $2] " " $3 * 1000000 / $4
}
END {
    printf "%-18s", "operations/s"
    for (k = 1; k <= label_count; k++)
        printf " %*s", length(labels[k]) < 15 ? 15 : length(labels[k]), labels[k]
    print ""
    for (p = 1; p <= pattern_count; p++) {
        best = 0
        for (k = 1; k <= label_count; k++) {
            value[k] = median(list[labels[k], patterns[p]])
            if (labels[k] ~ /^qemu/ && value[k] > best)
                best = value[k]
        }
        printf "%-18s", patterns[p]
        for (k = 1; k <= label_count; k++) {
            text = sprintf("%d", value[k])
            if (labels[k] !~ /^qemu/ && best > 0)
                text = text sprintf(" (%.2f)", value[k] / best)
            printf " %*s", length(labels[k]) < 15 ? 15 : length(labels[k]), text
        }
        print ""
    }
}'
