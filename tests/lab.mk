# SPDX-License-Identifier: MIT
# The lab: tests on real KVM, in an emulated host.
lab_tests = \
	tests/lab/e2e.sh \
	tests/lab/lab-itself.py \
	tests/lab/boot.sh \
	tests/lab/disks.sh \
	tests/lab/endings.sh \
	tests/lab/net.sh \
	tests/lab/sandbox.sh \
	tests/lab/smp.sh \
	tests/lab/transports.sh
TESTS += $(lab_tests)
EXTRA_DIST += $(lab_tests) tests/lab/inside.sh tests/lab/lab \
	tests/lab/host/early-init tests/lab/host/lab-init

clean-local:
	rm -rf lab-cache test-images
