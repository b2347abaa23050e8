#!/bin/sh
# SPDX-License-Identifier: MIT
# The part of restore.sh that runs in the lab host: for each memory size boots a VM cold and saves it
# once its guest has answered, then restores it, in turns. Prints one line a run: "LABEL answer_us=N".
# Arguments: repetitions, path of crosh-vm, memory sizes in MiB.
set -eu
repetitions=$1
crosh_vm=$2
shift 2
image=/images/micro
cat $image/vmlinux $image/initramfs >/dev/null # once read, they come from memory

timed() { # timed LABEL MEMORY TIMER-OPTIONS -- OPTION...
    label=$1
    memory=$2
    shift 2
    options=
    while [ "$1" != -- ]; do
        options="$options $1"
        shift
    done
    shift
    for try in 1 2; do
        rm -rf run
        mkdir -m 700 run
        # shellcheck disable=SC2086 # a list of words
        if ./vsh-timer --runtime-dir run $options -- "$crosh_vm" --name bench --runtime-dir run \
            --accel kvm --memory "${memory}M" --kernel $image/vmlinux --initrd $image/initramfs \
            --control-fd 3 "$@" >line 2>error; then
            echo "$label-$memory $(cat line)"
            return
        fi
    done
    # The kernel's start hangs now and then where time counts instructions: twice, then it counts.
    echo "$label-$memory failed: $(cat error) ($try tries)"
}

for memory in "$@"; do
    i=0
    while [ "$i" -le "$repetitions" ]; do
        rm -rf saved
        timed cold "$memory" --after agent --snapshot saved --
        cat saved/* >/dev/null
        timed restored "$memory" --after launcher -- --restore saved
        i=$((i + 1))
    done
    echo "# memory file of the ${memory} MiB VM: $(du -m saved/memory | cut -f1) MiB on the disk"
done
