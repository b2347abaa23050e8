# SPDX-License-Identifier: MIT
# The vmc container commands and sessions in containers, against a real LXD: in namespaces of this
# host, and (booted.py) in a VM.
lxd_tests = \
	tests/lxd/booted.py \
	tests/lxd/cluster.py \
	tests/lxd/containers.py \
	tests/lxd/cuts.py \
	tests/lxd/first-start.py \
	tests/lxd/notes.py \
	tests/lxd/remotes.py
TESTS += $(lxd_tests)
EXTRA_DIST += $(lxd_tests) tests/lxd/musl-shell.c tests/lxd/lxdhost.py tests/lxd/places.py \
	tests/lxd/simplestreams.py
