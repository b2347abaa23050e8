# SPDX-License-Identifier: MIT
# The tests.
include tests/modules/local.mk
include tests/fuzz/virtio.mk
include tests/fuzz/wire.mk
include tests/fuzz/image.mk
include tests/fuzz/shell.mk
EXTRA_DIST += tests/fuzz/corpus
include tests/unit/guest.mk
include tests/unit/image.mk
include tests/unit/kvm-virtio.mk
include tests/unit/launcher.mk
include tests/unit/shell.mk
include tests/unit/vm.mk
include tests/lab.mk
include tests/net.mk
include tests/sftp.mk
include tests/e2e/local.mk
include tests/agent.mk
include tests/shell.mk
include tests/vmc.mk
include tests/lxd.mk
include tests/kvm/local.mk
