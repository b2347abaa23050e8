/* SPDX-License-Identifier: MIT */
/* What the keeper needs of the host's network while it lives in a namespace of its own. */
#ifndef NET_OUTSIDE_H
#define NET_OUTSIDE_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <crosh/error.h>

struct outside;

/* A socket to be made: non-blocking, close-on-exec. */
struct outside_socket {
    int family, type, protocol;
    bool is_listening;
    socklen_t bind_size, connect_size; /* 0: not to be done */
    struct sockaddr_storage bind, connect;
};

/*
 * The way to the network that the process is in now. has_helper: a process is forked
 * that stays there, for when this one leaves; it ends with this one.
 * NULL with err filled.
 */
struct outside *outside_new(bool has_helper, struct crosh_error *err);
void outside_free(struct outside *outside);

/* A descriptor (its connection may be under way), or negative with err filled. */
int outside_socket(struct outside *outside, const struct outside_socket *spec,
                   struct crosh_error *err);

/*
 * Runs a program there, which ends when we do; its output goes where ours goes. Up to 15 words,
 * 511 bytes in all. Needs the helper. Its process id, or negative with err filled.
 */
pid_t outside_spawn(struct outside *outside, const char *const *argv, struct crosh_error *err);

/* Whether a program of outside_spawn() still runs. */
bool outside_is_running(struct outside *outside, pid_t pid);

/*
 * No program is run there any more, and the helper confines itself to its sockets: who takes the
 * keeper over has those alone. 0, or negative with err filled.
 */
int outside_seal(struct outside *outside, struct crosh_error *err);

#endif
