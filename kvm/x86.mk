# SPDX-License-Identifier: MIT
# The KVM backend: the machine, its boards and buses, and how a kernel gets into it.

kvm_libkvm_la_SOURCES += \
	kvm/backend/kvm-devices.c \
	kvm/backend/kvm-irq.c \
	kvm/backend/kvm-machine.h \
	kvm/backend/kvm-memory.c \
	kvm/backend/kvm-output.c \
	kvm/backend/kvm-probe.c \
	kvm/backend/kvm-vcpu.c \
	kvm/backend/kvm.c \
	kvm/disk/raw.c kvm/disk/raw.h \
	kvm/hw/bus.c kvm/hw/bus.h \
	kvm/hw/msix.c kvm/hw/msix.h \
	kvm/hw/pci.c kvm/hw/pci.h \
	kvm/hw/power.c kvm/hw/power.h \
	kvm/hw/serial.c kvm/hw/serial.h \
	kvm/hw/vm-ops.h \
	kvm/loop-call.c kvm/loop-call.h \
	kvm/virtio/blk.c kvm/virtio/blk.h \
	kvm/virtio/pci-common.c kvm/virtio/pci-internal.h \
	kvm/virtio/pci.c kvm/virtio/pci.h \
	kvm/x86/acpi.c kvm/x86/acpi.h \
	kvm/x86/aml.c kvm/x86/aml.h \
	kvm/x86/boot.c kvm/x86/boot.h \
	kvm/x86/bzimage.c \
	kvm/x86/cpu.c kvm/x86/cpu.h \
	kvm/x86/cpuid.c \
	kvm/x86/elf.c \
	kvm/x86/kernel-image.c kvm/x86/kernel-image.h \
	kvm/x86/layout.h
