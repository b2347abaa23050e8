# SPDX-License-Identifier: MIT
# Virtio: queues, the devices, and the vhost-user transport.
kvm_libkvm_la_SOURCES += \
	kvm/virtio/balloon.c kvm/virtio/balloon.h \
	kvm/virtio/button.c kvm/virtio/button.h \
	kvm/virtio/console.c kvm/virtio/console.h kvm/virtio/console-internal.h \
	kvm/virtio/console-control.c \
	kvm/virtio/device.c kvm/virtio/device.h \
	kvm/virtio/fs.c kvm/virtio/fs.h \
	kvm/virtio/rng.c kvm/virtio/rng.h \
	kvm/virtio/vhost-vsock.c kvm/virtio/vhost-vsock.h \
	kvm/virtio/vhost-user.c kvm/virtio/vhost-user.h \
	kvm/virtio/vhost-user-frontend.c kvm/virtio/vhost-user-frontend.h \
	kvm/virtio/vhost-user-link.c kvm/virtio/vhost-user-link.h \
	kvm/virtio/vhost-user-message.c kvm/virtio/vhost-user-message.h \
	kvm/virtio/virtqueue.c kvm/virtio/virtqueue.h \
	kvm/virtio/virtqueue-adopt.c kvm/virtio/virtqueue-adopt.h \
	kvm/virtio/vsock.c kvm/virtio/vsock.h kvm/virtio/vsock-internal.h \
	kvm/virtio/vsock-conn.c \
	kvm/virtio/vsock-event.c kvm/virtio/vsock-event.h \
	kvm/virtio/vsock-host.c \
	kvm/virtio/vsock-line.c kvm/virtio/vsock-line.h \
	kvm/virtio/vsock-packet.h \
	kvm/virtio/vsock-stream.c kvm/virtio/vsock-stream.h
