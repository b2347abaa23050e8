# SPDX-License-Identifier: MIT
# The vmc module's commands as far as they need no VM.
vmc_tests = \
	tests/vmc/refusals.py \
	tests/vmc/store.py \
	tests/vmc/leftovers.py \
	tests/vmc/logs.py \
	tests/vmc/disks.py
TESTS += $(vmc_tests)
EXTRA_DIST += $(vmc_tests)
