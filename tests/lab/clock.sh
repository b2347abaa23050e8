#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: the guest's clock follows the host's, also when that is set; another agent comes from the host.
# shellcheck disable=SC2034
lab_timeout=300
lab_built='agent/other-agent e2e/guest-clock'
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

# off NAME: microseconds by which the guest's clock differs for sure from the host's: what lies
# outside of the moments before and after it was read. The host's clock is read by the same program.
off() {
    before=$(./guest-clock)
    guest=$(run_in "$1" /tmp/guest-clock) || return
    after=$(./guest-clock)
    before=${before% *} guest=${guest% *} after=${after% *}
    if [ "$guest" -lt "$before" ]; then
        echo $((before - guest))
    elif [ "$guest" -gt "$after" ]; then
        echo $((guest - after))
    else
        echo 0
    fi
}
is_right() {
    [ "$(off "$1")" -le 50000 ]
}
is_wrong() {
    ! is_right "$1"
}
is_slewed() { # is_slewed NAME: whether adjtime() is at work
    case $(run_in "$1" /tmp/guest-clock) in
    *" 0") return 1 ;;
    esac
}

check "a VM boots" start one
check "a program is copied into it" crosh vsh cp guest-clock one:/tmp/
check "its clock is right" within 60 is_right one
run_in one /tmp/guest-clock 3000000
check "it is put out" is_wrong one
check "and comes back" within 150 is_right one
run_in one /tmp/guest-clock 30000
crosh vmc pause one
crosh vmc resume one
check "an offset of 30 ms is made up for slowly" within 60 is_slewed one
./guest-clock 7200000000
check "the host's clock is set, and the guest's follows" within 60 is_right one
check "slower than that, too" ./guest-clock -3600000000
check "and follows" within 60 is_right one
stop one

launch two --agent "$PWD/other-agent"
has_other_agent() {
    crosh vmc status --json two | grep -q '"agent_version": *"0.0.9-other"'
}
check "the host's agent comes into the guest" within 60 has_other_agent
equal "and works" "$(run_in two echo works)" works
stop two
finish
