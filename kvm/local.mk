# SPDX-License-Identifier: MIT
# crosh-vm, the launcher: one process is one VM. All but main() is a library for the tests' sake.

noinst_LTLIBRARIES += kvm/libkvm.la
kvm_libkvm_la_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS) $(JANSSON_CFLAGS) $(SECCOMP_CFLAGS)
kvm_libkvm_la_LIBADD = lib/libwire.la lib/libbase.la $(JANSSON_LIBS) $(SECCOMP_LIBS) $(ZLIB_LIBS) $(FDT_LIBS)
kvm_libkvm_la_SOURCES = \
	kvm/event-loop.c kvm/event-loop.h \
	kvm/guest-memory.c kvm/guest-memory.h \
	kvm/machine.h \
	kvm/console-log.c kvm/console-log.h \
	kvm/guest-link.c kvm/guest-link.h \
	kvm/launcher.c kvm/launcher.h kvm/launcher-internal.h \
	kvm/counters.c kvm/counters.h \
	kvm/launcher-crash.c \
	kvm/launcher-disks.c kvm/launcher-disks.h \
	kvm/launcher-events.c \
	kvm/launcher-figures.c \
	kvm/launcher-machine.c \
	kvm/launcher-shares.c kvm/launcher-shares.h \
	kvm/launcher-state.c kvm/launcher-state.h \
	kvm/launcher-stop.c \
	kvm/launcher-upgrade.c \
	kvm/launcher-vsock.c kvm/launcher-vsock.h \
	kvm/process-times.c kvm/process-times.h \
	kvm/options.c kvm/options.h \
	kvm/option-values.c kvm/option-values.h \
	kvm/socket-relay.c kvm/socket-relay.h \
	kvm/vsock-bridge.c kvm/vsock-bridge.h \
	kvm/vsock-ports.c kvm/vsock-ports.h \
	kvm/vm-lock.c kvm/vm-lock.h \
	kvm/wall-clock.c kvm/wall-clock.h \
	kvm/control/framed-stream.c kvm/control/framed-stream.h \
	kvm/control/requests.c kvm/control/requests.h \
	kvm/control/request-figures.c \
	kvm/control/request-disk.c \
	kvm/control/request-console.c \
	kvm/control/request-life.c \
	kvm/control/request-share.c \
	kvm/control/request-state.c \
	kvm/control/request-status.c \
	kvm/control/server.c kvm/control/server.h \
	kvm/backend/choose.c kvm/backend/choose.h \
	kvm/backend/qemu.c \
	kvm/backend/qemu-args.c kvm/backend/qemu-args.h \
	kvm/backend/qemu-disks.c kvm/backend/qemu-disks.h \
	kvm/backend/qemu-figures.c kvm/backend/qemu-figures.h \
	kvm/backend/qemu-ports.c kvm/backend/qemu-ports.h \
	kvm/backend/qemu-shares.c kvm/backend/qemu-shares.h \
	kvm/backend/qmp.c kvm/backend/qmp.h

include kvm/net.mk
include kvm/sandbox.mk
include kvm/virtio.mk
include kvm/kvm.mk
include kvm/x86.mk
include kvm/arm64.mk

pkglibexec_PROGRAMS += crosh-vm
crosh_vm_SOURCES = kvm/main.c
crosh_vm_LDADD = kvm/libkvm.la lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS) $(JANSSON_LIBS)

pkglibexec_PROGRAMS += crosh-share
crosh_share_SOURCES = kvm/share-keeper.c
crosh_share_LDADD = lib/libbase.la
