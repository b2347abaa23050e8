# SPDX-License-Identifier: MIT
# Tests of the agent and of vsh on this host, without a VM between them.
agent_tests = \
	tests/agent/test-sessions.py \
	tests/agent/test-vsh.py \
	tests/agent/test-cp.py \
	tests/agent/test-forward.py \
	tests/agent/test-ports.py \
	tests/agent/test-foreign.py \
	tests/agent/test-fullscreen.py \
	tests/agent/test-init.py \
	tests/agent/test-console.py
TESTS += $(agent_tests)
EXTRA_DIST += $(agent_tests) tests/agent/launcher.py tests/agent/wire.py
