# SPDX-License-Identifier: MIT
# crosh-vm, the launcher: one process is one VM. All but main() is a library for the tests' sake.

noinst_LTLIBRARIES += kvm/libkvm.la
kvm_libkvm_la_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS) $(JANSSON_CFLAGS)
kvm_libkvm_la_LIBADD = lib/libwire.la lib/libbase.la $(JANSSON_LIBS)
kvm_libkvm_la_SOURCES = \
	kvm/event-loop.c kvm/event-loop.h \
	kvm/guest-memory.c kvm/guest-memory.h \
	kvm/machine.h

include kvm/virtio.mk
