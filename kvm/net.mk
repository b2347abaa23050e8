# SPDX-License-Identifier: MIT
# The network card and its host ends.
kvm_libkvm_la_SOURCES += \
	kvm/net/end.h \
	kvm/net/features.h \
	kvm/net/nic.c kvm/net/nic.h \
	kvm/net/stream.c \
	kvm/net/tap.c \
	kvm/virtio/net.c kvm/virtio/net.h kvm/virtio/net-internal.h \
	kvm/virtio/net-pair.c
