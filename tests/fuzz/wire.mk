# SPDX-License-Identifier: MIT
# libFuzzer targets for what the other end of a stream controls.

if ENABLE_FUZZING
wire_fuzzers = tests/fuzz/fuzz-files tests/fuzz/fuzz-socks tests/fuzz/fuzz-streams \
	tests/fuzz/fuzz-frame tests/fuzz/fuzz-vsh-client tests/fuzz/fuzz-lxd
noinst_PROGRAMS += $(wire_fuzzers)

tests_fuzz_fuzz_files_SOURCES = tests/fuzz/fuzz-files.c
tests_fuzz_fuzz_files_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_fuzz_files_LDADD = lib/libfiles.la lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
tests_fuzz_fuzz_files_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_lxd_SOURCES = tests/fuzz/fuzz-lxd.c $(lxd_parsers)
tests_fuzz_fuzz_lxd_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_fuzz_lxd_LDADD = lib/libbase.la $(JANSSON_LIBS)
tests_fuzz_fuzz_lxd_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_socks_SOURCES = tests/fuzz/fuzz-socks.c \
	modules/vsh/endpoint.c modules/vsh/socks.c
tests_fuzz_fuzz_socks_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_fuzz_socks_LDADD = lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
tests_fuzz_fuzz_socks_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_streams_SOURCES = tests/fuzz/fuzz-streams.c guest/agent/places.c
tests_fuzz_fuzz_streams_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_fuzz_streams_LDADD = lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
tests_fuzz_fuzz_streams_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz-frame.c
tests_fuzz_fuzz_frame_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_fuzz_frame_LDADD = lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
tests_fuzz_fuzz_frame_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_vsh_client_SOURCES = tests/fuzz/fuzz-vsh-client.c \
	modules/vsh/vsh-terminal.c
tests_fuzz_fuzz_vsh_client_CPPFLAGS = $(AM_CPPFLAGS)
tests_fuzz_fuzz_vsh_client_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_vsh_client_LDADD = lib/libbase.la
endif
