# SPDX-License-Identifier: MIT
# The x86 machine: its board, its CPUs, and how a kernel gets into it.

if ARCH_X86
kvm_libkvm_la_SOURCES += \
	kvm/x86/acpi.c kvm/x86/acpi.h \
	kvm/x86/aml.c kvm/x86/aml.h \
	kvm/x86/board.c kvm/x86/board.h \
	kvm/x86/boot.c kvm/x86/boot.h \
	kvm/x86/bzimage.c \
	kvm/x86/cpu.c kvm/x86/cpu.h \
	kvm/x86/cpuid.c \
	kvm/x86/elf.c \
	kvm/x86/kernel-image.c kvm/x86/kernel-image.h \
	kvm/x86/layout.h \
	kvm/x86/probe.c \
	kvm/x86/qemu.c \
	kvm/x86/report.c \
	kvm/x86/state-vcpu.c \
	kvm/x86/state.c kvm/x86/state.h \
	kvm/x86/vcpu.c
endif
