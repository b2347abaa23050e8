# SPDX-License-Identifier: MIT
# Unit tests of virtqueues, virtio devices and vhost-user.

if HAVE_CMOCKA
virtio_tests = \
	tests/unit/test-net \
	tests/unit/test-net-stream \
	tests/unit/test-net-tap \
	tests/unit/test-vhost-user \
	tests/unit/test-vhost-user-frontend \
	tests/unit/test-balloon \
	tests/unit/test-button \
	tests/unit/test-virtio-devices \
	tests/unit/test-virtio-state \
	tests/unit/test-virtqueue \
	tests/unit/test-virtqueue-adopt \
	tests/unit/test-vsock-data \
	tests/unit/test-vsock-ends \
	tests/unit/test-vsock-interrupts \
	tests/unit/test-vsock-stream
check_PROGRAMS += $(virtio_tests)
TESTS += $(virtio_tests)

virtio_test_ldadd = kvm/libkvm.la lib/libwire.la lib/libbase.la $(CMOCKA_LIBS) \
	$(PROTOBUF_C_LIBS) $(JANSSON_LIBS)
net_fixture = tests/unit/net-fixture.c tests/unit/net-fixture.h tests/unit/fake-queue.h
tests_unit_test_net_SOURCES = tests/unit/test-net.c $(net_fixture)
tests_unit_test_net_LDADD = $(virtio_test_ldadd)
tests_unit_test_net_stream_SOURCES = tests/unit/test-net-stream.c $(net_fixture)
tests_unit_test_net_stream_LDADD = $(virtio_test_ldadd)
tests_unit_test_net_tap_SOURCES = tests/unit/test-net-tap.c $(net_fixture)
tests_unit_test_net_tap_LDADD = $(virtio_test_ldadd)
tests_unit_test_vhost_user_SOURCES = tests/unit/test-vhost-user.c tests/unit/fake-queue.h
tests_unit_test_vhost_user_LDADD = $(virtio_test_ldadd)
tests_unit_test_vhost_user_frontend_SOURCES = tests/unit/test-vhost-user-frontend.c \
	tests/unit/fake-queue.h
tests_unit_test_vhost_user_frontend_LDADD = $(virtio_test_ldadd)
tests_unit_test_balloon_SOURCES = tests/unit/test-balloon.c tests/unit/fake-queue.h
tests_unit_test_balloon_LDADD = $(virtio_test_ldadd)
tests_unit_test_button_SOURCES = tests/unit/test-button.c tests/unit/fake-queue.h
tests_unit_test_button_LDADD = $(virtio_test_ldadd)
tests_unit_test_virtio_devices_SOURCES = tests/unit/test-virtio-devices.c tests/unit/fake-queue.h
tests_unit_test_virtio_devices_LDADD = $(virtio_test_ldadd)
tests_unit_test_virtio_state_SOURCES = tests/unit/test-virtio-state.c tests/unit/state-place.h
tests_unit_test_virtio_state_LDADD = $(virtio_test_ldadd)
tests_unit_test_virtqueue_SOURCES = tests/unit/test-virtqueue.c tests/unit/fake-queue.h
tests_unit_test_virtqueue_LDADD = $(virtio_test_ldadd)
tests_unit_test_virtqueue_adopt_SOURCES = tests/unit/test-virtqueue-adopt.c \
	tests/unit/fake-queue.h
tests_unit_test_virtqueue_adopt_LDADD = $(virtio_test_ldadd)
vsock_fixture = tests/unit/vsock-fixture.c tests/unit/vsock-fixture.h tests/unit/fake-queue.h \
	tests/unit/fake-vsock-driver.c tests/unit/fake-vsock-driver.h
tests_unit_test_vsock_data_SOURCES = tests/unit/test-vsock-data.c $(vsock_fixture)
tests_unit_test_vsock_data_LDADD = $(virtio_test_ldadd)
tests_unit_test_vsock_ends_SOURCES = tests/unit/test-vsock-ends.c $(vsock_fixture)
tests_unit_test_vsock_ends_LDADD = $(virtio_test_ldadd)
tests_unit_test_vsock_interrupts_SOURCES = tests/unit/test-vsock-interrupts.c \
	tests/unit/fake-queue.h
tests_unit_test_vsock_interrupts_LDADD = $(virtio_test_ldadd)
tests_unit_test_vsock_stream_SOURCES = tests/unit/test-vsock-stream.c
tests_unit_test_vsock_stream_LDADD = $(virtio_test_ldadd)
endif
