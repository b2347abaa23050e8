# SPDX-License-Identifier: MIT
# The lab: tests on real KVM, in an emulated host.
lab_tests = \
	tests/lab/e2e.sh \
	tests/lab/lab-itself.py \
	tests/lab/boot.sh \
	tests/lab/clock.sh \
	tests/lab/control.sh \
	tests/lab/disks.sh \
	tests/lab/disks-live.sh \
	tests/lab/disk-full.sh \
	tests/lab/disk-kill.sh \
	tests/lab/endings.sh \
	tests/lab/fs.sh \
	tests/lab/memory.sh \
	tests/lab/net.sh \
	tests/lab/network.sh \
	tests/lab/ports.sh \
	tests/lab/sandbox.sh \
	tests/lab/smp.sh \
	tests/lab/snapshot.sh \
	tests/lab/transports.sh \
	tests/lab/user-network.sh \
	tests/lab/vsock.sh
TESTS += $(lab_tests)
EXTRA_DIST += $(lab_tests) tests/lab/inside.sh tests/lab/frames.py tests/lab/lab tests/lab/.shellcheckrc \
	tests/lab/host/early-init tests/lab/host/lab-init

# Asks for snapshots in the lab.
check_PROGRAMS += tests/lab/take-snapshot
tests_lab_take_snapshot_SOURCES = tests/lab/take-snapshot.c
tests_lab_take_snapshot_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
tests_lab_take_snapshot_LDADD = lib/libcrosh.la lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
tests_lab_take_snapshot_LDFLAGS = $(AM_LDFLAGS) -no-install

# Writes to a disk whose VM is killed: in guests, where it has no libraries.
check_PROGRAMS += tests/lab/flush-log
tests_lab_flush_log_SOURCES = tests/lab/flush-log.c
tests_lab_flush_log_CFLAGS = -std=gnu17 -fPIE $(WARN_CFLAGS) $(HARDEN_CFLAGS)
tests_lab_flush_log_LDADD =
tests_lab_flush_log_LDFLAGS = -XCClinker -static-pie $(HARDEN_LDFLAGS)

clean-local:
	rm -rf lab-cache test-images
