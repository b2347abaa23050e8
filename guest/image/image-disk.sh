# SPDX-License-Identifier: MIT
# Disks that others made: qcow2 files, partition tables, file systems on them. Nothing is mounted.
# Sourced by crosh-mkimage.
# shellcheck shell=sh disable=SC2154,SC2034

# number FILE OFFSET SIZE: what stands there, the highest byte first.
number() {
    od -A n -t u1 -j "$2" -N "$3" "$1" | awk '{ for (i = 1; i <= NF; i++) n = n * 256 + $i } END { print n + 0 }'
}

# Refuses a qcow2 file that is not whole by itself: another file's data must not come into an image
# because the disk's maker named that file. (The header: QEMU's docs/interop/qcow2.txt.)
judge_qcow2() {
    [ "$(stat -c %s "$1")" -ge 72 ] || die "$source_option is cut off: it has no whole header"
    [ "$(number "$1" 8 8)" = 0 ] ||
        die "$source_option holds only what differs from another disk, its backing file" \
            "Make it whole where it comes from: qemu-img convert -O qcow2 DISK WHOLE"
    [ "$(number "$1" 32 4)" = 0 ] ||
        die "$source_option is encrypted" "Decrypt it first: qemu-img convert --object secret,... -O qcow2"
    [ "$(number "$1" 60 4)" = 0 ] ||
        printf 'note: the snapshots in %s are left out\n' "$(basename "$source_option")" >&2
    [ "$(number "$1" 4 4)" -ge 3 ] || return 0
    # Bit 2 of the features that must be understood.
    [ $(($(number "$1" 79 1) & 4)) -eq 0 ] ||
        die "$source_option keeps its data in another file" \
            "Make it whole where it comes from: qemu-img convert -O qcow2 DISK WHOLE"
}

# Makes the qcow2 file $1 the plain disk $work/disk.
unpack_qcow2() {
    need qemu-img qemu-utils
    judge_qcow2 "$1"
    # 3: only clusters that nothing refers to.
    status=0
    qemu-img check -q -f qcow2 "$1" >"$work/convert.log" 2>&1 || status=$?
    case $status in
    0 | 3) ;;
    *) die "$source_option is damaged: $(grep -v '^$' "$work/convert.log" | head -n 1)" "Get it again" ;;
    esac
    qemu-img convert -f qcow2 -O raw "$1" "$work/disk" 2>"$work/convert.log" ||
        die "$source_option cannot be converted: $(head -n 1 "$work/convert.log")"
}

# type_at DISK OFFSET BYTES: what a partition holds, as blkid calls it.
type_at() {
    blkid -p -O "$2" -S "$3" -s TYPE -o value "$1" 2>/dev/null || true
}

# Makes $work/partitions lines "NUMBER OFFSET BYTES TYPE" of the disk $1; of one without
# partitions the whole, as number 0.
list_partitions() {
    need partx util-linux
    need blkid util-linux
    bytes=$(stat -c %s "$1")
    { partx -rgo SCHEME,NR,START,SECTORS "$1" 2>/dev/null || true; } >"$work/partx"
    if [ ! -s "$work/partx" ]; then
        # The table's protective entry alone: the table proper cannot be read.
        [ "$(head -c 520 "$1" | tail -c 8)" != 'EFI PART' ] ||
            die "the partition table of $source_option is damaged, or its end is cut off" "Get it again"
        printf '0 0 %s %s\n' "$bytes" "$(type_at "$1" 0 "$bytes")" >"$work/partitions"
        return
    fi
    # Of the older kind, one may hold others.
    why=$(sort -n -k 3 "$work/partx" | awk -v bytes="$bytes" '
        ($3 + $4) * 512 > bytes { print "partition " $2 " reaches beyond its end"; exit }
        $1 == "gpt" && NR > 1 && $3 < end { print "partitions " before " and " $2 " overlap"; exit }
        { end = $3 + $4; before = $2 }')
    [ -z "$why" ] || die "$source_option is cut off or damaged: $why" "Get it again"
    while read -r _ number start sectors; do
        printf '%s %s %s %s\n' "$number" $((start * 512)) $((sectors * 512)) \
            "$(type_at "$1" $((start * 512)) $((sectors * 512)))"
    done <"$work/partx" >"$work/partitions"
}

# on_disk DISK OFFSET COMMAND: debugfs on the file system there.
on_disk() {
    debugfs -R "$3" "$1?offset=$2" 2>/dev/null
}

# Whether the file system at $2 of the disk $1 has one of the paths that follow.
has_path() {
    has_disk=$1 has_offset=$2
    shift 2
    for has in "$@"; do
        ! on_disk "$has_disk" "$has_offset" "stat $has" | grep -q '^Inode:' || return 0
    done
    return 1
}

# Takes the file system with an init, or else with users, out of the disk $1, as root.ext4.
take_root() {
    need debugfs e2fsprogs
    root_offset='' root_bytes=''
    for path in '/sbin/init /usr/sbin/init' /etc/passwd; do
        while read -r number offset bytes type; do
            # shellcheck disable=SC2086 # a list of words
            case $type in
            ext[234])
                if [ -z "$root_offset" ] && has_path "$1" "$offset" $path; then
                    root_offset=$offset root_bytes=$bytes
                fi
                ;;
            esac
        done <"$work/partitions"
    done
    if [ -z "$root_offset" ]; then
        held=$(awk '$4 != "" { print ($1 == 0 ? "it holds " : "partition " $1 " holds ") $4 }' \
            "$work/partitions" | paste -s -d , | sed 's/,/, /g')
        die "$source_option holds no root on ext4${held:+ ($held)}" \
            "A disk image needs a partition, or itself, to be an ext4 file system with /etc/passwd"
    fi
    dd if="$1" of="$new/root.ext4" bs=1M iflag=skip_bytes,count_bytes skip="$root_offset" count="$root_bytes" \
        conv=sparse status=none || die "the root cannot be copied" "It needs $root_bytes bytes free in $parent"
    # What a running system left in its journal: guests mount it read-only.
    status=0
    e2fsck -fy "$new/root.ext4" >"$work/fsck.log" 2>&1 || status=$?
    [ "$status" -lt 4 ] || die "the file system of $source_option is damaged: $(tail -n 1 "$work/fsck.log")"
}

# take_kernels DISK OFFSET DIRECTORY: the kernels in a directory ("" for the uppermost) of a file system,
# into $own/boot.
take_kernels() {
    for name in $(on_disk "$1" "$2" "ls -p ${3:-/}" | cut -d/ -f6 | grep -E '^(vmlinuz|config-)' || true); do
        [ -e "$own/boot/$name" ] || on_disk "$1" "$2" "dump $3/$name $own/boot/$name" >/dev/null
    done
}

# The kernels of the root and of a partition that is mounted at /boot, and the root's modules.
take_boot_files() {
    own=$work/own
    mkdir -p "$own/boot" "$own/lib"
    take_kernels "$1" "$root_offset" /boot
    while read -r number offset bytes type; do
        case $type in ext[234]) [ "$offset" = "$root_offset" ] || take_kernels "$1" "$offset" '' ;; esac
    done <"$work/partitions"
    [ -n "$(ls "$own/boot")" ] || return 0
    for path in /lib/modules /usr/lib/modules; do
        if has_path "$1" "$root_offset" "$path"; then
            on_disk "$1" "$root_offset" "rdump $path $own/lib" >/dev/null
            return
        fi
    done
}
