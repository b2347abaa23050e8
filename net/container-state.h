/* SPDX-License-Identifier: MIT */
/* What a VM's LXD says of a container: whether it is there, and runs. */
#ifndef NET_CONTAINER_STATE_H
#define NET_CONTAINER_STATE_H

#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

enum container_state {
    CONTAINER_UNKNOWN, /* LXD did not say */
    CONTAINER_NO_LXD,  /* nothing listens on LXD's socket */
    CONTAINER_NONE,    /* LXD has none of that name */
    CONTAINER_STOPPED, /* it has no process */
    CONTAINER_RUNNING, /* or on its way to that, or frozen: it may have addresses */
    CONTAINER_CUT_OFF, /* the same, and the guest has no bridge that gives addresses */
};

/*
 * Asks on a stream to LXD's socket, which it uses up, until the deadline. CONTAINER_UNKNOWN when
 * there is no answer that makes sense. The name is judged here.
 */
enum container_state container_state_ask(int fd, const char *name, int64_t deadline);

/* The same of a whole answer of HTTP 1.0: for tests. */
enum container_state container_state_parse(const char *answer, size_t size);

/* Fills err, for a person, with why a container of a VM has no address; returns -EHOSTUNREACH. */
int container_state_explain(enum container_state state, const char *vm, const char *name,
                            struct crosh_error *err);

#endif
