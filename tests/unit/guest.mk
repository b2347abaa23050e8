# SPDX-License-Identifier: MIT
# Unit tests of the wire protocols and the agent.

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-frame
TESTS += tests/unit/test-frame

tests_unit_test_frame_SOURCES = tests/unit/test-frame.c
tests_unit_test_frame_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_unit_test_frame_LDADD = lib/libwire.la lib/libbase.la $(CMOCKA_LIBS) $(PROTOBUF_C_LIBS)
endif
