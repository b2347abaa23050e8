# SPDX-License-Identifier: MIT
# Whole sessions against real VMs on this machine.
e2e_tests = tests/e2e/image.py tests/e2e/session.py tests/e2e/endings.py tests/e2e/network.py \
	tests/e2e/starting.py tests/e2e/devices.py \
	tests/e2e/agent.py tests/e2e/roots.py tests/e2e/sftp.py tests/e2e/termina.py tests/e2e/kills.py
TESTS += $(e2e_tests)
# Not those: one is of the suite arm64, the other a quarter of an hour's work for when it is asked for.
EXTRA_DIST += $(e2e_tests) tests/e2e/foreign.py tests/e2e/cluster.py tests/e2e/aptroot.py

if ARCH_X86
# A launcher that has arm64 guests emulated. The objects named here come before the library's.
check_PROGRAMS += tests/e2e/foreign-launcher
tests_e2e_foreign_launcher_SOURCES = tests/e2e/foreign-launcher.c kvm/main.c kvm/arm64/qemu.c \
	kvm/arm64/image.c kvm/arm64/image.h
tests_e2e_foreign_launcher_LDADD = $(crosh_vm_LDADD)
tests_e2e_foreign_launcher_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=boot_check_kernel
endif

# Goes into guests that have no libraries.
check_PROGRAMS += tests/e2e/guest-clock
tests_e2e_guest_clock_SOURCES = tests/e2e/guest-clock.c
tests_e2e_guest_clock_CFLAGS = -std=gnu17 $(WARN_CFLAGS)
tests_e2e_guest_clock_LDFLAGS = -all-static
