/* SPDX-License-Identifier: MIT */
/* The messages of the vhost-user protocol, and their framing on a unix socket. */
#ifndef KVM_VIRTIO_VHOST_USER_MESSAGE_H
#define KVM_VIRTIO_VHOST_USER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/* Requests that we know; the numbers are those of the protocol. */
enum vhost_user_request {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_RESET_OWNER = 4,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_GET_CONFIG = 24,
    VHOST_USER_SET_CONFIG = 25,
    VHOST_USER_REQUEST_COUNT,
};

/* Bits of the header's flags. */
#define VHOST_USER_VERSION_MASK 3u
#define VHOST_USER_VERSION      1u
#define VHOST_USER_REPLY        (1u << 2)
#define VHOST_USER_NEED_REPLY   (1u << 3)

#define VHOST_USER_F_PROTOCOL_FEATURES 30 /* among the device's features */
/* Protocol features, bit numbers. */
#define VHOST_USER_PROTOCOL_F_MQ        0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_CONFIG    9

/* Payload of the KICK, CALL and ERR messages. */
#define VHOST_USER_VRING_INDEX_MASK 0xffu
#define VHOST_USER_VRING_NO_FD      (1u << 8)

#define VHOST_USER_MAX_REGIONS 8
#define VHOST_USER_CONFIG_MAX  256u
#define VHOST_USER_MAX_FDS     VHOST_USER_MAX_REGIONS

struct vhost_user_vring_state {
    uint32_t index, num;
};

struct vhost_user_vring_addr {
    uint32_t index, flags;
    uint64_t desc_user, used_user, avail_user, log;
};

struct vhost_user_region {
    uint64_t gpa, size, user_addr, mmap_offset;
};

struct vhost_user_mem_table {
    uint32_t count, padding;
    struct vhost_user_region region[VHOST_USER_MAX_REGIONS];
};

struct vhost_user_config {
    uint32_t offset, size, flags;
    uint8_t data[VHOST_USER_CONFIG_MAX];
};

union vhost_user_payload {
    uint64_t u64;
    struct vhost_user_vring_state state;
    struct vhost_user_vring_addr addr;
    struct vhost_user_mem_table table;
    struct vhost_user_config config;
};

/* As on the wire, in the host's byte order: the protocol never leaves the machine. */
struct vhost_user_header {
    uint32_t request, flags, size;
};

/* Collects one message at a time, and owns the descriptors that came with it. */
struct vhost_user_reader {
    struct vhost_user_header header;
    union vhost_user_payload payload;
    size_t used; /* bytes of header and payload that have come */
    size_t fd_count;
    int fd[VHOST_USER_MAX_FDS]; /* -1 once taken by vhost_user_take_fd() */
};

void vhost_user_reader_init(struct vhost_user_reader *reader);
/* Closes descriptors that nobody took and makes room for the next message. */
void vhost_user_reader_clear(struct vhost_user_reader *reader);
/*
 * Reads from the non-blocking socket fd. 1: a message is complete; 0: not yet;
 * -ECONNRESET: the other end is gone; -EPROTO: bad version, size or descriptors;
 * other negative errno.
 */
int vhost_user_read(struct vhost_user_reader *reader, int fd);
/* The message's descriptor number i, now the caller's; -1 if there is none. */
int vhost_user_take_fd(struct vhost_user_reader *reader, unsigned int i);
/*
 * Sends a message with fd_count (up to VHOST_USER_MAX_FDS) descriptors, without ever
 * waiting. 0 or negative errno.
 */
int vhost_user_send(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
                    const int *fds, size_t fd_count);
/* Sends a reply. 0 or negative errno. */
int vhost_user_reply(int fd, uint32_t request, const void *payload, uint32_t size);

#endif
