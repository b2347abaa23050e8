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

# The agent once more, of another version and so another build: what upgrades lead to and from.
check_PROGRAMS += tests/agent/other-agent
tests_agent_other_agent_SOURCES = $(agent_sources)
nodist_tests_agent_other_agent_SOURCES = $(agent_generated)
tests_agent_other_agent_CPPFLAGS = $(guest_agent_crosh_agent_CPPFLAGS) \
	-DAGENT_VERSION='"0.0.9-other"'
tests_agent_other_agent_LDADD = $(guest_agent_crosh_agent_LDADD)
tests_agent_other_agent_LDFLAGS = $(guest_agent_crosh_agent_LDFLAGS)
