# SPDX-License-Identifier: MIT
# Tests of the agent on this host, by a client that shares no code with it.

EXTRA_DIST += tests/agent/test-sessions.py tests/agent/wire.py tests/agent/test-sessions.test
TESTS += tests/agent/test-sessions.test
TEST_EXTENSIONS = .test
