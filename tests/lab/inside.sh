# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# Sourced first by every lab test. Outside the lab it has the test run in one and never returns;
# inside it offers what the tests share: checks that are counted, and VMs. Set before, if wanted:
# lab_timeout (seconds), lab_memory (of the host, in MiB), lab_files and lab_built (below tests/ of
# the source and of the build, to be had in the working directory), lab_arguments (the test's, in the
# lab).

if [ ! -e /lab/job ]; then
    image=${CROSH_LAB_IMAGE-}
    # A host of another processor takes an image that was made for it: CROSH_LAB_ARCH, CROSH_LAB_IMAGE;
    # and maybe more time: CROSH_LAB_PATIENCE times as much.
    if [ -z "$image" ]; then
        if ! command -v qemu-system-x86_64 >/dev/null; then
            echo "skipped: there is no qemu-system-x86_64 to emulate a host with"
            exit 77
        fi
        image=$top_builddir/test-images/micro
        mkdir -p "$top_builddir/test-images"
        if ! "$CROSH_PREFIX/libexec/crosh/crosh-mkimage" micro --if-needed --quiet \
            --output "$image" 2>"$image.log"; then
            cat "$image.log"
            # What cannot be had is no fault of the code's; anything else is.
            grep -q 'crosh-mkimage: no kernel:' "$image.log" || exit 1
            echo "skipped: there is no kernel to run"
            exit 77
        fi
    fi
    export CROSH_LAB_CACHE="${CROSH_LAB_CACHE:-$top_builddir/lab-cache}"
    files=
    for file in ${lab_files-}; do files="$files -f $top_srcdir/tests/$file"; done
    for file in ${lab_built-}; do files="$files -f $top_builddir/tests/$file"; done
    # shellcheck disable=SC2086 # a list of words
    exec "$top_srcdir/tests/lab/lab" run --arch "${CROSH_LAB_ARCH:-amd64}" --prefix "$CROSH_PREFIX" \
        --image "$image" $files --timeout $((${lab_timeout:-150} * ${CROSH_LAB_PATIENCE:-1})) \
        --memory "${lab_memory:-3072}" "$0" ${lab_arguments-}
fi

set -u
# shellcheck disable=SC2034 # some tests ask
arch=$(uname -m)
# VMs get no network by themselves: tests that are about networks name cards.
export CROSH_NETWORK=none

passed=0 failed=0 skipped=0

# check WHAT COMMAND...: counts whether the command succeeds.
check() {
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok: $what"
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
    fi
}

# equal WHAT IS WANTED: counts whether two strings are the same, and shows both when not.
equal() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok: $1"
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n     is: %s\n  wants: %s\n' "$1" "$2" "$3"
    fi
}

# contains WHAT TEXT PART
contains() {
    case $2 in
    *"$3"*) equal "$1" yes yes ;;
    *) equal "$1" "$2" "... $3 ..." ;;
    esac
}

# within SECONDS COMMAND...: whether the command comes to succeed in that time.
within() {
    tries=$(($1 * 10))
    shift
    while ! "$@" 2>/dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        usleep 100000
    done
}

# finish: the closing line and the status.
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

# start NAME [OPTION]...: starts a VM on KVM; on failure shows what there is to see.
start() {
    vm=$1
    shift
    crosh vmc start --no-shell --accel kvm --memory 256M "$@" "$vm" >start.log 2>&1 || {
        cat start.log
        tail -n 20 "$(runtime "$vm")/launcher.log" "$(runtime "$vm")/console.log"
        return 1
    }
}

# launch NAME OPTION...: runs the launcher itself, with options that vmc has none for, and waits for
# the agent. 1: it does not come, and what there is to see is shown.
launch() {
    crosh vmc create "$1"
    mkdir -p "$XDG_RUNTIME_DIR/crosh"
    chmod 700 "$XDG_RUNTIME_DIR/crosh"
    mkdir -p "$(runtime "$1")"
    chmod 700 "$(runtime "$1")"
    relaunch "$@"
    within 60 run_in "$vm" true || {
        cat "$(runtime "$vm")/launcher.log" "$(runtime "$vm")/console.log"
        return 1
    }
}

# relaunch NAME OPTION...: the same for a VM that has been launched before, and without the waiting.
relaunch() {
    vm=$1
    shift
    "$(dirname "$(command -v crosh)")/../libexec/crosh/crosh-vm" --name "$vm" \
        --runtime-dir "$(runtime "$vm")" --lock "/root/.local/share/crosh/vms/$vm/lock" \
        --memory 256M --kernel /images/micro/vmlinux --initrd /images/micro/initramfs "$@" \
        >"$(runtime "$vm")/launcher.log" 2>&1 &
}

stop() { # stop NAME
    crosh vmc stop "$1"
}

# run_in NAME COMMAND [ARG]...: runs a command in a VM.
run_in() {
    vm=$1
    shift
    crosh vsh "$vm" -- "$@"
}

runtime() { # runtime NAME: the runtime directory of a VM
    echo "$XDG_RUNTIME_DIR/crosh/$1"
}

# kill_vm NAME: at once, as a power failure of the host does. The launcher goes with its supervisor,
# a moment later: nobody uses the VM's files once nobody holds its lock.
kill_vm() {
    kill -KILL "$(cat "$(runtime "$1")/pid")"
    within 60 unused "$1"
}

# unused NAME: whether no process of the VM's is left, by its lock.
unused() {
    ! grep -q ":$(stat -c %i "$(runtime "$1")/lock") " /proc/locks
}

# ended NAME: how a VM ended, "REASON STATUS", once it has, and its processes are gone.
ended() {
    within 60 test -s "$(runtime "$1")/ended" || { echo "still running" && return; }
    within 60 unused "$1" || { echo "its lock is held" && return; }
    sed 's/.*"reason": *"\([a-z]*\)".*"status": *\([0-9]*\).*/\1 \2/' "$(runtime "$1")/ended"
}
