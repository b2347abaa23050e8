# SPDX-License-Identifier: MIT
# The image micro: kernel, busybox and the agent. Sourced by crosh-mkimage.
# shellcheck shell=sh disable=SC2154,SC2034

is_static() {
    # ldd fails for a static program, and also for what is none: that is run below.
    ! ldd "$1" >/dev/null 2>&1 && [ -x "$1" ] && run_of_arch "$1" true >/dev/null 2>&1
}

# Sets $busybox to a static one: the host's, or the distribution's package.
find_busybox() {
    busybox=$(command -v busybox || true)
    if [ -z "$foreign" ] && [ -n "$busybox" ] && is_static "$busybox"; then
        return
    fi
    package_file "busybox-static$foreign" ||
        die "no static busybox: $package_why" "Debian, Ubuntu: sudo apt-get install busybox-static"
    mkdir -p "$work/busybox"
    dpkg-deb -x "$package_path" "$work/busybox"
    busybox=$work/busybox/bin/busybox
    [ -x "$busybox" ] || busybox=$work/busybox/usr/bin/busybox
    is_static "$busybox" || die "the busybox in $package_path does not run here"
}

add_files() {
    for dir in bin sbin usr/bin usr/sbin etc/crosh dev proc sys run tmp mnt root var/log home/user; do
        mkdir -p "$tree/$dir"
    done
    chmod 1777 "$tree/tmp"
    chmod 700 "$tree/root"
    install -m 755 "$busybox" "$tree/bin/busybox"
    # The agent is process 1, and its own init.
    run_of_arch "$busybox" --list-full | grep -v -x -e bin/busybox -e sbin/init -e linuxrc | while read -r applet; do
        mkdir -p "$tree/$(dirname "$applet")"
        ln -s /bin/busybox "$tree/$applet"
    done
    install -m 755 "$agent" "$tree/sbin/crosh-agent"
    ln -s sbin/crosh-agent "$tree/init"
    ln -s crosh-agent "$tree/sbin/init"

    cat >"$tree/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
END
    cat >"$tree/etc/group" <<'END'
root:x:0:
tty:x:5:
user:x:1000:
nogroup:x:65534:
END
    echo /bin/sh >"$tree/etc/shells"
    echo '127.0.0.1 localhost' >"$tree/etc/hosts"
    # The dollar signs are for the guest's shell.
    # shellcheck disable=SC2016
    printf '%s\n' 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin' "PS1='\\u@\\h:\\w\\\$ '" \
        >"$tree/etc/profile"
    cat >"$tree/etc/os-release" <<END
NAME="crosh micro"
ID=crosh-micro
PRETTY_NAME="crosh micro guest (kernel $release)"
VARIANT_ID=micro
END
}

# What decides, quickly, whether an image is still the right one. One for another machine is looked
# at by the crosh there, whose helpers lie beside its agent.
inputs_checksum() {
    helper=$(dirname "$agent")/crosh-vmlinux
    [ -f "$helper" ] || helper=$libexec/crosh-vmlinux
    {
        checksum "$agent"
        builder_checksum
        checksum "$helper"
        printf '%s\n' "$arch" "$kernel_option" "$modules_option"
        [ -z "$kernel_option" ] || stat -c '%s %Y' "$kernel_option"
    } | sha256sum | cut -d' ' -f1
}

write_manifest() {
    {
        begin_manifest micro
        printf '  "busybox": {"sha256": "%s"},\n' "$(checksum "$busybox")"
        printf '  "modules": ['
        sed 's/.*/"&"/' "$tree/etc/crosh/modules" | paste -s -d, | tr -d '\n'
        printf '],\n'
    } >"$new/manifest.json"
    end_manifest initramfs vmlinux vmlinuz
}

micro() {
    settle_output "${output:-$data/images/micro}"
    check_options
    inputs=$(inputs_checksum)
    if [ -n "$if_needed" ] && is_current; then
        return
    fi
    check_output
    need cpio cpio
    need flock util-linux
    need modprobe kmod
    begin
    # Another may have built it while we waited.
    if [ -n "$if_needed" ] && is_current; then
        return
    fi
    if [ -n "$if_needed" ] && [ -e "$output/initramfs" ] && ! { is_manifest "$output/manifest.json" && is_whole; }; then
        echo "note: the image in $output is damaged and is made anew" >&2
    fi
    tree=$work/tree
    new=$work/new
    mkdir "$tree" "$new"
    find_kernel
    say "kernel $release"
    find_busybox
    add_files
    add_modules
    pack "$tree" "$new/initramfs"
    add_kernel
    write_manifest
    "$libexec/crosh-publish" "$new" "$output" || exit 1
    say "image $output"
}
