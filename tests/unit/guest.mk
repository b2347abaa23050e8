# SPDX-License-Identifier: MIT
# Unit tests of the wire protocols, the agent and the vsh client.

if HAVE_CMOCKA
guest_unit_tests = \
	tests/unit/test-agent-parts \
	tests/unit/test-build-id \
	tests/unit/test-clock-sync \
	tests/unit/test-frame \
	tests/unit/test-frame-queue \
	tests/unit/test-lxd \
	tests/unit/test-lxd-cluster \
	tests/unit/test-sha256 \
	tests/unit/test-vsh-client \
	tests/unit/test-vsh-forward
check_PROGRAMS += $(guest_unit_tests)
TESTS += $(guest_unit_tests)

guest_unit_cppflags = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(PROTOBUF_C_CFLAGS)
guest_unit_libs = lib/libwire.la lib/libbase.la $(CMOCKA_LIBS) $(PROTOBUF_C_LIBS)

tests_unit_test_agent_parts_SOURCES = tests/unit/test-agent-parts.c \
	guest/agent/address.c guest/agent/cloud-seed.c guest/agent/kernel-params.c guest/agent/log.c guest/agent/lxd.c \
	guest/agent/network.c guest/agent/online.c guest/agent/users.c
tests_unit_test_agent_parts_CPPFLAGS = $(guest_unit_cppflags)
tests_unit_test_agent_parts_LDADD = $(guest_unit_libs)

tests_unit_test_build_id_SOURCES = tests/unit/test-build-id.c
tests_unit_test_build_id_CPPFLAGS = $(guest_unit_cppflags)
tests_unit_test_build_id_LDADD = $(guest_unit_libs)
tests_unit_test_build_id_LDFLAGS = $(AM_LDFLAGS) -Wl,--build-id=sha1

tests_unit_test_clock_sync_SOURCES = tests/unit/test-clock-sync.c \
	guest/agent/clock-sync.c guest/agent/log.c
tests_unit_test_clock_sync_CPPFLAGS = $(guest_unit_cppflags)
tests_unit_test_clock_sync_LDADD = $(guest_unit_libs)

tests_unit_test_frame_SOURCES = tests/unit/test-frame.c
tests_unit_test_frame_CPPFLAGS = $(guest_unit_cppflags)
tests_unit_test_frame_LDADD = $(guest_unit_libs)

tests_unit_test_frame_queue_SOURCES = tests/unit/test-frame-queue.c
tests_unit_test_frame_queue_CPPFLAGS = $(guest_unit_cppflags)
tests_unit_test_frame_queue_LDADD = $(guest_unit_libs)

tests_unit_test_lxd_SOURCES = tests/unit/test-lxd.c $(lxd_parsers)
tests_unit_test_lxd_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_lxd_LDADD = lib/libbase.la $(CMOCKA_LIBS) $(JANSSON_LIBS)

tests_unit_test_lxd_cluster_SOURCES = tests/unit/test-lxd-cluster.c $(lxd_parsers)
tests_unit_test_lxd_cluster_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_lxd_cluster_LDADD = lib/libbase.la $(CMOCKA_LIBS) $(JANSSON_LIBS)

tests_unit_test_sha256_SOURCES = tests/unit/test-sha256.c
tests_unit_test_sha256_CPPFLAGS = $(guest_unit_cppflags)
tests_unit_test_sha256_LDADD = $(guest_unit_libs)

tests_unit_test_vsh_forward_SOURCES = tests/unit/test-vsh-forward.c \
	modules/vsh/endpoint.c modules/vsh/socks.c
tests_unit_test_vsh_forward_CPPFLAGS = $(guest_unit_cppflags)
tests_unit_test_vsh_forward_LDADD = lib/librelay.la $(guest_unit_libs)

tests_unit_test_vsh_client_SOURCES = tests/unit/test-vsh-client.c \
	modules/vsh/vsh-terminal.c
tests_unit_test_vsh_client_CPPFLAGS = $(guest_unit_cppflags)
tests_unit_test_vsh_client_LDADD = $(guest_unit_libs)
endif
