# SPDX-License-Identifier: MIT
# The client of the LXD in a VM.
noinst_LTLIBRARIES += lib/liblxd.la
lib_liblxd_la_SOURCES = \
	lib/lxd/client.c lib/lxd/client.h \
	lib/lxd/cluster.c lib/lxd/cluster.h \
	lib/lxd/http.c lib/lxd/http.h \
	lib/lxd/instance.c lib/lxd/instance.h \
	lib/lxd/names.c lib/lxd/names.h \
	lib/lxd/reply.c lib/lxd/reply.h
lib_liblxd_la_CPPFLAGS = $(AM_CPPFLAGS) $(CURL_CFLAGS) $(JANSSON_CFLAGS) $(PROTOBUF_C_CFLAGS)
lib_liblxd_la_LIBADD = lib/libstreams.la lib/libwire.la lib/libbase.la $(CURL_LIBS) $(JANSSON_LIBS)
# What reads the guest's words, without the way there: for tests.
lxd_parsers = lib/lxd/cluster.c lib/lxd/instance.c lib/lxd/names.c lib/lxd/reply.c
