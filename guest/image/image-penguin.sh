# SPDX-License-Identifier: MIT
# The image penguin: Debian with systemd, for containers, as the two files that LXD takes. Sourced
# by crosh-mkimage.
# shellcheck shell=sh disable=SC2154,SC2034

penguin_packages="systemd systemd-sysv systemd-resolved libpam-systemd dbus
    dbus-user-session udev sudo openssh-server openssh-client openssh-sftp-server iproute2
    iputils-ping netbase ca-certificates locales tzdata procps psmisc less nano bash-completion
    xz-utils zstd curl"

# The date of the newest of the releases that the sources name: the same packages, the same bytes.
release_date() {
    newest=0
    printf '%s\n' "$sources" | while read -r _ url name _; do
        /usr/lib/apt/apt-helper download-file "${url%/}/dists/$name/Release" "$work/Release" \
            >/dev/null 2>&1 || continue
        date=$(date -d "$(sed -n 's/^Date: //p' "$work/Release")" +%s)
        [ "$date" -le "$newest" ] || newest=$date
        rm -f "$work/Release"
        printf '%s\n' "$newest"
    done | tail -n 1
}

# The files that are ours in the root.
penguin_files() {
    mkdir -p "$1/etc/systemd/network" "$1/etc/systemd/system/ssh.service.d" "$1/usr/share/crosh"
    cp "$parts/penguin/eth0.network" "$1/etc/systemd/network/"
    cp "$parts/penguin/host-keys.conf" "$1/etc/systemd/system/ssh.service.d/"
    printf '%s\n' "$sources" >"$1/usr/share/crosh/sources.list"
}

# What LXD has to know of the image, and the files that it writes by a container's name.
penguin_metadata() {
    case $arch in
    amd64) architecture=x86_64 ;;
    arm64) architecture=aarch64 ;;
    esac
    mkdir -p "$work/metadata/templates"
    cp "$parts/penguin/hostname.tpl" "$parts/penguin/hosts.tpl" "$work/metadata/templates/"
    sed -e "s/@ARCHITECTURE@/$architecture/" -e "s/@SUITE@/$suite/" \
        -e "s/@DATE@/$SOURCE_DATE_EPOCH/" "$parts/penguin/metadata.yaml" >"$work/metadata/metadata.yaml"
    tar -C "$work/metadata" --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" -cJf "$new/metadata.tar.xz" metadata.yaml templates
}

penguin_inputs() {
    {
        cat "$parts/image-debian.sh" "$parts/image-penguin.sh" "$parts"/penguin/*
        printf '%s\n' "$arch" "$mirror" "$suite"
    } | sha256sum | cut -d' ' -f1
}

penguin_manifest() {
    {
        printf '{\n  "format": 1,\n  "image": "penguin",\n  "arch": "%s",\n  "inputs": "%s",\n' \
            "$arch" "$inputs"
        printf '  "root": {"file": "rootfs.squashfs", "type": "squashfs", "suite": %s, "source_date_epoch": %s},\n' \
            "$(json_string "$suite")" "$SOURCE_DATE_EPOCH"
        printf '  "packages": {\n'
        sed 's/^\([^ ]*\) \(.*\)$/    "\1": "\2"/; $!s/$/,/' "$work/packages"
        printf '  },\n'
    } >"$new/manifest.json"
    end_manifest metadata.tar.xz rootfs.squashfs
}

penguin() {
    settle_output "${output:-$data/images/penguin}"
    [ -x "$libexec/crosh-publish" ] || die "$libexec/crosh-publish is missing" "Install crosh again"
    need flock util-linux
    inputs=$(penguin_inputs)
    if [ -n "$if_needed" ] && is_current; then
        return
    fi
    check_output
    begin
    # Another crosh-mkimage may have had the lock for that very image.
    if [ -n "$if_needed" ] && is_current; then
        return
    fi
    new=$work/new
    mkdir "$new" "$work/root"
    find_sources
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(release_date)}
    export SOURCE_DATE_EPOCH
    [ -n "$SOURCE_DATE_EPOCH" ] || die "Debian $suite cannot be had from $(printf '%s\n' "$sources" | awk '{print $2; exit}')" \
        "Look at this system's network and mirror, or give --mirror URL"
    penguin_files "$work/root"
    tar -C "$work/root" --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" -cf "$work/ours.tar" .
    cp "$parts/penguin/finish" "$work/finish"
    # shellcheck disable=SC2086 # a list of words
    run_mmdebstrap minbase "$(words $penguin_packages)"
    stage pack "packing the root"
    pack_root rootfs.squashfs
    penguin_metadata
    penguin_manifest
    "$libexec/crosh-publish" "$new" "$output" || exit 1
    say "image $output"
}
