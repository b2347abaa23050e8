# SPDX-License-Identifier: MIT
# The arm64 machine: its board, its CPUs, and how a kernel gets into it.

if ARCH_ARM64
kvm_libkvm_la_SOURCES += \
	kvm/arm64/board.c kvm/arm64/board.h \
	kvm/arm64/boot.c kvm/arm64/boot.h \
	kvm/arm64/device-tree.c kvm/arm64/device-tree.h \
	kvm/arm64/image.c kvm/arm64/image.h \
	kvm/arm64/layout.h \
	kvm/arm64/qemu.c \
	kvm/arm64/state.c kvm/arm64/state.h \
	kvm/arm64/state-gic.c \
	kvm/arm64/state-vcpu.c \
	kvm/arm64/vcpu.c kvm/arm64/vcpu.h
endif
