/* SPDX-License-Identifier: MIT */
/* The server of a mount: one connection after another, and what to do while there is none. */
#ifndef SFTP_FS_REMOTE_H
#define SFTP_FS_REMOTE_H

#include <stdint.h>

#include <crosh/error.h>

#include "modules/sftp/client.h"
#include "modules/sftp/where.h"

struct remote;

/* One connection. Who has it may use client until it is put back; it may be dead. */
struct connection {
    struct sftp_client *client;
    uint64_t number; /* 1 for the first; handles belong to one connection */
    unsigned int users;
    struct connection *next;
};

enum remote_state { REMOTE_CONNECTED, REMOTE_LOST };

struct remote_status {
    enum remote_state state;
    uint64_t connections;        /* how many there have been */
    char reason[256];            /* why there is none; empty otherwise */
    struct sftp_traffic traffic; /* of all connections; the rates of those that there are */
};

/*
 * Takes over the first connection, whose server it reaches again (without asking for
 * anything) when that is lost. timeout_ms: how long an operation waits for that.
 * where must outlive it. All functions are thread-safe.
 */
struct remote *remote_new(const struct sftp_where *where, struct sftp_client *client,
                          int timeout_ms, struct crosh_error *err);
/* When nobody waits for an answer any more; other requests under way end. */
void remote_free(struct remote *remote);

/* A server is far away from that round trip on, in microseconds. */
#define REMOTE_FAR_US 4000

/* The connection, waited for; NULL when there is none in time. To be put back. */
struct connection *remote_get(struct remote *remote);
/* The same without waiting. */
struct connection *remote_try(struct remote *remote);
/*
 * A second connection beside that, for those who have more to send than one takes. It is made
 * when it is asked for first, or in advance to a server that is far away; meanwhile, and after
 * it was lost, there is none: NULL.
 */
struct connection *remote_try_second(struct remote *remote);
void remote_put(struct remote *remote, struct connection *connection);
/* Another use by one who has it; to be put back as well. */
void remote_hold(struct remote *remote, struct connection *connection);

/* Whether the error means that the connection is lost, not that the server refused. */
bool remote_is_lost(int error);

void remote_get_status(struct remote *remote, struct remote_status *status);

#endif
