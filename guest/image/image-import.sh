# SPDX-License-Identifier: MIT
# Images from what others made: a directory, a tar archive, or a disk with ext4. Nothing is mounted,
# so no root is needed. Sourced by crosh-mkimage.
# shellcheck shell=sh disable=SC2154,SC2034

import_boot_modules="squashfs overlay ext4"

# Sets $import_kind from what the source is.
judge_source() {
    if [ -d "$source_option" ]; then
        import_kind=directory
        return
    fi
    [ -f "$source_option" ] && [ -r "$source_option" ] || die "$source_option: no such file or directory"
    case $(head -c 4 "$source_option" | od -A n -t x1 | tr -d ' \n') in
    514649fb) import_kind=qcow2 ;;
    1f8b* | fd377a58 | 28b52ffd | 425a68*) import_kind=tar ;;
    *)
        if [ "$(head -c 262 "$source_option" | tail -c 5 | tr -d '\000')" = ustar ]; then
            import_kind=tar
        else
            import_kind=raw
        fi
        ;;
    esac
}

# pack_squashfs: standard input or $1 as the root; $2 says which it is for mksquashfs.
pack_squashfs() {
    need mksquashfs squashfs-tools
    status=0
    mksquashfs "$1" "$new/root.squashfs" $2 -comp zstd -Xcompression-level 9 -b 128K -no-progress -quiet \
        -no-exports -wildcards -e 'proc/*' 'sys/*' 'dev/*' 'run/*' >"$work/mksquashfs.log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || die "the root cannot be packed: $(grep -v '^Empty' "$work/mksquashfs.log" | head -n 1)" \
        "It needs room in $parent, and read access to all files"
}

import_directory() {
    stage pack "packing the root"
    pack_squashfs "$source_option" ''
    own=$source_option
    has_init=
    for path in sbin/init usr/sbin/init; do
        if [ -e "$source_option/$path" ] || [ -L "$source_option/$path" ]; then has_init=1; fi
    done
}

import_tar() {
    stage pack "packing the root"
    unpacker=cat
    case $(head -c 4 "$source_option" | od -A n -t x1 | tr -d ' \n') in
    1f8b*) unpacker='gzip -dc' ;;
    fd377a58) unpacker='xz -dc' ;;
    28b52ffd) unpacker='zstd -qdc' ;;
    425a68*) unpacker='bzip2 -dc' ;;
    esac
    need "${unpacker%% *}" "${unpacker%% *}"
    $unpacker <"$source_option" | pack_squashfs - '-tar -root-mode 755 -root-uid 0 -root-gid 0'
    $unpacker <"$source_option" | tar -tf - >"$work/names" ||
        die "$source_option is no tar archive, or damaged"
    has_init=
    ! grep -q -E '^(\./)?(usr/)?sbin/init$' "$work/names" || has_init=1
    own=$work/own
    mkdir "$own"
    if grep -q -E '^(\./)?boot/vmlinuz' "$work/names"; then
        $unpacker <"$source_option" | tar -C "$own" -xf - --wildcards --no-anchored \
            'boot/vmlinuz-*' 'lib/modules/*' 2>/dev/null || true
    fi
}

# in_disk COMMAND: debugfs on the root's file system.
in_disk() {
    debugfs -R "$1" "$new/root.ext4" 2>/dev/null
}

# Takes the file system with an init out of the disk $1, as root.ext4.
find_root_partition() {
    need debugfs e2fsprogs
    need partx util-linux
    # Of a disk without partitions, the whole.
    { partx -rgbo START,SIZE "$1" 2>/dev/null || true; } >"$work/partitions"
    [ -s "$work/partitions" ] || printf '0 %s\n' "$(stat -c %s "$1")" >"$work/partitions"
    found=
    while read -r start bytes; do
        for path in /sbin/init /usr/sbin/init /etc/passwd; do
            if debugfs -R "stat $path" "$1?offset=$((start * 512))" 2>/dev/null | grep -q '^Inode:'; then
                found="$((start * 512)) $bytes"
                break 2
            fi
        done
    done <"$work/partitions"
    [ -n "$found" ] || die "$source_option holds no root on ext4" \
        "A disk image needs a partition, or itself, to be an ext4 file system with /etc/passwd"
    set -- "$1" $found
    dd if="$1" of="$new/root.ext4" bs=1M iflag=skip_bytes,count_bytes skip="$2" count="$3" conv=sparse \
        status=none || die "the root cannot be copied" "It needs $3 bytes free in $parent"
    # What a running system left in its journal: guests mount it read-only.
    status=0
    e2fsck -fy "$new/root.ext4" >"$work/fsck.log" 2>&1 || status=$?
    [ "$status" -lt 4 ] || die "the file system of $source_option is damaged: $(tail -n 1 "$work/fsck.log")"
}

import_raw() {
    stage copy "copying the root"
    find_root_partition "${1:-$source_option}"
    has_init=
    for path in /sbin/init /usr/sbin/init; do
        ! in_disk "stat $path" | grep -q '^Inode:' || has_init=1
    done
    own=$work/own
    mkdir -p "$own/boot" "$own/lib/modules"
    for name in $(in_disk 'ls -p /boot' | cut -d/ -f6 | grep '^vmlinuz-' || true); do
        in_disk "dump /boot/$name $own/boot/$name" >/dev/null
        in_disk "rdump /lib/modules/${name#vmlinuz-} $own/lib/modules" >/dev/null
        [ -d "$own/lib/modules/${name#vmlinuz-}" ] ||
            in_disk "rdump /usr/lib/modules/${name#vmlinuz-} $own/lib/modules" >/dev/null
    done
}

import_qcow2() {
    need qemu-img qemu-utils
    stage convert "converting the disk"
    qemu-img convert -O raw "$source_option" "$work/disk" 2>"$work/convert.log" ||
        die "$source_option cannot be converted: $(head -n 1 "$work/convert.log")"
    import_raw "$work/disk"
    rm -f "$work/disk"
}

# The newest kernel of the image's own that has its modules, unless one was given.
take_own_kernel() {
    [ -z "$kernel_option" ] || return 0
    for file in $(find "$own/boot" -maxdepth 1 -type f -name 'vmlinuz-*' 2>/dev/null | sort -rV); do
        for dir in "$own/lib/modules" "$own/usr/lib/modules"; do
            if [ -d "$dir/${file##*/vmlinuz-}/kernel" ]; then
                kernel_option=$file
                modules_option=$dir/${file##*/vmlinuz-}
                return
            fi
        done
    done
}

import_manifest() {
    {
        begin_manifest import
        printf '  "root": {"file": "%s", "type": "%s", "layer": "ext4", "init": %s, "from": %s},\n' "$1" \
            "${1#root.}" "$([ -n "$has_init" ] && echo true || echo false)" "$(json_string "$(basename "$source_option")")"
        printf '  "modules": ['
        sed 's/.*/"&"/' "$tree/etc/crosh/modules" | paste -s -d, | tr -d '\n'
        printf '],\n'
    } >"$new/manifest.json"
    end_manifest boot.cpio initramfs "$1" vmlinux vmlinuz
}

import_image() {
    if [ -z "$output" ] || [ -z "$source_option" ]; then
        die "import needs --output DIR and --source FILE or DIR"
    fi
    source_option=$(readlink -f "$source_option")
    settle_output "$output"
    check_options
    need cpio cpio
    need flock util-linux
    need modprobe kmod
    judge_source
    check_output
    begin
    tree=$work/tree
    new=$work/new
    mkdir "$tree" "$new"
    inputs=imported
    "import_$import_kind"
    take_own_kernel
    stage kernel kernel
    find_kernel
    # Named by what it is, not by where it lay for a moment.
    case $kernel_source in "$work"/*) kernel_source="the image's own" ;; esac
    mkdir -p "$tree/etc/crosh"
    useful_modules="$useful_modules $import_boot_modules"
    add_modules
    root=root.squashfs
    [ -f "$new/$root" ] || root=root.ext4
    printf '%s layer=ext4%s\n' "${root#root.}" "${has_init:+ init=/sbin/init}" >"$tree/etc/crosh/root"
    pack "$tree" "$new/boot.cpio"
    build_initramfs
    add_kernel
    import_manifest "$root"
    "$libexec/crosh-publish" "$new" "$output" || exit 1
    say "image $output"
}
