# SPDX-License-Identifier: MIT
# The net module. Its code is a library of its own, so that programs can hold it without loading it.
noinst_LTLIBRARIES += modules/net/libnet.la
modules_net_libnet_la_SOURCES = \
	modules/net/icmp.c modules/net/icmp.h \
	modules/net/capture.c \
	modules/net/doctor.c \
	modules/net/listing.c modules/net/listing.h \
	modules/net/net.c \
	modules/net/pcapng.c modules/net/pcapng.h \
	modules/net/publish.c \
	modules/net/vms.c modules/net/vms.h \
	modules/net/netlink.c modules/net/netlink.h \
	modules/net/ping.c modules/net/ping.h \
	modules/net/ping-command.c \
	modules/net/ping-socket.c modules/net/ping-socket.h \
	modules/net/ping-stats.c modules/net/ping-stats.h \
	modules/net/resolve.c modules/net/resolve.h \
	modules/net/tables.c modules/net/tables.h
modules_net_libnet_la_CPPFLAGS = $(AM_CPPFLAGS) $(LIBNL_CFLAGS) $(JANSSON_CFLAGS) $(PROTOBUF_C_CFLAGS) \
	$(NFTABLES_CFLAGS)
modules_net_libnet_la_LIBADD = lib/libcrosh.la lib/libbase.la $(LIBNL_LIBS) $(NFTABLES_LIBS) $(JANSSON_LIBS) -lm

pkgmodule_LTLIBRARIES += modules/net/net.la
modules_net_net_la_SOURCES =
modules_net_net_la_LDFLAGS = -module $(MODULE_LDFLAGS)
modules_net_net_la_LIBADD = modules/net/libnet.la
