#!/bin/bash
# SPDX-License-Identifier: MIT
# Streams through a guest's vsock device, crosh-vm's own beside the host kernel's vhost-vsock, and
# beside ssh over the guest's network card, in lab hosts (tests/lab/lab) with real KVM.
#
#     bench/vsock.sh --build DIR [--prefix DIR] [--image DIR] [--repetitions N] [--megabytes N]
#                    [--streams N] [--only "LABEL..."] [--wall]
#
# Time is counted in instructions of the emulated host (1 ms is one million), so that the figures
# do not depend on this machine or its load; --wall takes its clock instead. That host has one CPU:
# the figures say what a byte costs, guest included, not how well work is spread. All candidates
# boot the same kernel and initramfs with one vcpu. A stream of N MB (16 unless told) goes each way,
# 64 bytes there and back 200 times, and 1 KiB there and back ten times on N streams (1000) at once,
# beside 16 others whose reader is slow; "first" and "last" are when the first and the last of them
# were done. "true" is the whole command, `crosh vsh VM -- true` or `ssh VM true`. Each figure is
# the median of N runs (default 3) after one that does not count. ssh is over crosh-vm's network
# card, ssh-qemu over the host kernel's vhost-net. Each launcher has a lab host of its own, all of them
# alike, as such a host hangs now and then: after three minutes without a word it is ended, and tried
# again, three times in all, which is said. Ends with status 1 when a bar is missed: vsock throughput
# at least vhost's and twice ssh's, echo at most 1.2 of vhost's, vsh at most half of ssh.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/common.sh
. "$top/bench/common.sh"
patience=180 # seconds without a line
repetitions=3 megabytes=16 streams=1000 only='crosh crosh-kernel ssh qemu-vhost ssh-qemu'
read_options megabytes streams only -- "$@"
for label in $only; do
    case $label in crosh | crosh-kernel | ssh | qemu-vhost | ssh-qemu) ;; *) usage ;; esac
done
prefix=$(realpath "$prefix")
load=$build/bench/vsock-load
need "$load"
sshd=$(PATH=$PATH:/usr/sbin command -v sshd) ssh=$(command -v ssh) ||
    { echo "vsock.sh: there is no ssh or sshd (Debian: openssh-client, openssh-server)" >&2 && exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for key in host-key user-key; do ssh-keygen -q -t ed25519 -N '' -C bench -f "$scratch/$key"; done

# wanted LABEL...: whether one of them is.
wanted() {
    for label in "$@"; do
        case " $only " in *" $label "*) return 0 ;; esac
    done
    return 1
}

# run LAUNCHER SSH-LABEL: adds its figures to the results; those of a run cut short do not count.
run() {
    wanted "$@" || return 0
    for attempt in 1 2 3; do
        : >"$scratch/attempt"
        "${lab[@]}" --timeout 1200 -f "$load" -f "$sshd" -f "$ssh" -f "$scratch/host-key" \
            -f "$scratch/user-key" -f "$scratch/user-key.pub" "$top/bench/vsock-inside.sh" \
            "$repetitions" "$megabytes" "$streams" "$prefix" "$1" "$only" >"$scratch/lines" 2>&1 &
        while read -r -t "$patience" line; do
            printf '%s\n' "$line" >>"$scratch/attempt"
            printf '  %s\n' "$line" >&2
        done <"$scratch/lines"
        kill $! 2>/dev/null || true
        wait $! 2>/dev/null || true
        if [ "$(tail -n 1 "$scratch/attempt")" = complete ]; then
            sed '$d' "$scratch/attempt" >>"$scratch/results"
            return
        fi
        echo "$1: attempt $attempt was cut short" | tee -a "$scratch/cut-short" >&2
    done
    echo "$1: given up" >>"$scratch/results"
}

touch "$scratch/results" "$scratch/cut-short"
mkfifo "$scratch/lines"
run crosh ssh
run crosh-kernel
run qemu-vhost ssh-qemu
cat "$scratch/cut-short"

awk -v megabytes="$megabytes" "$median"'
function shown(l, w) { return (l, w) in list ? sprintf("%.1f", figure(l, w)) : "-" }
function figure(l, w,    value) {
    if (!((l, w) in list)) return 0
    value = median(list[l, w])
    return w == "push" || w == "pull" ? megabytes * 1048576 / value : value
}
function bar(text, a, b, limit, is_least,    ratio) {
    if (!a || !b) return
    ratio = a / b
    printf "%-44s %6.2f (bar: at %s %.2f)%s\n", text, ratio, is_least ? "least" : "most", limit,
           (is_least ? ratio < limit : ratio > limit) ? "  MISSED" : ""
    if (is_least ? ratio < limit : ratio > limit) missed = 1
}
NF != 3 || $3 !~ /^[0-9]+$/ { print; missed = 1; next }
{
    if (!($1 in label)) { label[$1] = 1; labels[++count] = $1 }
    if (!(($1, $2) in seen) && $2 != "true") { seen[$1, $2] = 1; next }
    list[$1, $2] = list[$1, $2] " " $3
}
END {
    printf "%-12s %14s %16s %9s %12s %12s %10s\n", "candidate", "to guest, MB/s", "from guest, MB/s",
           "echo, us", "first, us", "last, us", "true, us"
    for (k = 1; k <= count; k++) {
        l = labels[k]
        printf "%-12s %14s %16s %9s %12s %12s %10s\n", l, shown(l, "push"), shown(l, "pull"),
               shown(l, "echo"), shown(l, "streams-first"), shown(l, "streams-last"),
               shown(l, "true")
    }
    bar("to the guest, of vhost-vsock", figure("crosh", "push"), figure("qemu-vhost", "push"), 1, 1)
    bar("from the guest, of vhost-vsock", figure("crosh", "pull"), figure("qemu-vhost", "pull"), 1, 1)
    bar("to the guest, of ssh", figure("crosh", "push"), figure("ssh", "push"), 2, 1)
    bar("from the guest, of ssh", figure("crosh", "pull"), figure("ssh", "pull"), 2, 1)
    bar("echo, of vhost-vsock", figure("crosh", "echo"), figure("qemu-vhost", "echo"), 1.2, 0)
    bar("vsh VM -- true, of ssh VM true", figure("crosh", "true"), figure("ssh", "true"), 0.5, 0)
    exit missed || count == 0
}' "$scratch/results"
