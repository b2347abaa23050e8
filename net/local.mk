# SPDX-License-Identifier: MIT
# crosh-net, the keeper of the VMs' network. All but main() is a library for the tests' sake.
noinst_LTLIBRARIES += net/libkeeper.la
net_libkeeper_la_SOURCES = \
	kvm/event-loop.c kvm/event-loop.h \
	lib/lxd/instance.c lib/lxd/instance.h \
	lib/lxd/names.c lib/lxd/names.h \
	lib/lxd/reply.c lib/lxd/reply.h \
	net/confine.c net/confine.h \
	net/confine-files.c \
	net/container-state.c net/container-state.h \
	net/dhcp.c net/dhcp.h \
	net/dhcp-message.c net/dhcp-message.h \
	net/dhcp6-message.c net/dhcp6-message.h \
	net/dns.c net/dns.h \
	net/dns-message.c net/dns-message.h \
	net/filter.c net/filter.h \
	net/front.c net/front.h \
	net/front-message.c net/front-message.h \
	net/front-process.c net/front-process.h \
	net/keeper.c net/keeper.h \
	net/keeper-state.c net/keeper-state.h \
	net/lease.c net/lease.h \
	net/links.c net/links.h \
	net/lookup.c net/lookup.h \
	net/names.c net/names.h \
	net/outside.c net/outside.h \
	net/place.c net/place.h \
	net/plan.c net/plan.h \
	net/publish.c net/publish.h \
	net/relay.c net/relay.h \
	net/resolved.c net/resolved.h \
	net/router-message.c net/router-message.h \
	net/server.c net/server.h \
	net/tap.c net/tap.h
net_libkeeper_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(LIBNL_CFLAGS) $(NFTABLES_CFLAGS) \
	$(PROTOBUF_C_CFLAGS) $(SECCOMP_CFLAGS) $(SYSTEMD_CFLAGS)
net_libkeeper_la_LIBADD = lib/libcrosh.la lib/librelay.la lib/libstreams.la lib/libwire.la \
	lib/libbase.la $(JANSSON_LIBS) $(LIBNL_LIBS) \
	$(NFTABLES_LIBS) $(PROTOBUF_C_LIBS) $(SECCOMP_LIBS) $(SYSTEMD_LIBS)

pkglibexec_PROGRAMS += crosh-net
crosh_net_SOURCES = net/main.c
crosh_net_CPPFLAGS = $(net_libkeeper_la_CPPFLAGS)
crosh_net_LDADD = net/libkeeper.la lib/libcrosh.la $(LIBNL_LIBS) $(NFTABLES_LIBS) $(PROTOBUF_C_LIBS) \
	$(SECCOMP_LIBS) $(SYSTEMD_LIBS)

# For nsswitch.conf(5). Loaded into every program that looks a name up: no libraries but one.
lib_LTLIBRARIES += net/libnss_crosh.la
net_libnss_crosh_la_SOURCES = net/nss.c lib/net/socket.c lib/net/socket.h \
	lib/base/fd-pass.c lib/base/fd-pass.h
nodist_net_libnss_crosh_la_SOURCES = lib/wire/net.pb-c.c lib/wire/net.pb-c.h
net_libnss_crosh_la_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
net_libnss_crosh_la_LIBADD = $(PROTOBUF_C_LIBS)
net_libnss_crosh_la_LDFLAGS = $(HARDEN_LDFLAGS) $(SANITIZE_CFLAGS) -version-info 2:0:0 \
	-export-symbols-regex '^_nss_crosh_'
if !SANITIZERS
net_libnss_crosh_la_LDFLAGS += -no-undefined -Wl,-z,defs
endif
