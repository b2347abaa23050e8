# SPDX-License-Identifier: MIT
# crosh-net, the keeper of the VMs' network. All but main() is a library for the tests' sake.
noinst_LTLIBRARIES += net/libkeeper.la
net_libkeeper_la_SOURCES = \
	kvm/event-loop.c kvm/event-loop.h \
	net/dns.c net/dns.h \
	net/dns-message.c net/dns-message.h \
	net/filter.c net/filter.h \
	net/keeper.c net/keeper.h \
	net/links.c net/links.h \
	net/lookup.c net/lookup.h \
	net/names.c net/names.h \
	net/outside.c net/outside.h \
	net/place.c net/place.h \
	net/plan.c net/plan.h \
	net/publish.c net/publish.h \
	net/relay.c net/relay.h \
	net/server.c net/server.h \
	net/tap.c net/tap.h
net_libkeeper_la_CPPFLAGS = $(AM_CPPFLAGS) $(LIBNL_CFLAGS) $(NFTABLES_CFLAGS) $(PROTOBUF_C_CFLAGS)
net_libkeeper_la_LIBADD = lib/libcrosh.la lib/librelay.la lib/libstreams.la lib/libwire.la \
	lib/libbase.la $(LIBNL_LIBS) \
	$(NFTABLES_LIBS) $(PROTOBUF_C_LIBS)

pkglibexec_PROGRAMS += crosh-net
crosh_net_SOURCES = net/main.c
crosh_net_CPPFLAGS = $(net_libkeeper_la_CPPFLAGS)
crosh_net_LDADD = net/libkeeper.la lib/libcrosh.la $(LIBNL_LIBS) $(NFTABLES_LIBS) $(PROTOBUF_C_LIBS)
