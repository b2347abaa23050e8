# SPDX-License-Identifier: MIT
# The distribution's packages, the kernel and its modules. Sourced by crosh-mkimage.
# shellcheck shell=sh disable=SC2154,SC2034

# package_file NAME: makes $package_path the .deb of a package, from the cache
# or downloaded. On failure returns 1, and $package_why says why.
package_file() {
    if ! command -v apt-get >/dev/null 2>&1; then
        package_why="this system has no apt-get"
        return 1
    fi
    mkdir -p "$cache"
    # 'URI' FILE SIZE SHA256:SUM
    if ! uri=$(apt-get download --print-uris "$1" 2>"$work/apt.log") || [ -z "$uri" ]; then
        package_why="apt knows no package $1; refresh its lists: sudo apt-get update"
        return 1
    fi
    name=$(printf '%s\n' "$uri" | cut -d' ' -f2)
    sum=$(printf '%s\n' "$uri" | cut -d' ' -f4)
    package_path=$cache/$name
    if [ -f "$package_path" ] && [ "SHA256:$(checksum "$package_path")" = "$sum" ]; then
        return 0
    fi
    if [ -n "$no_download" ]; then
        package_why="$1 is not in $cache, and --no-download was given"
        return 1
    fi
    say "downloading $1"
    mkdir -p "$work/download"
    # Run by root, apt warns that its sandbox user cannot write here: it need not.
    if ! (cd "$work/download" && apt-get -q -o APT::Sandbox::User="$(id -un)" download "$1") \
        >"$work/apt.log" 2>&1; then
        package_why="download of $1 failed: $(grep '^E:' "$work/apt.log" | head -n 1)"
        return 1
    fi
    if [ "SHA256:$(checksum "$work/download/$name")" != "$sum" ]; then
        package_why="the download of $1 is damaged"
        return 1
    fi
    mv -f "$work/download/$name" "$package_path"
}

# unpacking_failed REASON
unpacking_failed() {
    die "cannot unpack $package_path: $(printf '%s\n' "$1" | head -n 1)" \
        "It needs some 250 MB free in $parent"
}

# unpack_kernel_package DIR: boot/vmlinuz-* and lib/modules of the distribution's
# cloud kernel; $package_why when that cannot be.
unpack_kernel_package() {
    if ! command -v apt-cache >/dev/null 2>&1; then
        package_why="this system has no apt-cache"
        return 1
    fi
    kernel_package=$(apt-cache depends "linux-image-cloud-$arch$foreign" 2>/dev/null |
        sed -n 's/^ *Depends: *\(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    if [ -z "$kernel_package" ]; then
        package_why="apt knows no linux-image-cloud-$arch$foreign; refresh its lists: sudo apt-get update"
        return 1
    fi
    package_file "$kernel_package" || return 1
    need dpkg-deb dpkg
    mkdir -p "$1"
    # Our callers test the status, and so "set -e" does not hold here. What the programs say goes
    # into no file: a full disk is the likeliest of their reasons.
    why=$(dpkg-deb --fsys-tarfile "$package_path" 2>&1 >"$work/package.tar") ||
        unpacking_failed "$why"
    why=$(tar -xf "$work/package.tar" -C "$1" --wildcards --no-wildcards-match-slash \
        './boot/vmlinuz-*' './boot/config-*' './lib/modules' 2>&1) || unpacking_failed "$why"
    rm -f "$work/package.tar"
}

# use_modules DIR: makes $module_base a tree in which modprobe finds the modules
# of $release, which are in DIR; DIR itself stays as it is.
use_modules() {
    module_base=$work/modules
    mkdir -p "$module_base/lib/modules" "$module_base/usr"
    ln -s ../lib "$module_base/usr/lib" # newer kmod looks there on some systems
    if [ -f "$1/modules.dep.bin" ]; then
        ln -s "$(readlink -f "$1")" "$module_base/lib/modules/$release"
        return
    fi
    mkdir "$module_base/lib/modules/$release"
    for entry in "$1"/*; do
        ln -s "$(readlink -f "$entry")" "$module_base/lib/modules/$release/"
    done
    depmod -b "$module_base" "$release" || die "depmod cannot read the modules in $1"
}

kernel_release() {
    "$libexec/crosh-vmlinux" --release "$1"
}

# Sets $kernel, $release, $kernel_source and $module_base (empty: no modules at all).
find_kernel() {
    module_base=
    if [ -n "$kernel_option" ]; then
        kernel=$kernel_option
        kernel_source=$kernel
        release=$(kernel_release "$kernel") || exit 1
        if [ -n "$modules_option" ]; then
            [ -d "$modules_option/kernel" ] || [ -f "$modules_option/modules.dep" ] ||
                die "$modules_option holds no kernel modules" \
                    "Give the directory that is named for the release: .../lib/modules/$release"
            use_modules "$modules_option"
        elif [ -d "/lib/modules/$release" ]; then
            use_modules "/lib/modules/$release"
        else
            say "note: no modules for $release: taking it that virtio is built in (or give --modules)"
        fi
        return
    fi
    if unpack_kernel_package "$work/kernel"; then
        kernel=$(printf '%s\n' "$work"/kernel/boot/vmlinuz-*)
        kernel_source=$kernel_package
        release=$(kernel_release "$kernel") || exit 1
        use_modules "$work/kernel/lib/modules/$release"
        return
    fi
    [ -z "$foreign" ] || die "no kernel: $package_why" "Or give one: --kernel FILE [--modules DIR]"
    release=$(uname -r)
    kernel=/boot/vmlinuz-$release
    kernel_source=$kernel
    if [ -f "$kernel" ] && [ ! -r "$kernel" ]; then
        die "no kernel: $package_why; and $kernel is for root only" \
            "Copy it where you can read it and give it: --kernel FILE"
    fi
    if [ ! -f "$kernel" ] || [ ! -d "/lib/modules/$release" ]; then
        die "no kernel: $package_why; and there is no $kernel with /lib/modules/$release" \
            "Or give one: --kernel FILE [--modules DIR]"
    fi
    say "note: using this machine's own kernel ($package_why)"
    use_modules "/lib/modules/$release"
}

# show_depends MODULE: the files to load for it, in order; nothing for one that is built in.
# The host's configuration (blacklists, options) is not the guest's.
show_depends() {
    modprobe -C "$work/no-config" -d "$module_base" -S "$release" --show-depends "$1" 2>/dev/null |
        sed -n 's/^insmod \([^ ]*\) *$/\1/p'
}

has_module() {
    modprobe -C "$work/no-config" -d "$module_base" -S "$release" --show-depends "$1" \
        >/dev/null 2>&1
}

# Whether the kernel loads modules without a signature, by the configuration beside it.
takes_unsigned() {
    config=$(dirname "$kernel")/config-$release
    [ -r "$config" ] && ! grep -q '^CONFIG_MODULE_SIG_FORCE=y' "$config"
}

# drop_signature FILE: cuts off the signature that the kernel's build appended. Checking it costs a
# guest more than all else in loading a module, and proves nothing about an initramfs of ours. The
# format: signature, 8 bytes, its length (32 bits, big endian), magic (Linux' module_signature.h).
drop_signature() {
    [ "$(tail -c 28 "$1" | tr -d '\000')" = '~Module signature appended~' ] || return 0
    length=$(tail -c 32 "$1" | head -c 4 | od -A n -t u1 |
        awk '{ print (($1 * 256 + $2) * 256 + $3) * 256 + $4 }')
    length=$((length + 40))
    [ "$length" -lt "$(stat -c %s "$1")" ] || die "$1 has a damaged signature"
    truncate -s "-$length" "$1"
}

# unpack_module FILE TO
unpack_module() {
    case $1 in
    *.ko) unpacker=cat ;;
    *.ko.xz) unpacker='xz -dc' ;;
    *.ko.zst) unpacker='zstd -qdc' ;;
    *.ko.gz) unpacker='gzip -dc' ;;
    *) die "$1: unknown kind of module" ;;
    esac
    need "${unpacker%% *}" "${unpacker%% *}"
    # shellcheck disable=SC2086 # a program and its options
    $unpacker <"$1" >"$2" || die "$1 cannot be unpacked"
    ! takes_unsigned || drop_signature "$2"
}

# Copies the modules into the tree, unpacked, and writes the load order.
add_modules() {
    : >"$tree/etc/crosh/modules"
    [ -n "$module_base" ] || return 0
    mkdir -p "$work/no-config"
    for module in $needed_modules $useful_modules; do
        if has_module "$module"; then
            show_depends "$module"
        else
            case " $needed_modules " in
            *" $module "*)
                die "the kernel $release has no $module, which its guests need" \
                    "Take another kernel: --kernel FILE --modules DIR"
                ;;
            esac
        fi
    done >"$work/order"
    # A module that several need is loaded once, where it is needed first.
    awk '!seen[$0]++' "$work/order" >"$work/order.once"
    mkdir -p "$tree/lib/modules/$release"
    while read -r file; do
        name=$(basename "$file")
        target=/lib/modules/$release/${name%%.ko*}.ko
        unpack_module "$file" "$tree$target"
        printf '%s\n' "$target" >>"$tree/etc/crosh/modules"
    done <"$work/order.once"
}

kernel_only() {
    [ -n "$output" ] || die "kernel needs --output DIR"
    settle_output "$output"
    [ ! -e "$output" ] || die "$output exists"
    begin
    unpack_kernel_package "$work/new" || die "no kernel: $package_why"
    for dir in "$work"/new/lib/modules/*; do
        depmod -b "$work/new" "$(basename "$dir")"
    done
    mv -T "$work/new" "$output"
}
