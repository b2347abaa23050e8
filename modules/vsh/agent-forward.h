/* SPDX-License-Identifier: MIT */
/* This host's ssh agent for the time of a session. */
#ifndef VSH_AGENT_FORWARD_H
#define VSH_AGENT_FORWARD_H

#include <sys/types.h>

#include <crosh/error.h>

#include "lib/streams/stream-client.h"

struct agent_forward {
    char path[108]; /* of the socket in the guest */
    pid_t pid;      /* of the process that leads its streams here; 0: none */
    int life;       /* as long as this is open, it runs */
};

/*
 * Makes a socket in the guest whose streams lead to $SSH_AUTH_SOCK here, served by a
 * process of its own. 0 or negative.
 */
int agent_forward_start(struct agent_forward *forward, const struct stream_peer *peer,
                        struct crosh_error *err);
/* Ends it; nothing when it was not started. */
void agent_forward_stop(struct agent_forward *forward);

#endif
