#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: block devices, read and written whole, read-only ones, and the random source.
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

head -c 16777216 /dev/urandom >/tmp/first
head -c 4194304 /dev/urandom >/tmp/second
truncate -s 8M /tmp/third
first=$(sha256sum </tmp/first)
second=$(sha256sum </tmp/second)

check "a VM with three disks starts" start disky --extra-disk /tmp/first \
    --extra-disk /tmp/second,ro --extra-disk /tmp/third
equal "the first disk reads as it is" "$(run_in disky sha256sum /dev/vda | cut -d' ' -f1)  -" "$first"
equal "the second disk reads as it is" "$(run_in disky sha256sum /dev/vdb | cut -d' ' -f1)  -" "$second"
equal "sizes are right" "$(run_in disky sh -c 'blockdev --getsize64 /dev/vda; blockdev --getsize64 /dev/vdc' | tr '\n' ' ')" \
    "16777216 8388608 "
equal "the second is read-only" "$(run_in disky cat /sys/block/vdb/ro)" 1
check "writing to it fails" sh -c '! crosh vsh disky -- dd if=/dev/zero of=/dev/vdb count=1 2>/dev/null'
equal "what is written is read back" \
    "$(run_in disky sh -c 'dd if=/dev/vda of=/dev/vdc bs=1M count=8 2>/dev/null && sync &&
        echo 3 >/proc/sys/vm/drop_caches && cmp -n 8388608 /dev/vda /dev/vdc && echo same')" same
check "a file system works on it" run_in disky sh -c 'mke2fs /dev/vda >/dev/null &&
    mount -t ext4 /dev/vda /mnt && echo kept >/mnt/file && umount /mnt'
check "the random source is ours" run_in disky sh -c 'grep -q virtio /sys/class/misc/hw_random/rng_current &&
    head -c 64 /dev/hwrng | wc -c | grep -q -x 64'
check "the VM stops" stop disky
equal "the host sees what was written" "$(head -c 8388608 /tmp/third | sha256sum)" \
    "$(sha256sum </tmp/third)"
check "the read-only disk is untouched" test "$(sha256sum </tmp/second)" = "$second"

check "the VM starts again" start disky
equal "with its file" "$(run_in disky sh -c 'mount -t ext4 /dev/vda /mnt && cat /mnt/file')" kept
check "the VM stops again" stop disky
finish
