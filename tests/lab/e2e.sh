#!/bin/sh
# SPDX-License-Identifier: MIT
# On KVM: the end-to-end suite, the same scripts that run on whatever this machine itself has.
lab_timeout=900
lab_files='harness.py e2e/session.py e2e/endings.py e2e/starting.py e2e/devices.py'
# shellcheck source=tests/lab/inside.sh
. "$(dirname "$0")/inside.sh"

export CROSH_PREFIX PYTHONPATH=/lab CROSH_TEST_IMAGES=/images CROSH_TEST_ACCEL=kvm
CROSH_PREFIX=$(dirname "$(dirname "$(command -v crosh)")")
for script in session endings starting devices; do
    python3 "$script.py" >"$script.log" 2>&1
    cat "$script.log"
    # Its closing line: "N passed, N failed, N skipped".
    # shellcheck disable=SC2046 # its words
    set -- $(tail -n 1 "$script.log")
    if [ $# -eq 6 ]; then
        passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
    else
        failed=$((failed + 1))
    fi
done
finish
