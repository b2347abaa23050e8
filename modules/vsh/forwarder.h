/* SPDX-License-Identifier: MIT */
/* The host's end of forwardings: one loop that leads streams between host and guest. */
#ifndef VSH_FORWARDER_H
#define VSH_FORWARDER_H

#include <stdbool.h>
#include <stddef.h>

#include <crosh/error.h>

#include "modules/vsh/endpoint.h"
#include "lib/streams/stream-client.h"

#define FORWARDER_RULES_MAX   64
#define FORWARDER_STREAMS_MAX 512

struct forwarder;

/* Told of what happens; each may be NULL. */
struct forwarder_watch {
    /* A rule of the guest's side listens: at is where. */
    void (*remote)(void *data, const Streams__Place *at);
    /* The ports that the guest listens on. */
    void (*ports)(void *data, struct forwarder *forwarder, const Streams__Ports *ports);
    void (*problem)(void *data, const char *message); /* clean text */
    void *data;
};

/* NULL: out of memory. peer and watch stay the caller's and must outlive it. */
struct forwarder *forwarder_new(const struct stream_peer *peer,
                                const struct forwarder_watch *watch);
void forwarder_free(struct forwarder *forwarder);

enum forwarder_kind { FORWARDER_LOCAL, FORWARDER_DYNAMIC, FORWARDER_REMOTE };

/* Adds a rule and begins to listen. Its number, or negative with the reason. */
int forwarder_add(struct forwarder *forwarder, enum forwarder_kind kind,
                  const struct forward_rule *rule, struct crosh_error *err);
/* Ends a rule; what is connected by it goes on. */
void forwarder_remove(struct forwarder *forwarder, int number);

/*
 * Leads streams until stop_fd is readable (0), or the VM's stream service is gone
 * (CROSH_ELOST). Watches the guest's ports all the while, by which it notices its end.
 */
int forwarder_run(struct forwarder *forwarder, int stop_fd, struct crosh_error *err);

#endif
