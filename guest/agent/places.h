/* SPDX-License-Identifier: MIT */
/* Places of the guest that streams lead to or come from: TCP ports and unix sockets. */
#ifndef AGENT_PLACES_H
#define AGENT_PLACES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <crosh/error.h>

#include "lib/wire/streams.pb-c.h"

#define PLACE_ADDRESSES_MAX 4

/* The addresses of a place, to be tried in order. */
struct place {
    struct {
        union {
            struct sockaddr any;
            struct sockaddr_in in;
            struct sockaddr_in6 in6;
            struct sockaddr_un un;
        };
        socklen_t size;
    } addresses[PLACE_ADDRESSES_MAX];
    size_t count;
    bool is_own; /* they are addresses of the guest's own, or there is nothing to connect to */
};

/*
 * Finds the addresses of a place without waiting for anybody. 0; -EINPROGRESS when it
 * has a name that must be looked up; negative with the reason.
 */
int place_find(struct place *place, const Streams__Place *where, struct crosh_error *err);

/*
 * Starts to look a name up by getent(1), since a static program has no resolver of the
 * guest's configuration. A descriptor to be read by place_lookup_read(), or negative.
 */
int place_lookup(const char *name, struct crosh_error *err);
/* The end of a lookup's output, which is text of size bytes: its addresses with that port. */
int place_lookup_end(struct place *place, const char *text, size_t size, unsigned int port,
                     struct crosh_error *err);

/* Begins to connect to one of the addresses: a non-blocking socket, or negative errno. */
int place_connect(const struct place *place, size_t index);

/*
 * Listens at a place: a non-blocking socket, or negative. *at is then where it is, on the
 * heap, in the form of the protocol. Unix sockets belong to uid and gid, mode 0600.
 */
int place_listen(const Streams__Place *where, uid_t uid, gid_t gid, Streams__Place **at,
                 struct crosh_error *err);

#endif
