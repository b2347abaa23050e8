# SPDX-License-Identifier: MIT
# Tests of the agent on this host, by a client that shares no code with it.
TESTS += tests/agent/test-sessions.py
EXTRA_DIST += tests/agent/test-sessions.py tests/agent/wire.py
