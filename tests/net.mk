# SPDX-License-Identifier: MIT
# The net module on this host, in network namespaces of its own.
net_tests = tests/net/arrangements.py tests/net/containers.py tests/net/dhcp.py tests/net/links.py \
	tests/net/ping.py tests/net/resolved.py tests/net/stock.py tests/net/vms.py
TESTS += $(net_tests)
EXTRA_DIST += $(net_tests) tests/net/first.py tests/net/guest.py tests/net/world.py tests/stockdisk.py

if HAVE_CMOCKA
keeper_unit_tests = tests/unit/test-agent-network tests/unit/test-container-state \
	tests/unit/test-dhcp-message tests/unit/test-dns-message \
	tests/unit/test-net-confine tests/unit/test-net-lease \
	tests/unit/test-net-plan tests/unit/test-net-publish
check_PROGRAMS += tests/unit/test-ping $(keeper_unit_tests)
TESTS += tests/unit/test-ping $(keeper_unit_tests)
tests_unit_test_agent_network_SOURCES = tests/unit/test-agent-network.c guest/agent/log.c \
	guest/agent/network.c
tests_unit_test_agent_network_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_agent_network_LDADD = lib/libbase.la $(CMOCKA_LIBS)
tests_unit_test_container_state_SOURCES = tests/unit/test-container-state.c
tests_unit_test_container_state_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_container_state_LDADD = net/libkeeper.la lib/libbase.la $(CMOCKA_LIBS)
tests_unit_test_dhcp_message_SOURCES = tests/unit/test-dhcp-message.c
tests_unit_test_dhcp_message_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_dhcp_message_LDADD = net/libkeeper.la lib/libbase.la $(CMOCKA_LIBS)
tests_unit_test_dns_message_SOURCES = tests/unit/test-dns-message.c
tests_unit_test_dns_message_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_dns_message_LDADD = net/libkeeper.la lib/libbase.la $(CMOCKA_LIBS)
tests_unit_test_net_confine_SOURCES = tests/unit/test-net-confine.c $(vm_test_home)
tests_unit_test_net_confine_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_net_confine_LDADD = net/libkeeper.la lib/libcrosh.la lib/libbase.la $(CMOCKA_LIBS)
tests_unit_test_net_lease_SOURCES = tests/unit/test-net-lease.c $(vm_test_home)
tests_unit_test_net_lease_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_net_lease_LDADD = net/libkeeper.la lib/libcrosh.la lib/libbase.la $(CMOCKA_LIBS)
tests_unit_test_net_plan_SOURCES = tests/unit/test-net-plan.c
tests_unit_test_net_plan_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_net_plan_LDADD = net/libkeeper.la lib/libbase.la $(CMOCKA_LIBS)
tests_unit_test_net_publish_SOURCES = tests/unit/test-net-publish.c
tests_unit_test_net_publish_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_net_publish_LDADD = lib/libcrosh.la $(CMOCKA_LIBS)
tests_unit_test_ping_SOURCES = tests/unit/test-ping.c
tests_unit_test_ping_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ping_LDADD = modules/net/libnet.la $(CMOCKA_LIBS)
endif

if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz-icmp tests/fuzz/fuzz-dhcp tests/fuzz/fuzz-dns tests/fuzz/fuzz-netlink \
	tests/fuzz/fuzz-publish
tests_fuzz_fuzz_dhcp_SOURCES = tests/fuzz/fuzz-dhcp.c net/dhcp-message.c net/dhcp6-message.c \
	net/names.c net/plan.c net/router-message.c
tests_fuzz_fuzz_dhcp_CPPFLAGS = $(net_libkeeper_la_CPPFLAGS)
tests_fuzz_fuzz_dhcp_LDADD = lib/libbase.la
tests_fuzz_fuzz_dhcp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_dns_SOURCES = tests/fuzz/fuzz-dns.c net/dns-message.c
tests_fuzz_fuzz_dns_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_netlink_SOURCES = tests/fuzz/fuzz-netlink.c
tests_fuzz_fuzz_netlink_CPPFLAGS = $(modules_net_libnet_la_CPPFLAGS)
tests_fuzz_fuzz_netlink_LDADD = modules/net/libnet.la
tests_fuzz_fuzz_netlink_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=netlink_open
tests_fuzz_fuzz_publish_SOURCES = tests/fuzz/fuzz-publish.c guest/agent/log.c \
	guest/agent/network.c lib/net/publish.c
tests_fuzz_fuzz_publish_LDADD = lib/libbase.la
tests_fuzz_fuzz_publish_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_icmp_SOURCES = tests/fuzz/fuzz-icmp.c
tests_fuzz_fuzz_icmp_LDADD = modules/net/libnet.la
tests_fuzz_fuzz_icmp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
