# SPDX-License-Identifier: MIT
# The lab: tests on real KVM, in an emulated host.
EXTRA_DIST += tests/lab/lab tests/lab/host/early-init tests/lab/host/lab-init
