# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154,SC2034
# What ./run and ./check share: installing Debian packages, configuring, building. Sourced with
# $top set to the source tree; everything it makes is below $top/build.

# What is installed must not be writable for a group: crosh would refuse its own modules.
umask 022

say() {
    printf '==> %s\n' "$*" >&2
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "this needs root to install packages, and there is no sudo: $*"
    fi
}

# The words of $@ that are Debian packages (NAME, or NAME:ARCHITECTURE) not installed, in $missing.
find_missing() {
    local native package name architecture
    missing=
    native=$(dpkg --print-architecture)
    for package in "$@"; do
        name=${package%:*} architecture=$native
        case $package in *:*) architecture=${package##*:} ;; esac
        # One line for each architecture that it is known of.
        dpkg-query -W -f '${Architecture} ${db:Status-Status}\n' "$name:*" 2>/dev/null |
            grep -q -x -e "$architecture installed" -e 'all installed' || missing="$missing $package"
    done
}

# Installs $missing; output goes to the end of $1.
install_missing() {
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        $missing >>"$1" 2>&1
}

# Installs those of the named Debian packages that are missing.
need_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        # No Debian: configure will name what is not there.
        say "not a Debian system: install what configure asks for by your distribution's names"
        return 0
    fi
    find_missing "$@"
    [ -n "$missing" ] || return 0
    say "installing Debian packages:$missing"
    log=$top/build/install.log
    mkdir -p "$top/build"
    : >"$log"
    if ! install_missing "$log"; then
        # Stale or absent lists are the common reason: fetch them and try once more.
        as_root apt-get update -qq >>"$log" 2>&1 || true
        install_missing "$log" || {
            tail -n 5 "$log" >&2
            die "the packages could not be installed (whole log: $log)"
        }
    fi
}

# get_foreign_packages ARCHITECTURE PACKAGE...: the same for a build for another architecture of
# Debian's, whose packages are named NAME:ARCHITECTURE. When they cannot be had: 1, and $why_not.
get_foreign_packages() {
    local architecture=$1
    shift
    log=$top/build/install-$architecture.log
    mkdir -p "$top/build"
    if ! command -v dpkg-query >/dev/null 2>&1; then
        why_not="not a Debian system"
        return 1
    fi
    find_missing "$@"
    [ -n "$missing" ] || return 0
    say "installing Debian packages:$missing"
    : >"$log"
    if ! dpkg --print-foreign-architectures | grep -q -x "$architecture"; then
        as_root dpkg --add-architecture "$architecture" >>"$log" 2>&1 || true
        as_root apt-get update -qq >>"$log" 2>&1 || true
    fi
    install_missing "$log" || { as_root apt-get update -qq >>"$log" 2>&1 && install_missing "$log"; } || {
        why_not="Debian's packages for $architecture cannot be had: $(grep '^E:' "$log" | tail -n 1)"
        return 1
    }
}

# What building and running need.
run_packages='gcc libc6-dev make autoconf automake libtool pkg-config libltdl-dev libreadline-dev
libjansson-dev libprotobuf-c-dev protobuf-c-compiler libseccomp-dev liblz4-dev libzstd-dev
liblzma-dev libnl-3-dev libnl-route-3-dev libnftables-dev zlib1g-dev libcurl4-gnutls-dev libssh-dev
libfuse3-dev libsystemd-dev libxml2-dev fuse3 qemu-system-x86 busybox-static cpio kmod slirp4netns mmdebstrap uidmap
squashfs-tools xz-utils'

# Whether something in the source tree is newer than the file $1 (or the file is not there).
is_stale() {
    [ -e "$1" ] || return 0
    [ -n "$(find "$top" \( -path "$top/build" -o -path "$top/.git" -o -name autom4te.cache \
        -o -name __pycache__ -o -path "$top/m4" -o -path "$top/build-aux" -o -name Makefile.in \
        -o -name configure -o -name aclocal.m4 -o -name config.h.in -o -name '*~' \) -prune \
        -o -type f -newer "$1" -print -quit)" ]
}

# configured DIR [CONFIGURE-ARGS]: configures a build in build/DIR unless that is done already.
configured() {
    local dir=$top/build/$1
    shift
    # Makefiles know no names with spaces: configure refuses them, after a while and in its own words.
    case $top in
    *[[:space:]]*) die "this cannot be built where the path has a space in it, move it: $top" ;;
    esac
    if [ ! -e "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ]; then
        say "preparing configure"
        mkdir -p "$top/build"
        "$top/autogen.sh" >"$top/build/autogen.log" 2>&1 || {
            tail -n 20 "$top/build/autogen.log" >&2
            die "autogen.sh failed"
        }
    fi
    [ ! -e "$dir/Makefile" ] || return 0
    say "configuring ${dir#"$top"/}"
    mkdir -p "$dir"
    (cd "$dir" && "$top/configure" --prefix="$dir/prefix" "$@" >configure.log 2>&1) || {
        tail -n 5 "$dir/configure.log" >&2
        die "configure failed (whole log: $dir/configure.log)"
    }
}

# made DIR [MAKE-ARGS]: builds in build/DIR; output is shown only when it fails.
made() {
    local dir=$top/build/$1
    shift
    make -C "$dir" -s -j"$(nproc)" "$@" >"$dir/make.log" 2>&1 || {
        tail -n 40 "$dir/make.log" >&2
        die "the build failed (whole log: $dir/make.log)"
    }
}

# The build that ./run uses, installed below build/main/prefix. Quick when nothing changed.
main_build() {
    is_stale "$top/build/main/.installed" || return 0
    mkdir -p "$top/build"
    # Two at once would tread on each other's objects.
    exec 8>"$top/build/.lock"
    flock 8
    if is_stale "$top/build/main/.installed"; then
        configured main
        say "building"
        : >"$top/build/main/.installing"
        made main install
        mv "$top/build/main/.installing" "$top/build/main/.installed"
    fi
    exec 8>&-
}
