/* SPDX-License-Identifier: MIT */
/* What the parts of the vsock device share: the device, and its connections. */
#ifndef KVM_VIRTIO_VSOCK_INTERNAL_H
#define KVM_VIRTIO_VSOCK_INTERNAL_H

#include <sys/queue.h>

#include "kvm/virtio/vsock-stream.h"
#include "kvm/virtio/vsock.h"

#define VSOCK_HASH_SIZE     1024u
#define VSOCK_MAX_LISTENERS 16u
/* Refusals of packets that belong to no stream, waiting for room in the rx queue. */
#define VSOCK_MAX_REFUSALS 256u
/* Largest payload read at once for one stream; also its turn among the others. */
#define VSOCK_TURN_BYTES     (64u * 1024)
#define VSOCK_TURN_BYTES_MIN (8u * 1024)
#define VSOCK_TURN_CHAINS    17u /* 64 KiB in Linux's buffers of 4 KiB, with headers within */

enum {
    VSOCK_QUEUE_RX, /* to the guest */
    VSOCK_QUEUE_TX, /* from the guest */
    VSOCK_QUEUE_EVENT,
    VSOCK_QUEUE_COUNT,
};

struct vsock_device;

/* A stream and the host socket it is tied to. */
struct vsock_conn {
    struct vsock_stream stream;
    struct vsock_device *vsock;
    LIST_ENTRY(vsock_conn) hash;     /* while is_hashed */
    TAILQ_ENTRY(vsock_conn) all;     /* in vsock->conns, or in vsock->dead */
    TAILQ_ENTRY(vsock_conn) ready;   /* while is_ready */
    TAILQ_ENTRY(vsock_conn) waiting; /* while deadline != 0 */
    int64_t deadline;                /* CLOCK_MONOTONIC, ms; 0: none */
    bool is_hashed, is_ready, is_half_open, is_dead;

    int fd;              /* -1: not connected yet, or closed */
    uint32_t turn_bytes; /* what its next turn may read */
    struct event_source *source;
    bool readable;     /* worth a read: epoll said so, and no read has come up short since */
    bool host_eof;     /* the host sends no more, or nobody wants it */
    bool host_gone;    /* nobody takes what the guest sends */
    bool hung_up;      /* EPOLLHUP was seen: both directions are over on the socket's side */
    bool write_closed; /* shutdown(SHUT_WR) done */

    /* What the host has not taken yet: a ring of stream.buf_alloc bytes, made when needed. */
    uint8_t *out;
    uint32_t out_head, out_used;
};

TAILQ_HEAD(vsock_conn_list, vsock_conn);
LIST_HEAD(vsock_conn_bucket, vsock_conn);

struct vsock_listener {
    uint32_t port;
    vsock_accept_fn *accept;
    void *opaque;
};

/* A client of the unix socket that has not said CONNECT yet (vsock-host.c). */
struct vsock_client;
TAILQ_HEAD(vsock_client_list, vsock_client);

struct vsock_device {
    struct virtio_device dev;
    uint64_t guest_cid;
    unsigned int max_connections;
    uint32_t buffer_bytes;
    unsigned int deadline_ms;

    /* vsock.c: queues and turns */
    struct vsock_packet refusal[VSOCK_MAX_REFUSALS];
    unsigned int refusal_head, refusal_count;
    bool tx_paused;       /* no room for another refusal */
    bool reset_event_due; /* TRANSPORT_RESET waits for a buffer */
    struct event_source *resume_timer;
    bool is_telling; /* tell_timer is set: the driver is owed an interrupt of the tx queue */
    struct event_source *tell_timer;
    struct virtqueue_chain chain[VSOCK_TURN_CHAINS];

    /* vsock-conn.c */
    struct vsock_conn_list conns;
    struct vsock_conn_list ready;   /* have something for the guest: served in turns */
    struct vsock_conn_list waiting; /* have a deadline; the earliest first */
    struct vsock_conn_list dead;    /* to be freed when nobody can hold them any more */
    unsigned int conn_count;
    unsigned int half_open;
    struct event_source *deadline_timer;
    struct vsock_conn_bucket bucket[VSOCK_HASH_SIZE];

    /* vsock-host.c */
    char *socket_path;
    int listen_fd;
    struct event_source *listen_source;
    struct vsock_client_list clients; /* the earliest deadline first */
    int64_t retry_at;                 /* something failed for the moment; 0: nothing */
    uint32_t next_port;
    struct vsock_listener listener[VSOCK_MAX_LISTENERS];
    unsigned int listener_count;
};

/*
 * vsock-conn.c: connections. Functions may end connections, which stay valid
 * memory until vsock_conn_reap().
 */

/* NULL when there are too many or memory lacks. The stream is to be initialised next. */
struct vsock_conn *vsock_conn_new(struct vsock_device *vsock);
/* After the stream's initialisation: makes it known by its ports. */
void vsock_conn_publish(struct vsock_conn *conn);
struct vsock_conn *vsock_conn_find(struct vsock_device *vsock, uint32_t guest_port,
                                   uint32_t host_port);
/* Ties the connection to a non-blocking socket, owned from here on, also on failure. */
int vsock_conn_attach(struct vsock_conn *conn, int fd);
void vsock_conn_set_half_open(struct vsock_conn *conn, bool half_open);
void vsock_conn_set_deadline(struct vsock_conn *conn, bool on);
/* Handles what a packet made due; offset is where payload begins in chain. */
void vsock_conn_receive(struct vsock_conn *conn, const struct vsock_packet *packet,
                        const struct virtqueue_chain *chain, size_t offset);
/* Puts it in the ready list if it has something for the guest, and ends what is over. */
void vsock_conn_update(struct vsock_conn *conn);
/* Reads the host's bytes; see readv(2). Notices the end. */
ssize_t vsock_conn_read(struct vsock_conn *conn, const struct iovec *iov, unsigned int count);
/* The guest is gone: passes on what it still can, keeps nothing else. */
void vsock_conn_abandon(struct vsock_conn *conn);
/* Closes the host's end at once. */
void vsock_conn_close(struct vsock_conn *conn);
/* Ends connections whose deadline has passed. */
void vsock_conn_expire(struct vsock_device *vsock, int64_t now);
void vsock_conn_reap(struct vsock_device *vsock);

/* vsock-host.c: the host's ends */
int vsock_host_init(struct vsock_device *vsock, const char *path, struct crosh_error *err);
void vsock_host_fini(struct vsock_device *vsock);
/* Closes clients in the handshake. */
void vsock_host_stop(struct vsock_device *vsock);
/* Takes a REQUEST of the guest; false: refuse it. */
bool vsock_host_open(struct vsock_device *vsock, const struct vsock_packet *request);
/* The guest answered a client's connection: tells the client. */
void vsock_host_opened(struct vsock_conn *conn);
/* Half-open connections became fewer: lets clients in again. */
void vsock_host_resume(struct vsock_device *vsock);
/* When vsock_host_expire() has something to do next; 0: never. */
int64_t vsock_host_next(const struct vsock_device *vsock);
/* Ends clients that take too long, tries again what failed for the moment. */
void vsock_host_expire(struct vsock_device *vsock, int64_t now);

/* vsock.c: turns */

/* Serves those that are ready while the guest has buffers. */
void vsock_pump(struct vsock_device *vsock);
/* Sets the timer for the earliest deadline. */
void vsock_arm_deadline(struct vsock_device *vsock);

#endif
