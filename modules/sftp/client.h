/* SPDX-License-Identifier: MIT */
/* SFTP requests to one server, many at once. */
#ifndef SFTP_CLIENT_H
#define SFTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/error.h>

#include "modules/sftp/link.h"
#include "lib/wire/sftp-packet.h"

/* Requests under way at most; a sender waits for room beyond that. */
#define SFTP_REQUESTS_MAX 1024

/* What the server can do beside version 3 (its extensions, by OpenSSH's names). */
enum {
    SFTP_CAN_POSIX_RENAME = 1 << 0, /* posix-rename@openssh.com 1 */
    SFTP_CAN_STATVFS = 1 << 1,      /* statvfs@openssh.com 2 */
    SFTP_CAN_HARDLINK = 1 << 2,     /* hardlink@openssh.com 1 */
    SFTP_CAN_FSYNC = 1 << 3,        /* fsync@openssh.com 1 */
    SFTP_CAN_LSETSTAT = 1 << 4,     /* lsetstat@openssh.com 1 */
    SFTP_CAN_LIMITS = 1 << 5,       /* limits@openssh.com 1 */
};

/* How a request ended. */
struct sftp_reply {
    int error;               /* 0, or -ECONNRESET, -ETIMEDOUT, -EBADMSG: there is no answer */
    enum sftp_type type;     /* of the answer */
    struct sftp_reader body; /* behind the id; gone when the callback returns */
    void *copy;              /* sftp_call()'s alone: what body reads from */
};

/* Called once for each request, on the client's own thread: must not wait for anything. */
typedef void sftp_done_fn(void *opaque, const struct sftp_reply *reply);

/*
 * The client has a thread that reads the answers. Its functions may be called by any thread
 * but, where they wait, that one.
 */
struct sftp_client;

/*
 * Begins the protocol on the link, which it owns from now on, also when it fails, and asks
 * for the limits. timeout_ms: how long the server may be silent while it owes an answer,
 * before the client is dead. NULL: with err.
 */
struct sftp_client *sftp_client_new(struct sftp_link *link, int timeout_ms,
                                    struct crosh_error *err);
/* Ends the thread; requests under way end with -ECONNRESET. Accepts NULL. */
void sftp_client_free(struct sftp_client *client);

/*
 * Declares the client dead: what is under way ends with -ECANCELED at once, whatever the
 * server does.
 */
void sftp_client_abort(struct sftp_client *client);
/* 0, or why the client is dead; a dead one never comes alive again. */
int sftp_client_state(struct sftp_client *client);
/* A descriptor that becomes readable when the client is dead; the client's. */
int sftp_client_dead_fd(const struct sftp_client *client);

/* SFTP_CAN_* */
unsigned int sftp_client_can(const struct sftp_client *client);
/* The most bytes that one SFTP_READ or SFTP_WRITE should carry. */
uint32_t sftp_client_read_max(const struct sftp_client *client);
uint32_t sftp_client_write_max(const struct sftp_client *client);
/* The smallest round trip seen so far, in microseconds. */
int64_t sftp_client_round_trip_us(struct sftp_client *client);
/* How many bytes of one file are worth having under way, by the round trip: 512 KiB to
 * 16 MiB. */
uint32_t sftp_client_window(struct sftp_client *client);
/* Bytes of packets that went and came: so far, and a second (see rate.h). */
struct sftp_traffic {
    uint64_t sent, received;
    uint64_t sent_rate, received_rate;
};

/* Adds the client's to what is there. */
void sftp_client_add_traffic(struct sftp_client *client, struct sftp_traffic *traffic);

/*
 * Queues a request and frees the packet. data (may be NULL) goes behind it and stays as it is
 * until done is called, which it is in any case, also when there is no memory or no server. The
 * request is sent at the next flush.
 */
void sftp_client_send(struct sftp_client *client, struct sftp_packet *packet, const void *data,
                      size_t size, sftp_done_fn *done, void *opaque);
/* Sends what is queued, as far as the link takes it; the thread sends the rest. */
void sftp_client_flush(struct sftp_client *client);

/*
 * Sends a request and waits for its answer, of which a copy is in *reply: its body is to be
 * freed by sftp_call_free(). 0, or reply->error.
 */
int sftp_call(struct sftp_client *client, struct sftp_packet *packet, struct sftp_reply *reply);
/* Two requests in one round trip. A server does the second behind the first. */
void sftp_call_two(struct sftp_client *const clients[2], struct sftp_packet packets[2],
                   struct sftp_reply replies[2]);
void sftp_call_free(struct sftp_reply *reply);

#endif
