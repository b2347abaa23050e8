# SPDX-License-Identifier: MIT
# The image termina: a read-only Debian with LXD, a kernel, and an initramfs with the agent.
# Sourced by crosh-mkimage.
# shellcheck shell=sh disable=SC2154,SC2034

# In the initramfs: what it takes to find and mount the root.
termina_boot_modules="squashfs overlay"
# In the root, loaded when something asks for them.
termina_root_modules="btrfs fuse virtiofs bridge br_netfilter veth tun vhost_vsock vxlan
    nf_tables nft_chain_nat nft_masq nft_nat nft_ct nft_reject_inet nft_compat nft_limit nft_log
    nft_fib_inet nft_redir nfnetlink_log nf_conntrack_netlink
    ip_tables iptable_nat iptable_filter iptable_mangle iptable_raw ip6_tables ip6table_nat
    ip6table_filter ip6table_mangle ip6table_raw ebtables xt_MASQUERADE xt_CHECKSUM xt_comment
    xt_conntrack xt_tcpudp xt_addrtype xt_mark xt_nat xt_REDIRECT
    inet_diag tcp_diag
    autofs4 binfmt_misc configfs macvlan ipvlan dummy sch_ingress sch_htb cls_u32 act_police loop dm_mod"
termina_packages="lxd lxd-client lxcfs btrfs-progs apparmor kmod mount iproute2 nftables
    ca-certificates dnsmasq-base procps iputils-ping less"

# Puts the modules named and what they need into DIR/lib/modules. root_modules DIR MODULE...
root_modules() {
    to=$1
    shift
    base=$(readlink -f "$module_base/lib/modules/$release")
    mkdir -p "$work/no-config" "$to/lib/modules/$release"
    for module in "$@"; do
        ! has_module "$module" || show_depends "$module"
    done | sort -u | while read -r file; do
        # By where modprobe found it, as the file itself may lie elsewhere.
        place=$to/lib/modules/$release/${file##*/lib/modules/"$release"/}
        mkdir -p "$(dirname "$place")"
        unpack_module "$file" "${place%%.ko*}.ko"
    done
    for file in modules.builtin modules.builtin.modinfo modules.order; do
        [ ! -f "$base/$file" ] || cp "$base/$file" "$to/lib/modules/$release/"
    done
    depmod -b "$to" "$release" || die "depmod cannot read the modules of $kernel_source"
}

# The files that are ours in the root.
add_root_files() {
    mkdir -p "$1/usr/lib/crosh" "$1/etc/crosh" "$1/data"
    for file in prepare data lxd-ready cluster; do
        install -m 755 "$parts/termina/$file" "$1/usr/lib/crosh/$file"
    done
    mkdir -p "$1/etc/crosh/relays"
    ln -s /var/lib/lxd/unix.socket "$1/etc/crosh/relays/lxd"
    # Its bridge has an address of the VM's network.
    ln -s /usr/lib/crosh/lxd-ready "$1/etc/crosh/network-changed"
    install -m 644 "$parts/termina/startup" "$parts/termina/preseed.yaml" "$1/etc/crosh/"
    # shellcheck disable=SC2086 # lists of words
    root_modules "$1/usr" $needed_modules $useful_modules $termina_boot_modules $termina_root_modules
}

# The root as a tar archive, $work/root.tar, and its packages, $work/packages.
make_root() {
    tar -C "$work/root" --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" -cf "$work/ours.tar" .
    cp "$parts/termina/finish" "$work/finish"
    for path in '/usr/share/man/*' '/usr/share/locale/*' '/usr/share/info/*' '/usr/share/doc/*' \
        '/usr/share/lintian/*' /usr/bin/lxd-user; do
        set -- "$@" --dpkgopt="path-exclude=$path"
    done
    # shellcheck disable=SC2086 # a list of words
    run_mmdebstrap essential "$(words $termina_packages)" "$@" \
        --dpkgopt='path-include=/usr/share/doc/*/copyright'
}

build_root() {
    find_sources
    # The kernel's own date, so that the same packages give the same bytes.
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(stat -c %Y "$kernel")}
    export SOURCE_DATE_EPOCH
    mkdir "$work/root"
    add_root_files "$work/root"
    make_root
    stage pack "packing the root"
    pack_root root.squashfs
}

# The part of the initramfs that is the kernel's: modules and what to load.
build_boot() {
    mkdir -p "$tree/etc/crosh"
    useful_modules="$useful_modules $termina_boot_modules"
    add_modules
    printf 'squashfs\n' >"$tree/etc/crosh/root"
    pack "$tree" "$new/boot.cpio"
}

termina_manifest() {
    {
        begin_manifest termina
        printf '  "root": {"file": "root.squashfs", "type": "squashfs", "suite": %s, "source_date_epoch": %s},\n' \
            "$(json_string "$suite")" "$SOURCE_DATE_EPOCH"
        printf '  "shares_with_containers": true,\n'
        printf '  "modules": ['
        sed 's/.*/"&"/' "$tree/etc/crosh/modules" | paste -s -d, | tr -d '\n'
        printf '],\n  "packages": {\n'
        sed 's/^\([^ ]*\) \(.*\)$/    "\1": "\2"/; $!s/$/,/' "$work/packages"
        printf '  },\n'
    } >"$new/manifest.json"
    end_manifest boot.cpio initramfs root.squashfs vmlinux vmlinuz
}

# What decides whether the root is still the right one, and, with the agent, the whole.
termina_inputs() {
    {
        builder_checksum
        printf '%s\n' "$arch" "$kernel_option" "$modules_option" "$mirror" "$suite"
    } | sha256sum | cut -d' ' -f1
}

termina() {
    settle_output "${output:-$data/images/termina}"
    check_options
    need cpio cpio
    need flock util-linux
    need modprobe kmod
    inputs=$(termina_inputs)
    if [ -n "$if_needed" ] && is_current && is_agent_current; then
        return
    fi
    check_output
    begin
    tree=$work/tree
    new=$work/new
    mkdir "$tree" "$new"
    if [ -n "$if_needed" ] && is_current; then
        put_agent
        return
    fi
    check_rights
    stage kernel "kernel"
    find_kernel
    [ -n "$stages" ] || say "kernel $release"
    [ -n "$module_base" ] || die "termina needs the modules of its kernel" "Give --modules DIR"
    build_root
    build_boot
    build_initramfs
    add_kernel
    termina_manifest
    "$libexec/crosh-publish" "$new" "$output" || exit 1
    say "image $output"
}
