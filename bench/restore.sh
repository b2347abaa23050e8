#!/bin/bash
# SPDX-License-Identifier: MIT
# How long a VM takes from its launcher's start to the first answer of a command in its guest: booted
# cold, and restored from a snapshot, in one lab host (tests/lab/lab) with real KVM.
#
#     bench/restore.sh --build DIR [--prefix DIR] [--image DIR] [--repetitions N] [--memory "MIB..."]
#                      [--wall]
#
# Time is counted in instructions of the emulated host (1 ms is one million); --wall takes its clock
# instead. Each figure is the median of N runs (default 5) after one that does not count; the
# snapshot was taken after the cold boot's answer. Ends with status 1 when restoring takes more than
# a tenth of a cold boot.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/common.sh
. "$top/bench/common.sh"
repetitions=5 memory='256 1024'
read_options memory -- "$@"
timer=$build/bench/vsh-timer
need "$timer"

results=$(mktemp)
trap 'rm -f "$results"' EXIT
# shellcheck disable=SC2086 # a list of words
"${lab[@]}" --timeout 1800 -f "$timer" "$top/bench/restore-inside.sh" "$repetitions" "$crosh_vm" $memory |
    tee "$results" | while read -r line; do printf '  %s\n' "$line" >&2; done

awk "$median"'
$1 == "#" { notes = notes $0 "\n"; next }
$2 !~ /^answer_us=/ { failed[$1]++; next }
{
    split($1, part, "-")
    if (!(part[2] in known)) { known[part[2]] = 1; sizes[++count] = part[2] }
    if (!($1 in seen)) { seen[$1] = 1; next }
    split($2, us, "=")
    list[$1] = list[$1] us[2] " "; runs[$1]++
}
END {
    printf "%-12s %14s %14s %8s %12s\n", "memory, MiB", "cold, ms", "restored, ms", "ratio",
           "runs/failed"
    for (k = 1; k <= count; k++) {
        c = "cold-" sizes[k]; r = "restored-" sizes[k]
        if (!runs[c] || !runs[r]) { bad = 1; continue }
        cold = median(list[c]) / 1000; restored = median(list[r]) / 1000
        printf "%-12s %14.1f %14.1f %8.3f %6d/%d\n", sizes[k], cold, restored, restored / cold,
               runs[r], failed[c] + failed[r]
        if (restored > cold / 10) bad = 1
    }
    printf "%s", notes
    exit bad
}' "$results"
