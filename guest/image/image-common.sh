# SPDX-License-Identifier: MIT
# What all of crosh-mkimage's images share: words, locks, manifests, archives. Sourced by it.
# shellcheck shell=sh disable=SC2154,SC2034

say() {
    [ -n "$quiet" ] || printf '%s\n' "$*" >&2
}

# stage NAME TEXT: something new begins.
stage() {
    if [ -n "$stages" ]; then
        printf 'stage: %s\n' "$1" >&2
    else
        say "$2"
    fi
}

# die MESSAGE [REMEDY]
die() {
    printf 'crosh-mkimage: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '  %s\n' "$2" >&2
    exit 1
}

# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null 2>&1 || die "$1 is not installed" "Debian, Ubuntu: sudo apt-get install $2"
}

# Runs a program of the image's architecture.
run_of_arch() {
    if [ -z "$foreign" ]; then
        "$@"
    else
        "$emulator" "$@"
    fi
}

# settle_arch: $arch as Debian calls it, and for another than this machine's $foreign, which its
# packages' names end with, and $emulator.
settle_arch() {
    case $(uname -m) in
    x86_64) native=amd64 ;;
    aarch64) native=arm64 ;;
    *) native=$(uname -m) ;;
    esac
    arch=${arch:-$native}
    case $arch in
    amd64) emulator=qemu-x86_64-static ;;
    arm64) emulator=qemu-aarch64-static ;;
    *) die "there are no images for $arch" "Known: amd64, arm64" ;;
    esac
    [ "$arch" != "$native" ] || return 0
    foreign=:$arch
    need "$emulator" qemu-user-static
}

checksum() {
    sha256sum <"$1" | cut -d' ' -f1
}

# pack TREE FILE. Sorted, all owned by root, no times and inode numbers of this
# machine: the same input gives the same bytes. Not compressed: that starts
# quickest, and the kernel frees the memory once it has unpacked it.
pack() {
    find "$1" -exec touch -h -d @0 {} +
    (
        cd "$1"
        find . -mindepth 1 ! -path ./home/user -print0 | sort -z |
            cpio --null -o -H newc --reproducible --quiet -R +0:+0
        # The kernel takes one archive after another; this one's owner is the user.
        [ ! -d home/user ] || echo home/user | cpio -o -H newc --reproducible --quiet -R +1000:+1000
    ) >"$2"
}

json_string() {
    printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g' | tr -d '\000-\037')"
}

# file_entry NAME
file_entry() {
    printf '    "%s": {"size": %s, "sha256": "%s"}' "$1" "$(stat -c %s "$new/$1")" \
        "$(checksum "$new/$1")"
}

# What the builder is made of.
builder_checksum() {
    cat "$self" "$parts"/*.sh "$parts"/termina/* | sha256sum | cut -d' ' -f1
}

# begin_manifest NAME: its first lines, which say what was taken.
begin_manifest() {
    printf '{\n  "format": 1,\n  "image": "%s",\n  "arch": "%s",\n  "inputs": "%s",\n' \
        "$1" "$arch" "$inputs"
    printf '  "kernel": {"release": %s, "source": %s},\n' "$(json_string "$release")" \
        "$(json_string "$kernel_source")"
    printf '  "agent": {"version": %s, "sha256": "%s"},\n' \
        "$(json_string "$(run_of_arch "$agent" --version | sed 's/^crosh-agent //')")" \
        "$(checksum "$agent")"
}

# end_manifest FILE...: what the image consists of, then the sum. Appends to the manifest.
end_manifest() {
    {
        printf '  "files": {\n'
        separator=
        for file in "$@"; do
            [ -f "$new/$file" ] || continue
            printf '%b' "$separator"
            file_entry "$file"
            separator=',\n'
        done
        printf '\n  },\n'
    } >>"$new/manifest.json"
    # Of all lines before it: whoever reads the manifest sees by it that nothing was damaged.
    printf '  "sum": "%s"\n}\n' "$(checksum "$new/manifest.json")" >>"$new/manifest.json"
}

# Judges what the command line gave, and finds the agent.
check_options() {
    for helper in crosh-vmlinux crosh-publish; do
        [ -x "$libexec/$helper" ] || die "$libexec/$helper is missing" "Install crosh again"
    done
    [ -z "$foreign" ] || [ -n "$agent" ] || die "an image for $arch needs its agent" "Give --agent FILE"
    agent=${agent:-$libexec/crosh-agent}
    [ -f "$agent" ] || die "there is no agent: $agent" "Install crosh again, or give --agent FILE"
    [ -z "$kernel_option" ] || [ -f "$kernel_option" ] || die "$kernel_option: no such file"
    [ -z "$modules_option" ] || [ -d "$modules_option" ] || die "$modules_option: no such directory"
}

# Puts the kernel into the new image: as it is, and uncompressed, which starts
# quicker because the guest need not unpack itself.
add_kernel() {
    if [ "$(head -c 4 "$kernel" | tail -c 3)" = ELF ]; then
        install -m 644 "$kernel" "$new/vmlinux"
        ln "$new/vmlinux" "$new/vmlinuz"
        return
    fi
    install -m 644 "$kernel" "$new/vmlinuz"
    status=0
    "$libexec/crosh-vmlinux" "$kernel" "$new/vmlinux" || status=$?
    case $status in
    0)
        # One that was not compressed need not be there twice.
        ! cmp -s "$new/vmlinux" "$new/vmlinuz" || ln -f "$new/vmlinux" "$new/vmlinuz"
        ;;
    5) say "note: going on with the compressed kernel alone" ;;
    *) exit 1 ;;
    esac
}

# Whether the files of the image have the sizes that its manifest gives.
is_whole() {
    sed -n 's/^    "\([a-z0-9.]*\)": {"size": \([0-9]*\),.*/\1 \2/p' "$output/manifest.json" |
        while read -r file size; do
            [ "$(stat -c %s "$output/$file" 2>/dev/null)" = "$size" ] || exit 1
        done
}

# Whether the manifest is as it was written.
is_manifest() {
    sum=$(head -n -2 "$1" 2>/dev/null | sha256sum | cut -d' ' -f1)
    [ "$(tail -n 2 "$1" 2>/dev/null)" = "$(printf '  "sum": "%s"\n}' "$sum")" ]
}

is_current() {
    is_manifest "$output/manifest.json" &&
        grep -q "\"inputs\": \"$inputs\"" "$output/manifest.json" && is_whole
}

# Whether a directory holds an image of ours, be it damaged, and nothing else.
is_ours() {
    grep -q '"image": "[a-z]*"' "$1/manifest.json" 2>/dev/null && return
    [ -z "$(find "$1" -mindepth 1 ! -name manifest.json ! -name initramfs ! -name vmlinux ! -name vmlinuz)" ]
}

# settle_output PATH: makes $output the path without links, and $parent its directory, which exists.
settle_output() {
    mkdir -p "$(dirname "$1")"
    output=$(readlink -f "$1")
    parent=$(dirname "$output")
}

# remove_work DIR: a builder's directory, and the one that mmdebstrap had, whose files may belong to
# other ids of the user's.
remove_work() {
    scratch=$(cat "$1/scratch" 2>/dev/null || true)
    case $scratch in
    */crosh-image.*)
        [ "$(id -u)" -eq 0 ] || mmdebstrap --unshare-helper \
            find "$scratch" -xdev -mindepth 2 -delete >/dev/null 2>&1 || true
        rm -rf --one-file-system "$scratch"
        ;;
    esac
    rm -rf "$1"
}

# The builder's end, if it is not killed: what it waits for is a group of its own, and ends with it.
end() {
    if [ -n "$child" ]; then
        kill -s KILL -- "-$child" 2>/dev/null || true
        wait "$child" || true
    fi
    remove_work "$work"
}

# Takes the lock on $output and makes $work, a directory beside it that goes with us.
begin() {
    base=$(basename "$output")
    exec 9>"$parent/.$base.lock"
    if ! flock -n 9; then
        say "waiting for another crosh-mkimage"
        flock -w 600 9 || die "another crosh-mkimage holds $parent/.$base.lock for too long"
    fi
    # Whoever made these was killed: they had the lock that we hold.
    for left in "$parent/.$base.build."*; do
        [ ! -d "$left" ] || remove_work "$left"
    done
    work=$(mktemp -d "$parent/.$base.build.XXXXXX")
    trap end EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 141' PIPE
    trap 'exit 143' TERM
}

# An existing directory is only replaced when it is one of ours, or empty.
check_output() {
    if [ -e "$output" ] && ! { [ -d "$output" ] && is_ours "$output"; }; then
        die "$output exists and is no image of ours" "Give another --output, or remove it first"
    fi
}

# The initramfs: boot.cpio, which is the kernel's, and the agent. The kernel takes one archive
# after another.
build_initramfs() {
    agent_tree=$work/agent
    for dir in dev proc sys run tmp mnt root sbin; do
        mkdir -p "$agent_tree/$dir"
    done
    install -m 755 "$agent" "$agent_tree/sbin/crosh-agent"
    ln -s sbin/crosh-agent "$agent_tree/init"
    pack "$agent_tree" "$work/agent.cpio"
    cat "$new/boot.cpio" "$work/agent.cpio" >"$new/initramfs"
}

is_agent_current() {
    grep -q "\"agent\": .*\"sha256\": \"$(checksum "$agent")\"" "$output/manifest.json"
}

# Puts the agent into the image that is there, which takes no network and no second: all else of
# it is linked. The lock is held.
put_agent() {
    if ! is_manifest "$output/manifest.json" || ! is_whole; then
        die "the image in $output is damaged" "Remove it, and build or import it again"
    fi
    ! is_agent_current || return 0
    files=$(sed -n 's/^    "\([a-z0-9.]*\)": {"size".*/\1/p' "$output/manifest.json")
    for file in $files; do
        [ "$file" = initramfs ] || ln "$output/$file" "$new/$file"
    done
    build_initramfs
    version=$(run_of_arch "$agent" --version | sed 's/^crosh-agent //')
    sed -e '/^  "files": {$/,$d' -e "s/^  \"agent\": .*/  \"agent\": {\"version\": $(json_string \
        "$version"), \"sha256\": \"$(checksum "$agent")\"},/" \
        "$output/manifest.json" >"$new/manifest.json"
    # shellcheck disable=SC2086 # a list of words
    end_manifest $files
    "$libexec/crosh-publish" "$new" "$output" || exit 1
}

refresh() {
    [ -n "$output" ] || die "refresh needs --output DIR"
    settle_output "$output"
    check_options
    need cpio cpio
    need flock util-linux
    begin
    tree=$work/tree
    new=$work/new
    mkdir "$tree" "$new"
    put_agent
}
