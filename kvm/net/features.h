/* SPDX-License-Identifier: MIT */
/* Numbers of virtio-net that are newer than the kernel's headers may be (virtio 1.2, 5.1.3). */
#ifndef KVM_NET_FEATURES_H
#define KVM_NET_FEATURES_H

#include <linux/virtio_net.h>
#include <stdint.h>

#define NET_FEATURE(bit) (UINT64_C(1) << (bit))

#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* What can be switched while the device runs (5.1.6.5.6.1). */
#define NET_GUEST_OFFLOADS                                                                         \
    (NET_FEATURE(VIRTIO_NET_F_GUEST_CSUM) | NET_FEATURE(VIRTIO_NET_F_GUEST_TSO4) |                 \
     NET_FEATURE(VIRTIO_NET_F_GUEST_TSO6) | NET_FEATURE(VIRTIO_NET_F_GUEST_ECN) |                  \
     NET_FEATURE(VIRTIO_NET_F_GUEST_USO4) | NET_FEATURE(VIRTIO_NET_F_GUEST_USO6))

#endif
