# SPDX-License-Identifier: MIT
# Whole sessions against real VMs on this machine.
e2e_tests = tests/e2e/image.py tests/e2e/session.py tests/e2e/endings.py tests/e2e/network.py \
	tests/e2e/starting.py tests/e2e/devices.py
TESTS += $(e2e_tests)
EXTRA_DIST += $(e2e_tests)
