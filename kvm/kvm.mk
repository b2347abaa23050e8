# SPDX-License-Identifier: MIT
# The KVM backend: the machine and its buses, and what is common to kernels.

kvm_libkvm_la_SOURCES += \
	kvm/backend/arch.h \
	kvm/backend/kvm-counters.c \
	kvm/backend/kvm-devices.c \
	kvm/backend/kvm-disks.c \
	kvm/backend/kvm-hotplug.c \
	kvm/backend/kvm-irq.c \
	kvm/backend/kvm-machine.h \
	kvm/backend/kvm-memory.c \
	kvm/backend/kvm-output.c \
	kvm/backend/kvm-pause.c \
	kvm/backend/kvm-probe.c \
	kvm/backend/kvm-shares.c \
	kvm/backend/kvm-snapshot.c \
	kvm/backend/kvm-stats.c \
	kvm/backend/kvm-report.c \
	kvm/backend/kvm-vcpu.c \
	kvm/backend/kvm.c \
	kvm/boot-file.c kvm/boot-file.h \
	kvm/disk/rate-limit.c kvm/disk/rate-limit.h \
	kvm/disk/raw.c kvm/disk/raw.h \
	kvm/disk/spec.c kvm/disk/spec.h \
	kvm/hw/bus.c kvm/hw/bus.h \
	kvm/hw/msix.c kvm/hw/msix.h \
	kvm/hw/pci.c kvm/hw/pci.h \
	kvm/hw/pci-hotplug.c kvm/hw/pci-hotplug.h \
	kvm/hw/power.c kvm/hw/power.h \
	kvm/hw/rtc.c kvm/hw/rtc.h \
	kvm/hw/serial.c kvm/hw/serial.h \
	kvm/hw/vm-ops.h \
	kvm/port-socket.c kvm/port-socket.h \
	kvm/loop-call.c kvm/loop-call.h \
	kvm/snapshot/format.c kvm/snapshot/format.h \
	kvm/snapshot/load.c kvm/snapshot/load.h kvm/snapshot/snapshot.h \
	kvm/snapshot/verify.c \
	kvm/snapshot/write.c \
	kvm/virtio/pci-state.c \
	kvm/virtio/transport-state.c \
	kvm/virtio/blk.c kvm/virtio/blk.h kvm/virtio/blk-internal.h \
	kvm/virtio/blk-request.c \
	kvm/virtio/blk-worker.c \
	kvm/thread.c kvm/thread.h \
	kvm/virtio/mmio.c kvm/virtio/mmio.h \
	kvm/virtio/pci-common.c kvm/virtio/pci-internal.h \
	kvm/virtio/pci.c kvm/virtio/pci.h \
	kvm/virtio/transport.c kvm/virtio/transport.h
