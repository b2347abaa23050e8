#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: the network that a user's VM has by itself, in a namespace of the user's own, by the script
# that runs on whatever this machine has.
lab_timeout=400
lab_files='harness.py net/world.py net/first.py'
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

export CROSH_PREFIX PYTHONPATH=/lab CROSH_TEST_IMAGES=/images CROSH_TEST_ACCEL=kvm
CROSH_PREFIX=$(dirname "$(dirname "$(command -v crosh)")")
for program in nft dnsmasq slirp4netns; do
    if ! command -v "$program" >/dev/null; then
        echo "skipped: this machine has no $program for the lab's host"
        exit 77
    fi
done
# As distributions have them loaded; users' namespaces load none.
for module in tun veth nf_tables nft_chain_nat nft_masq nft_fib_inet; do
    modprobe "$module"
done
exec python3 first.py
