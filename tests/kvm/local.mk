# SPDX-License-Identifier: MIT
# Tests of the KVM backend and its devices.

check_PROGRAMS += tests/kvm/kvm-boot
tests_kvm_kvm_boot_SOURCES = tests/kvm/kvm-boot.c
tests_kvm_kvm_boot_LDADD = kvm/libkvm.la
