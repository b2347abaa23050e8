#!/bin/bash
# SPDX-License-Identifier: MIT
# How long "vmc start" of the image termina takes until LXD is ready, beside the same image booted by
# systemd as process 1, in one run.
#
#     bench/ready.sh --build DIR [--prefix DIR] [--image DIR] [--repetitions N] [--where lab] [--wall]
#
# --image is a built image termina. Its peer is made here: its root with Debian's packages of systemd,
# udev and dbus, whose units start lxcfs, AppArmor and LXD as these packages have it; all else, from
# the kernel to the launcher and the data disk, is the same. That takes root, and packages from apt.
# The VMs run on this machine as "vmc start" finds best, or in the lab host (tests/lab/lab) on real
# KVM, where time is counted in instructions (--wall: by the clock). "Ready" is LXD's own word, asked
# in the same way of both. Figures are medians of N starts (default 5) of a VM that had been started
# before; "new" is the one start of termina with an empty disk. CPU is what launcher and QEMU used.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=bench/common.sh
. "$top/bench/common.sh"
repetitions=5 where=here
read_options where -- "$@"
case " $* " in *" --image "*) ;; *) image=${image%/micro}/termina ;; esac
[ -f "$image/root.squashfs" ] || { echo "ready.sh: $image is no image termina" >&2 && exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
results=$work/results images=$work/images
mkdir -p "$images/peer"
cp -r "$image" "$images/termina"
"$prefix/libexec/crosh/crosh-mkimage" refresh --quiet --output "$images/termina"

# The peer's root: one of the same packages, and those that a Debian's init needs.
root=$work/root
unsquashfs -q -n -d "$root" "$images/termina/root.squashfs" >/dev/null
mkdir -p "$root/debs/partial"
apt-get -q -y -o Dir::State::status="$root/var/lib/dpkg/status" -o Dir::Cache::archives="$root/debs" \
    -o APT::Architectures::=amd64 -o APT::Architecture=amd64 -o APT::Sandbox::User="$(id -un)" \
    --no-install-recommends --download-only install systemd-sysv udev dbus libpam-systemd >"$work/apt.log" 2>&1 ||
    { tail "$work/apt.log" >&2 && exit 1; }
DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c 'dpkg --force-depends --unpack /debs/*.deb && dpkg --configure -a' \
    >"$work/dpkg.log" 2>&1 || { tail "$work/dpkg.log" >&2 && exit 1; }
rm -rf "$root/debs" "$root/etc/crosh/startup"
wants=$root/etc/systemd/system/multi-user.target.wants
mkdir -p "$wants"
for unit in lxd.service lxcfs.service; do
    ln -sf "/lib/systemd/system/$unit" "$wants/$unit"
done
printf '%s\n' '/dev/vdb /data btrfs noatime,discard=async,notreelog,flushoncommit 0 0' \
    '/data/lxd /var/lib/lxd none bind,x-systemd.requires-mounts-for=/data 0 0' \
    '/data/log /var/log/lxd none bind,x-systemd.requires-mounts-for=/data 0 0' >"$root/etc/fstab"
mksquashfs "$root" "$images/peer/root.squashfs" -comp zstd -Xcompression-level 9 -b 128K -no-progress \
    -quiet >/dev/null
rm -rf "$root"

# The same kernel and agent, which gives process 1 to the root's own init.
cp -l "$images"/termina/vmlinu[xz] "$images/peer/"
mkdir -p "$work/add/etc/crosh"
printf 'squashfs init=/sbin/init\n' >"$work/add/etc/crosh/root"
(cd "$work/add" && find . | cpio -o -H newc --quiet) >"$work/add.cpio"
cat "$images/termina/boot.cpio" "$work/add.cpio" >"$images/peer/boot.cpio"
# The agent's archive follows that of the kernel, and of two files of a name the later one counts.
cat "$images/termina/initramfs" "$work/add.cpio" >"$images/peer/initramfs"
cp "$images/termina/manifest.json" "$images/peer/manifest.json"
for file in boot.cpio initramfs root.squashfs; do
    sed -i "s/\"$file\": {\"size\": [0-9]*/\"$file\": {\"size\": $(stat -c %s "$images/peer/$file")/" \
        "$images/peer/manifest.json"
done
head -n -2 "$images/peer/manifest.json" >"$work/manifest"
{
    cat "$work/manifest"
    printf '  "sum": "%s"\n}\n' "$(sha256sum <"$work/manifest" | cut -d' ' -f1)"
} >"$images/peer/manifest.json"

case $where in
lab)
    tar -C "$work" -cf "$work/images.tar" images
    "$top/tests/lab/lab" run --prefix "$prefix" ${clock:+"$clock"} --timeout 3400 --memory 6144 \
        -f "$work/images.tar" "$top/bench/ready-inside.py" "$prefix" images.tar "$repetitions"
    ;;
*) /usr/bin/python3 "$top/bench/ready-inside.py" "$prefix" "$images" "$repetitions" ;;
esac | tee "$results" | while read -r line; do printf '  %s\n' "$line" >&2; done

# LABEL SECONDS CPU-SECONDS STOP-SECONDS
awk "$median"'
NF == 4 {
    if (!($1 in count)) order[++labels] = $1
    count[$1]++
    ready[$1] = ready[$1] " " $2
    cpu[$1] = cpu[$1] " " $3
    stop[$1] = stop[$1] " " $4
}
END {
    printf "%-10s %9s %8s %8s %7s %7s\n", "", "ready, s", "CPU, s", "stop, s", "ratio", "starts"
    for (k = 1; k <= labels; k++) {
        l = order[k]
        printf "%-10s %9.2f %8.2f %8.2f %7s %7d\n", l, median(ready[l]), median(cpu[l]), median(stop[l]),
               l == "termina" && ("systemd" in ready) ? sprintf("%.2f", median(ready[l]) / median(ready["systemd"])) : "",
               count[l]
    }
}' "$results"
