# SPDX-License-Identifier: MIT
# Tests of the KVM backend and its devices.

if HAVE_CMOCKA
kvm_tests = \
	tests/kvm/test-blk \
	tests/kvm/test-blk-kill \
	tests/kvm/test-blk-live \
	tests/kvm/test-console \
	tests/kvm/test-hotplug \
	tests/kvm/test-board \
	tests/kvm/test-arm64-image
if ARCH_X86
kvm_tests += \
	tests/kvm/test-kernel-image \
	tests/kvm/test-launcher \
	tests/kvm/test-acpi \
	tests/kvm/test-cpuid \
	tests/kvm/test-machine \
	tests/kvm/test-launcher-state \
	tests/kvm/test-pause \
	tests/kvm/test-sandbox \
	tests/kvm/test-snapshot \
	tests/kvm/test-snapshot-disks \
	tests/kvm/test-virtio-mmio
endif
if ARCH_ARM64
kvm_tests += tests/kvm/test-arm64-guests tests/kvm/test-device-tree
endif
check_PROGRAMS += $(kvm_tests)
TESTS += $(kvm_tests)

# What drives bare-metal guests, and what saves and restores them.
guest_run = tests/kvm/guest-run.c tests/kvm/guest-run.h tests/kvm/guest-programs.h
guest_snapshot = $(guest_run) tests/kvm/guest-snapshot.c tests/kvm/guest-snapshot.h

tests_kvm_test_arm64_guests_SOURCES = tests/kvm/test-arm64-guests.c $(guest_run)
tests_kvm_test_arm64_guests_LDADD = $(launcher_test_ldadd)
# A parser without a machine: it is tried on every one.
tests_kvm_test_arm64_image_SOURCES = tests/kvm/test-arm64-image.c kvm/arm64/image.c kvm/arm64/image.h
tests_kvm_test_arm64_image_LDADD = $(launcher_test_ldadd)
tests_kvm_test_device_tree_SOURCES = tests/kvm/test-device-tree.c
tests_kvm_test_device_tree_LDADD = $(launcher_test_ldadd) $(FDT_LIBS)
tests_kvm_test_kernel_image_SOURCES = tests/kvm/test-kernel-image.c
tests_kvm_test_kernel_image_LDADD = $(launcher_test_ldadd)
tests_kvm_test_acpi_SOURCES = tests/kvm/test-acpi.c
tests_kvm_test_acpi_LDADD = $(launcher_test_ldadd)
tests_kvm_test_blk_SOURCES = tests/kvm/test-blk.c tests/kvm/blk-fixture.h tests/unit/fake-queue.h
tests_kvm_test_blk_LDADD = $(launcher_test_ldadd)
tests_kvm_test_blk_kill_SOURCES = tests/kvm/test-blk-kill.c tests/kvm/blk-fixture.h \
	tests/unit/fake-queue.h
tests_kvm_test_blk_kill_LDADD = $(launcher_test_ldadd)
tests_kvm_test_blk_live_SOURCES = tests/kvm/test-blk-live.c tests/kvm/blk-fixture.h \
	tests/unit/fake-queue.h
tests_kvm_test_blk_live_LDADD = $(launcher_test_ldadd)
tests_kvm_test_console_SOURCES = tests/kvm/test-console.c tests/unit/fake-queue.h
tests_kvm_test_console_LDADD = $(launcher_test_ldadd)
tests_kvm_test_hotplug_SOURCES = tests/kvm/test-hotplug.c
tests_kvm_test_hotplug_LDADD = $(launcher_test_ldadd)
tests_kvm_test_board_SOURCES = tests/kvm/test-board.c
tests_kvm_test_board_LDADD = $(launcher_test_ldadd)
tests_kvm_test_cpuid_SOURCES = tests/kvm/test-cpuid.c
tests_kvm_test_cpuid_LDADD = $(launcher_test_ldadd)
tests_kvm_test_machine_SOURCES = tests/kvm/test-machine.c tests/kvm/guest-programs.h
tests_kvm_test_machine_LDADD = $(launcher_test_ldadd)
tests_kvm_test_launcher_state_SOURCES = tests/kvm/test-launcher-state.c $(guest_run)
tests_kvm_test_launcher_state_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_kvm_test_launcher_state_LDADD = $(launcher_test_ldadd) lib/libcrosh.la
tests_kvm_test_launcher_state_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=backend_choose
tests_kvm_test_pause_SOURCES = tests/kvm/test-pause.c $(guest_run)
tests_kvm_test_pause_LDADD = $(launcher_test_ldadd)
tests_kvm_test_snapshot_SOURCES = tests/kvm/test-snapshot.c $(guest_snapshot)
tests_kvm_test_snapshot_LDADD = $(launcher_test_ldadd)
tests_kvm_test_snapshot_disks_SOURCES = tests/kvm/test-snapshot-disks.c $(guest_snapshot)
tests_kvm_test_snapshot_disks_LDADD = $(launcher_test_ldadd)
tests_kvm_test_launcher_SOURCES = tests/kvm/test-launcher.c tests/kvm/attacks.h tests/kvm/guest-programs.h
tests_kvm_test_launcher_LDADD = $(launcher_test_ldadd)
EXTRA_tests_kvm_test_launcher_DEPENDENCIES = tests/kvm/hijacked-launcher$(EXEEXT)
tests_kvm_test_sandbox_SOURCES = tests/kvm/test-sandbox.c tests/kvm/attacks.h tests/kvm/guest-programs.h
tests_kvm_test_sandbox_LDADD = $(launcher_test_ldadd)
tests_kvm_test_virtio_mmio_SOURCES = tests/kvm/test-virtio-mmio.c tests/unit/fake-queue.h $(guest_run)
tests_kvm_test_virtio_mmio_LDADD = $(launcher_test_ldadd)
endif

if ARCH_X86
# The launcher that test-launcher runs.
check_PROGRAMS += tests/kvm/hijacked-launcher
tests_kvm_hijacked_launcher_SOURCES = tests/kvm/hijacked-launcher.c tests/kvm/attacks.h kvm/main.c
tests_kvm_hijacked_launcher_LDADD = $(crosh_vm_LDADD)
tests_kvm_hijacked_launcher_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=bus_read -Wl,--wrap=bus_write -Wl,--wrap=kvm_probe
endif

# A tool for trying the backend by hand, in the lab for instance.
check_PROGRAMS += tests/kvm/kvm-boot
tests_kvm_kvm_boot_SOURCES = tests/kvm/kvm-boot.c
tests_kvm_kvm_boot_LDADD = kvm/libkvm.la

# A tool for measuring the disks without a guest.
check_PROGRAMS += tests/kvm/blk-load
tests_kvm_blk_load_SOURCES = tests/kvm/blk-load.c tests/unit/fake-queue.h
tests_kvm_blk_load_LDADD = kvm/libkvm.la

if ENABLE_FUZZING
if ARCH_X86
noinst_PROGRAMS += tests/fuzz/fuzz-kernel-image
tests_fuzz_fuzz_kernel_image_SOURCES = tests/fuzz/fuzz-kernel-image.c kvm/arm64/image.c
tests_fuzz_fuzz_kernel_image_LDADD = kvm/libkvm.la lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS) $(JANSSON_LIBS)
tests_fuzz_fuzz_kernel_image_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
endif
