#!/bin/bash
# SPDX-License-Identifier: MIT
# Network throughput and round trips of a guest, crosh-vm beside QEMU, each in a lab host of its own
# (tests/lab/lab) with real KVM: on a tap interface, and on a stream to passt.
#
#     bench/net.sh --build DIR [--prefix DIR] [--image DIR] [--repetitions N] [--kilobytes N]
#                  [--only PART] [--other PROGRAM] [--wall]
#
# Time is counted in instructions of the emulated host (1 ms is one million), so that the figures
# do not depend on this machine or its load; --wall takes its clock instead. That host has one CPU:
# the figures say what a byte costs, guest included, not how well work is spread. The guest is the
# micro image's kernel with one vcpu and offloads on. Of --build comes net-load, which makes the
# traffic: streams of 4,000 kB unless told, datagrams of 64 bytes in bursts of 32, round trips of
# such datagrams, and ping(8)'s. Each figure is the median of N runs (default 3) after one that does
# not count; behind ours is what it is of QEMU's on the same path (of streams and datagrams more is
# better, of round trips less), and in brackets the exits of the guest. "vhost" moves frames in the
# host's kernel. On "passt" the guest's MTU is 32,768, on "passt1500" 1,500; the host's sockets may
# have as much memory as passt asks for, as it loses frames for the guest otherwise. "user" is QEMU's
# own way out that needs no rights, libslirp in its process, as a figure to hold passt's against.
# --only takes candidates with PART in their names; --other is another crosh-vm to compare with.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/common.sh
. "$top/bench/common.sh"
repetitions=3 kilobytes=4000 only='' other=''
read_options kilobytes only other -- "$@"
load=$build/bench/net-load
need "$load"
files=(-f "$load")
[ -z "$other" ] || files+=(-f "$other")

# candidate LABEL PROGRAM
candidate() {
    case $1 in *"$only"*) ;; *) return 0 ;; esac
    in_lab "$1" "${files[@]}" "$top/bench/net-inside.sh" "$repetitions" "$kilobytes" "$1" "$2"
}

for way in tap passt passt1500; do
    candidate $way-crosh "$crosh_vm"
    [ -z "$other" ] || candidate $way-other "./${other##*/}"
    candidate $way-qemu qemu
    [ $way != tap ] || candidate tap-vhost vhost
    [ $way != passt1500 ] || candidate user-qemu qemu
done | tee /dev/stderr | awk "$median"'
NF == 5 && $4 > 0 {
    if (!($1 in label)) { label[$1] = 1; labels[++label_count] = $1 }
    if (!($2 in pattern)) { pattern[$2] = 1; patterns[++pattern_count] = $2 }
    if (!(($1, $2) in warm)) { warm[$1, $2] = 1; next }
    us[$1, $2] = us[$1, $2] " " $4
    exits[$1, $2] = exits[$1, $2] " " $5
    count[$2] = $3
}
END {
    printf "%-28s", ""
    for (k = 1; k <= label_count; k++)
        printf " %18s", labels[k]
    print ""
    for (p = 1; p <= pattern_count; p++) {
        name = patterns[p]
        is_time = name ~ /ping|round-trip/
        printf "%-28s", name (is_time ? ", us" : name ~ /small/ ? ", 1/s" : ", MB/s")
        for (k = 1; k <= label_count; k++) {
            if (!((labels[k], name) in us)) { printf " %18s", "-"; continue }
            t = median(us[labels[k], name])
            value = is_time ? t / count[name] : name ~ /small/ ? count[name] * 1000000 / t : count[name] * 1000 / t
            text = sprintf(value < 1000 ? "%.1f" : "%.0f", value)
            peer = labels[k]
            if (sub(/crosh$|other$/, "qemu", peer) && (peer, name) in us) {
                ratio = t / median(us[peer, name])
                text = text sprintf(" x%.2f", is_time ? ratio : 1 / ratio)
            }
            printf " %18s", text sprintf(" (%d)", median(exits[labels[k], name]))
        }
        print ""
    }
}'
