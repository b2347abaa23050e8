# SPDX-License-Identifier: MIT
# The vsh module. Its code is a library of its own, so that programs can hold it without loading it.
noinst_LTLIBRARIES += modules/vsh/libvsh.la
modules_vsh_libvsh_la_SOURCES = \
	modules/vsh/agent-forward.c modules/vsh/agent-forward.h \
	modules/vsh/auto-forward.c modules/vsh/auto-forward.h \
	modules/vsh/cp.c modules/vsh/cp.h \
	modules/vsh/cp-between.c modules/vsh/cp-between.h \
	modules/vsh/endpoint.c modules/vsh/endpoint.h \
	modules/vsh/forward.c modules/vsh/forward.h \
	modules/vsh/forwarder.c modules/vsh/forwarder.h \
	modules/vsh/ports.c \
	modules/vsh/proxy.c \
	modules/vsh/socks.c modules/vsh/socks.h \
	modules/vsh/vsh-session.c modules/vsh/vsh-session.h \
	modules/vsh/vsh-signals.c modules/vsh/vsh-signals.h \
	modules/vsh/vsh-terminal.c modules/vsh/vsh-terminal.h \
	modules/vsh/vsh.c
modules_vsh_libvsh_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(PROTOBUF_C_CFLAGS)
modules_vsh_libvsh_la_LIBADD = lib/libcrosh.la lib/libfiles.la lib/librelay.la lib/libstreams.la \
	lib/libwire.la lib/libbase.la $(JANSSON_LIBS) $(PROTOBUF_C_LIBS)

pkgmodule_LTLIBRARIES += modules/vsh/vsh.la
modules_vsh_vsh_la_SOURCES =
modules_vsh_vsh_la_LDFLAGS = -module $(MODULE_LDFLAGS)
modules_vsh_vsh_la_LIBADD = modules/vsh/libvsh.la
