# SPDX-License-Identifier: MIT
# The tests.
include tests/unit/guest.mk
