# SPDX-License-Identifier: MIT
# Images from what others made: a directory, a tar archive, or a disk with ext4. Nothing is mounted,
# so no root is needed. Sourced by crosh-mkimage.
# shellcheck shell=sh disable=SC2154,SC2034

import_boot_modules="squashfs overlay ext4"

# Sets $unpacker to what unpacks the file $1: "cat" where it is not packed.
find_unpacker() {
    case $(head -c 4 "$1" | od -A n -t x1 | tr -d ' \n') in
    1f8b*) unpacker='gzip -dc' ;;
    fd377a58) unpacker='xz -dc' ;;
    28b52ffd) unpacker='zstd -qdc' ;;
    425a68*) unpacker='bzip2 -dc' ;;
    *) unpacker=cat ;;
    esac
    need "${unpacker%% *}" "${unpacker%% *}"
}

# Sets $import_kind from what the source is.
judge_source() {
    if [ -d "$source_option" ]; then
        import_kind=directory
        return
    fi
    [ -f "$source_option" ] && [ -r "$source_option" ] || die "$source_option: no such file or directory"
    find_unpacker "$source_option"
    judge_disk "$source_option"
    if [ "$($unpacker <"$source_option" 2>/dev/null | head -c 262 | tail -c 5 | tr -d '\000')" = ustar ]; then
        import_kind=tar
    elif [ "$unpacker" != cat ]; then
        import_kind=packed
    fi
}

# Sets $import_kind to the kind of disk that the file $1 is.
judge_disk() {
    kind=''
    case $(head -c 8 "$1" | od -A n -t x1 | tr -d ' \n') in
    514649fb*) import_kind=qcow2 && return ;;
    4b444d56*) kind=VMDK ;;
    7668647866696c65) kind=VHDX ;;
    636f6e6563746978) kind=VHD ;;
    3c3c3c20*) kind=VDI ;;
    esac
    [ -z "$kind" ] || die "$source_option is a disk of the kind $kind" \
        "Make it one that is taken: qemu-img convert -O qcow2 $source_option NEW"
    import_kind=raw
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
    $unpacker <"$source_option" | tar -tf - >"$work/names" 2>/dev/null ||
        die "$source_option is no tar archive, or damaged"
    # Clouds' archives hold one disk and nothing else.
    if [ "$(wc -l <"$work/names")" -eq 1 ] && grep -q -E '\.(raw|img|qcow2)$' "$work/names"; then
        unpacker="tar_disk $unpacker"
        import_packed
        return
    fi
    stage pack "packing the root"
    $unpacker <"$source_option" | pack_squashfs - '-tar -root-mode 755 -root-uid 0 -root-gid 0'
    has_init=
    ! grep -q -E '^(\./)?(usr/)?sbin/init$' "$work/names" || has_init=1
    own=$work/own
    mkdir "$own"
    if grep -q -E '^(\./)?boot/vmlinuz' "$work/names"; then
        $unpacker <"$source_option" | tar -C "$own" -xf - --wildcards --no-anchored \
            'boot/vmlinuz*' 'boot/config-*' 'lib/modules/*' 2>/dev/null || true
    fi
}

# tar_disk UNPACKER: what the one file of a packed archive holds.
tar_disk() {
    "$@" | tar -xOf -
}

# A disk in a packed file.
import_packed() {
    stage unpack "unpacking the disk"
    $unpacker <"$source_option" 2>"$work/unpack.log" |
        dd of="$work/packed" bs=1M iflag=fullblock conv=sparse status=none ||
        die "the disk cannot be unpacked" "It needs room in $parent"
    [ ! -s "$work/unpack.log" ] ||
        die "$source_option cannot be unpacked: $(head -n 1 "$work/unpack.log")" "Get it again"
    judge_disk "$work/packed"
    "import_$import_kind" "$work/packed"
    rm -f "$work/packed"
}

import_raw() {
    stage copy "copying the root"
    disk=${1:-$source_option}
    list_partitions "$disk"
    take_root "$disk"
    has_init=
    ! has_path "$disk" "$root_offset" /sbin/init /usr/sbin/init || has_init=1
    take_boot_files "$disk"
}

import_qcow2() {
    stage convert "converting the disk"
    unpack_qcow2 "${1:-$source_option}"
    import_raw "$work/disk"
    rm -f "$work/disk"
}

# The newest kernel of the image's own that has its modules, which is what boot loaders take, unless
# another was asked for.
take_own_kernel() {
    [ -z "$kernel_option" ] || return 0
    find "$own"/boot "$own"/lib/modules/*/vmlinuz "$own"/usr/lib/modules/*/vmlinuz -maxdepth 1 -type f \
        -name 'vmlinuz*' 2>/dev/null | while read -r file; do
        release=$(kernel_release "$file" 2>/dev/null) && printf '%s %s\n' "$release" "$file" || true
    done | sort -rV >"$work/kernels"
    while read -r release file; do
        for dir in "$own/lib/modules" "$own/usr/lib/modules"; do
            if [ -d "$dir/$release/kernel" ]; then
                kernel_option=$file
                modules_option=$dir/$release
                return
            fi
        done
    done <"$work/kernels"
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
    # A name that is no file's: not the image's own.
    without_own=''
    if [ "$kernel_option" = distribution ]; then
        without_own=1 kernel_option=''
    fi
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
    [ -n "$without_own" ] || take_own_kernel
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
