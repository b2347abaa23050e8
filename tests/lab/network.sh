#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: networks and shared directories, by the script that runs on whatever this machine has.
lab_timeout=600
lab_files='harness.py e2e/network.py'
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

export CROSH_PREFIX PYTHONPATH=/lab CROSH_TEST_IMAGES=/images CROSH_TEST_ACCEL=kvm
CROSH_PREFIX=$(dirname "$(dirname "$(command -v crosh)")")
modprobe tun
exec python3 network.py
