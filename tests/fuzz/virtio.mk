# SPDX-License-Identifier: MIT
# libFuzzer targets for what a guest controls: ./configure CC=clang --enable-fuzzing.

if ENABLE_FUZZING
virtio_fuzzers = tests/fuzz/fuzz-blk tests/fuzz/fuzz-mmio tests/fuzz/fuzz-net tests/fuzz/fuzz-pci \
	tests/fuzz/fuzz-snapshot tests/fuzz/fuzz-virtqueue tests/fuzz/fuzz-vsock-packet \
	tests/fuzz/fuzz-balloon tests/fuzz/fuzz-console tests/fuzz/fuzz-control tests/fuzz/fuzz-rng \
	tests/fuzz/fuzz-button tests/fuzz/fuzz-vsock-bridge
noinst_PROGRAMS += $(virtio_fuzzers)

virtio_fuzz_ldadd = kvm/libkvm.la lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS) $(JANSSON_LIBS)
virtio_fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
transport_fixture = tests/fuzz/transport-fixture.c tests/fuzz/transport-fixture.h
tests_fuzz_fuzz_blk_SOURCES = tests/fuzz/fuzz-blk.c
tests_fuzz_fuzz_blk_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_blk_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_mmio_SOURCES = tests/fuzz/fuzz-mmio.c $(transport_fixture)
tests_fuzz_fuzz_mmio_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_mmio_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_pci_SOURCES = tests/fuzz/fuzz-pci.c $(transport_fixture)
tests_fuzz_fuzz_pci_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_pci_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_net_SOURCES = tests/fuzz/fuzz-net.c
tests_fuzz_fuzz_net_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_net_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_snapshot_SOURCES = tests/fuzz/fuzz-snapshot.c tests/unit/state-place.h
tests_fuzz_fuzz_snapshot_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_snapshot_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_virtqueue_SOURCES = tests/fuzz/fuzz-virtqueue.c
tests_fuzz_fuzz_virtqueue_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_virtqueue_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_vsock_packet_SOURCES = tests/fuzz/fuzz-vsock-packet.c tests/unit/fake-queue.h
tests_fuzz_fuzz_vsock_packet_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_vsock_packet_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_vsock_bridge_SOURCES = tests/fuzz/fuzz-vsock-bridge.c
tests_fuzz_fuzz_vsock_bridge_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_vsock_bridge_LDFLAGS = $(virtio_fuzz_ldflags) -Wl,--wrap=socket -Wl,--wrap=bind \
	-Wl,--wrap=connect -Wl,--wrap=accept4 -Wl,--wrap=getsockname \
	-Wl,--wrap=setsockopt
tests_fuzz_fuzz_balloon_SOURCES = tests/fuzz/fuzz-balloon.c tests/fuzz/device-fuzz.h
tests_fuzz_fuzz_balloon_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_balloon_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_console_SOURCES = tests/fuzz/fuzz-console.c tests/fuzz/device-fuzz.h
tests_fuzz_fuzz_console_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_console_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_control_SOURCES = tests/fuzz/fuzz-control.c
tests_fuzz_fuzz_control_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_control_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_rng_SOURCES = tests/fuzz/fuzz-rng.c tests/fuzz/device-fuzz.h
tests_fuzz_fuzz_rng_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_rng_LDFLAGS = $(virtio_fuzz_ldflags)
tests_fuzz_fuzz_button_SOURCES = tests/fuzz/fuzz-button.c tests/fuzz/device-fuzz.h
tests_fuzz_fuzz_button_LDADD = $(virtio_fuzz_ldadd)
tests_fuzz_fuzz_button_LDFLAGS = $(virtio_fuzz_ldflags)
endif
