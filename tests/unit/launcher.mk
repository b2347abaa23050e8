# SPDX-License-Identifier: MIT
# Unit tests of the launcher's frame.

if HAVE_CMOCKA
launcher_tests = \
	tests/unit/test-size \
	tests/unit/test-fd-pass \
	tests/unit/test-disk-spec \
	tests/unit/test-guest-memory \
	tests/unit/test-event-loop \
	tests/unit/test-socket-relay \
	tests/unit/test-control-server \
	tests/unit/test-guest-link \
	tests/unit/test-unix-socket
check_PROGRAMS += $(launcher_tests)
TESTS += $(launcher_tests)

launcher_test_ldadd = kvm/libkvm.la lib/libwire.la lib/libbase.la $(CMOCKA_LIBS) \
	$(PROTOBUF_C_LIBS) $(JANSSON_LIBS)
tests_unit_test_disk_spec_SOURCES = tests/unit/test-disk-spec.c
tests_unit_test_disk_spec_LDADD = $(launcher_test_ldadd)
tests_unit_test_fd_pass_SOURCES = tests/unit/test-fd-pass.c
tests_unit_test_fd_pass_LDADD = lib/libbase.la $(CMOCKA_LIBS)
tests_unit_test_size_SOURCES = tests/unit/test-size.c
tests_unit_test_size_LDADD = $(launcher_test_ldadd)
tests_unit_test_guest_memory_SOURCES = tests/unit/test-guest-memory.c
tests_unit_test_guest_memory_LDADD = $(launcher_test_ldadd)
tests_unit_test_socket_relay_SOURCES = tests/unit/test-socket-relay.c
tests_unit_test_socket_relay_LDADD = $(launcher_test_ldadd)
tests_unit_test_event_loop_SOURCES = tests/unit/test-event-loop.c
tests_unit_test_event_loop_LDADD = $(launcher_test_ldadd)
tests_unit_test_control_server_SOURCES = tests/unit/test-control-server.c
tests_unit_test_control_server_LDADD = $(launcher_test_ldadd)
tests_unit_test_guest_link_SOURCES = tests/unit/test-guest-link.c
tests_unit_test_guest_link_LDADD = $(launcher_test_ldadd)
tests_unit_test_unix_socket_SOURCES = tests/unit/test-unix-socket.c
tests_unit_test_unix_socket_LDADD = $(launcher_test_ldadd)
endif
