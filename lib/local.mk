# SPDX-License-Identifier: MIT
# libcrosh.so, and the static parts that the launcher and the agent share with it.

noinst_LTLIBRARIES += lib/libbase.la lib/libwire.la lib/libfiles.la lib/librelay.la lib/libstreams.la

lib_libbase_la_SOURCES = \
	lib/base/base64.c lib/base/base64.h \
	lib/base/build-id.c lib/base/build-id.h \
	lib/base/cleanup.h \
	lib/base/clock.h \
	lib/base/deadline.h \
	lib/base/descriptors.h \
	lib/base/detached.c lib/base/detached.h \
	lib/base/error.c \
	lib/base/fd-pass.c lib/base/fd-pass.h \
	lib/base/landlock.c lib/base/landlock.h \
	lib/base/program.c lib/base/program.h \
	lib/base/sha256.c lib/base/sha256.h \
	lib/base/sanitize.c lib/base/sanitize.h \
	lib/base/size.c lib/base/size.h \
	lib/base/unix-socket.c lib/base/unix-socket.h \
	lib/base/virtiofsd.c lib/base/virtiofsd.h
lib_libbase_la_CFLAGS = $(AM_CFLAGS) -fvisibility=default

# The protocols: generated from their .proto, plus the framing.
wire_generated = \
	lib/wire/vsh.pb-c.c lib/wire/vsh.pb-c.h \
	lib/wire/files.pb-c.c lib/wire/files.pb-c.h \
	lib/wire/streams.pb-c.c lib/wire/streams.pb-c.h \
	lib/wire/system.pb-c.c lib/wire/system.pb-c.h \
	lib/wire/guest.pb-c.c lib/wire/guest.pb-c.h \
	lib/wire/handover.pb-c.c lib/wire/handover.pb-c.h \
	lib/wire/control.pb-c.c lib/wire/control.pb-c.h \
	lib/wire/net.pb-c.c lib/wire/net.pb-c.h \
	lib/wire/snapshot.pb-c.c lib/wire/snapshot.pb-c.h
wire_protos = lib/wire/vsh.proto lib/wire/guest.proto lib/wire/control.proto \
	lib/wire/snapshot.proto lib/wire/files.proto lib/wire/handover.proto lib/wire/net.proto \
	lib/wire/streams.proto lib/wire/system.proto

lib_libwire_la_SOURCES = \
	lib/wire/frame.c lib/wire/frame.h \
	lib/wire/frame-queue.c lib/wire/frame-queue.h \
	lib/wire/ports.h \
	lib/wire/sftp-packet.c lib/wire/sftp-packet.h
nodist_lib_libwire_la_SOURCES = $(wire_generated)
lib_libwire_la_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
lib_libwire_la_LIBADD = $(PROTOBUF_C_LIBS)

# Copies of files, and relays of bytes, as vsh and the agent do them.
lib_libfiles_la_SOURCES = $(files_sources)
lib_libfiles_la_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
lib_librelay_la_SOURCES = $(relay_sources)
lib_librelay_la_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
# Streams to the ports and sockets of a guest, asked of its agent.
lib_libstreams_la_SOURCES = lib/streams/stream-client.c lib/streams/stream-client.h
lib_libstreams_la_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
relay_sources = lib/relay/pair.c lib/relay/pair.h
files_sources = \
	lib/files/files.h \
	lib/files/link.c lib/files/link.h \
	lib/files/names.c \
	lib/files/place.c lib/files/place.h \
	lib/files/receive.c \
	lib/files/send.c

BUILT_SOURCES += $(wire_generated)
CLEANFILES += $(wire_generated)
EXTRA_DIST += $(wire_protos)

lib/wire/%.pb-c.c lib/wire/%.pb-c.h: lib/wire/%.proto
	@$(MKDIR_P) lib/wire
	$(AM_V_GEN)$(PROTOC_C) --proto_path=$(srcdir)/lib/wire --c_out=lib/wire $<

lib_LTLIBRARIES += lib/libcrosh.la
lib_libcrosh_la_SOURCES = \
	lib/command/args.c lib/command/args.h \
	lib/command/command.c lib/command/command.h \
	lib/command/complete.c lib/command/complete.h \
	lib/command/context.c lib/command/context.h \
	lib/command/dump-json.c lib/command/dump-json.h \
	lib/command/help.c lib/command/help.h \
	lib/command/man.c lib/command/man.h \
	lib/command/matches.c lib/command/matches.h \
	lib/command/progress.c lib/command/progress.h \
	lib/command/suggest.c lib/command/suggest.h \
	lib/command/table.c \
	lib/command/text.c lib/command/text.h \
	lib/command/value.c lib/command/value.h
lib_libcrosh_la_LIBADD = lib/libbase.la lib/libwire.la $(JANSSON_LIBS)
lib_libcrosh_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(PROTOBUF_C_CFLAGS)
# What is exported is decided by the map, not by attributes in the headers.
lib_libcrosh_la_CFLAGS = $(AM_CFLAGS) -fvisibility=default
lib_libcrosh_la_LDFLAGS = $(HARDEN_LDFLAGS) $(SANITIZE_CFLAGS) -version-info 0:0:0 \
	-Wl,-Bsymbolic-functions -Wl,--version-script=$(srcdir)/lib/libcrosh.map
if !SANITIZERS
lib_libcrosh_la_LDFLAGS += -no-undefined -Wl,-z,defs
endif
EXTRA_lib_libcrosh_la_DEPENDENCIES = lib/libcrosh.map
EXTRA_DIST += lib/libcrosh.map

include lib/vm/local.mk
include lib/lxd/local.mk
include lib/net/local.mk

croshincludedir = $(includedir)/crosh
croshinclude_HEADERS = \
	include/crosh/command.h \
	include/crosh/error.h \
	include/crosh/module.h \
	include/crosh/progress.h \
	include/crosh/subshell.h \
	include/crosh/vm.h

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = lib/crosh.pc
