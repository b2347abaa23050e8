# SPDX-License-Identifier: MIT
# The lab: tests on real KVM, in an emulated host.
lab_tests = \
	tests/lab/boot.sh \
	tests/lab/disks.sh \
	tests/lab/endings.sh \
	tests/lab/sessions.sh \
	tests/lab/smp.sh
TESTS += tests/lab/lab-itself.py
EXTRA_DIST += $(lab_tests) tests/lab/inside.sh tests/lab/lab tests/lab/lab-itself.py \
	tests/lab/host/early-init tests/lab/host/lab-init
