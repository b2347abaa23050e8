# SPDX-License-Identifier: MIT
# The net module on this host, in network namespaces of its own.
net_tests = tests/net/ping.py
TESTS += $(net_tests)
EXTRA_DIST += $(net_tests)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-ping
TESTS += tests/unit/test-ping
tests_unit_test_ping_SOURCES = tests/unit/test-ping.c
tests_unit_test_ping_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_ping_LDADD = modules/net/libnet.la $(CMOCKA_LIBS)
endif

if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz-icmp
tests_fuzz_fuzz_icmp_SOURCES = tests/fuzz/fuzz-icmp.c
tests_fuzz_fuzz_icmp_LDADD = modules/net/libnet.la
tests_fuzz_fuzz_icmp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
