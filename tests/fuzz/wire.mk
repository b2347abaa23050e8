# SPDX-License-Identifier: MIT
# libFuzzer targets for what the other end of a stream controls.

if ENABLE_FUZZING
wire_fuzzers = tests/fuzz/fuzz-files tests/fuzz/fuzz-socks tests/fuzz/fuzz-streams \
	tests/fuzz/fuzz-stream-service tests/fuzz/fuzz-forwarder tests/fuzz/fuzz-cp-between \
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
tests_fuzz_fuzz_stream_service_SOURCES = tests/fuzz/fuzz-stream-service.c \
	guest/agent/address.c guest/agent/log.c guest/agent/places.c guest/agent/ports.c \
	guest/agent/stream.c guest/agent/streams.c guest/agent/users.c
tests_fuzz_fuzz_stream_service_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_fuzz_stream_service_LDADD = lib/librelay.la lib/libwire.la lib/libbase.la \
	$(PROTOBUF_C_LIBS)
tests_fuzz_fuzz_stream_service_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer \
	-Wl,--wrap=place_lookup -Wl,--wrap=place_connect -Wl,--wrap=place_listen \
	-Wl,--wrap=ports_list -Wl,--wrap=ports_list_in
tests_fuzz_fuzz_forwarder_SOURCES = tests/fuzz/fuzz-forwarder.c \
	modules/vsh/endpoint.c modules/vsh/forwarder.c modules/vsh/socks.c
tests_fuzz_fuzz_forwarder_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_fuzz_forwarder_LDADD = lib/libstreams.la lib/libcrosh.la lib/librelay.la lib/libwire.la \
	lib/libbase.la $(PROTOBUF_C_LIBS)
tests_fuzz_fuzz_forwarder_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer \
	-Wl,--wrap=stream_open -Wl,--wrap=poll
tests_fuzz_fuzz_cp_between_SOURCES = tests/fuzz/fuzz-cp-between.c modules/vsh/cp-between.c
tests_fuzz_fuzz_cp_between_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_fuzz_cp_between_LDADD = lib/libfiles.la lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
tests_fuzz_fuzz_cp_between_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
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
