# SPDX-License-Identifier: MIT
# Roots of Debian: where its packages come from, mmdebstrap, packing. Sourced by crosh-mkimage.
# shellcheck shell=sh disable=SC2154,SC2034

# Whether this user can unpack packages, whose files belong to many ids.
check_rights() {
    [ "$(id -u)" -ne 0 ] || return 0
    need newuidmap uidmap
    user=$(id -un)
    # The first one that nobody has.
    first=$(cat /etc/subuid /etc/subgid 2>/dev/null |
        awk -F: '{ end = $2 + $3; if (end > most) most = end } END { print (most > 100000 ? most : 100000) }')
    range=$first-$((first + 65535))
    for file in /etc/subuid /etc/subgid; do
        grep -q -e "^$user:" -e "^$(id -u):" $file 2>/dev/null ||
            die "user $user has no ids in $file, which the files of packages need" \
                "As root: usermod --add-subuids $range --add-subgids $range $user"
    done
    unshare -r true 2>/dev/null || die "users may not make namespaces on this system" \
        "Allow it (sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000), or build as root"
}

# Sets $sources to the lines of a sources.list from which the image is made.
find_sources() {
    need mmdebstrap mmdebstrap
    check_rights
    need setsid util-linux
    need mksquashfs squashfs-tools
    default_suite=bookworm default_mirror=http://deb.debian.org/debian
    if [ -z "$mirror" ] && command -v apt-get >/dev/null 2>&1; then
        # What apt knows of Debian's own, and no other vendor's.
        # shellcheck disable=SC2016 # apt's own variables
        apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(ARCHITECTURE) $(CODENAME) $(REPO_URI)' \
            'Created-By: Packages' 2>/dev/null |
            sed -n "s/^Debian main $arch \([^ ]*\) \([^ ]*\)\$/\1 \2/p" | sort -u >"$work/sources"
        if [ -z "$suite" ]; then
            suite=$(sed -n 's/^\([a-z]*\) .*/\1/p' "$work/sources" | head -n 1)
            # Later releases have no LXD.
            case $(apt-cache policy "lxd$foreign" 2>/dev/null) in
            *"Candidate: (none)"* | '') suite=$default_suite ;;
            esac
        fi
        sources=$(sed -n "s,^\(${suite}[-a-z]*\) \(.*\)\$,deb \2 \1 main,p" "$work/sources" |
            grep -v backports || true)
    fi
    suite=${suite:-$default_suite}
    case ${sources:-} in
    *" $suite main"*) ;;
    *) sources="deb ${mirror:-$default_mirror} $suite main" ;;
    esac
    [ -n "$stages" ] || say "packages of Debian $suite from $(printf '%s\n' "$sources" | awk '{print $2}' | sort -u | paste -s -d ' ')"
}

# words WORD...: with commas between.
words() {
    printf '%s\n' "$@" | paste -s -d ,
}

# run_mmdebstrap VARIANT PACKAGES [OPTION...]: the root as a tar archive, $work/root.tar, with what
# is in $work/ours.tar, after $work/finish was run in it; and its packages, $work/packages.
run_mmdebstrap() {
    variant=$1 packages=$2
    shift 2
    set -- --variant="$variant" --format=tar --architectures="$arch" --include="$packages" \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' "$@"
    # The way out is this system's.
    for variable in http https; do
        proxy=$(apt-config dump --format '%v' "Acquire::$variable::Proxy" 2>/dev/null || true)
        [ -z "$proxy" ] || set -- "$@" --aptopt="Acquire::$variable::Proxy \"$proxy\""
    done
    # shellcheck disable=SC2016 # mmdebstrap's variable
    set -- "$@" --customize-hook="tar-in $work/ours.tar /" \
        --customize-hook="upload $work/finish /tmp/finish" \
        --customize-hook='chroot "$1" sh /tmp/finish' \
        --customize-hook="download /usr/share/crosh/packages $work/packages"
    status=0
    # Not below $work, which ids other than the user's own need not reach.
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/crosh-image.XXXXXX")
    printf '%s\n' "$scratch" >"$work/scratch"
    chmod 755 "$scratch"
    printf '%s\n' "$sources" >"$work/sources.list"
    TMPDIR=$scratch setsid mmdebstrap "$@" "$suite" "$work/root.tar" - \
        <"$work/sources.list" >"$work/mmdebstrap.log" 2>&1 &
    child=$!
    # Should we be killed, it ends as well, and frees the lock, which it has from us.
    (
        while [ -d "/proc/$$" ]; do sleep 1; done
        kill -s KILL -- "-$child"
    ) >/dev/null 2>&1 9>&- &
    watcher=$!
    # Whoever waits is told how far it is, and nobody waits once vmc is gone.
    shown=
    while kill -0 "$child" 2>/dev/null; do
        [ -z "$stages" ] || [ -d "/proc/$PPID" ] || exit 1
        case $(grep '^I: ' "$work/mmdebstrap.log" 2>/dev/null | tail -n 1) in
        *apt-get\ update* | '') now=lists ;;
        *downloading*) now=download ;;
        *extracting*) now=unpack ;;
        *installing*) now=install ;;
        *) now=$shown ;;
        esac
        [ "$now" = "$shown" ] || stage "$now" "root: $now"
        shown=$now
        sleep 0.2
    done
    wait "$child" || status=$?
    kill "$watcher"
    child=
    if [ "$status" -ne 0 ]; then
        die "mmdebstrap failed: $(grep -e '^E: ' "$work/mmdebstrap.log" | head -n 1 | cut -c 4-)" \
            "The last lines of what it said: $(tail -n 3 "$work/mmdebstrap.log" | tr '\n' ' ')"
    fi
}

# pack_root FILE: $work/root.tar as a squashfs in the new image.
pack_root() {
    # zstd 9: a tenth of 15's time for 7 % more bytes.
    # The top directory is owned by whoever runs it, whatever is said of it: by a root of their own.
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root='unshare -r'
    $as_root mksquashfs - "$new/$1" -tar -comp zstd -Xcompression-level 9 -b 128K -no-progress -quiet \
        -root-mode 755 -root-uid 0 -root-gid 0 <"$work/root.tar" >"$work/mksquashfs.log" 2>&1 ||
        die "the root cannot be packed: $(grep -v '^Empty' "$work/mksquashfs.log" | head -n 1)" \
            "It needs some 600 MB free in $parent"
    rm -f "$work/root.tar"
}
