/* SPDX-License-Identifier: MIT */
/* Signals of the client during a session, read from a descriptor instead of handled. */
#ifndef VSH_SIGNALS_H
#define VSH_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include <crosh/error.h>

struct vsh_signals {
    int fd;
    sigset_t saved;
    bool seen[NSIG]; /* to be raised again for the shell, which has not seen them */
};

/*
 * Blocks the signals that a session takes for itself; those that are ignored
 * (by nohup, say) stay ignored. 0 or negative.
 */
int vsh_signals_init(struct vsh_signals *signals, struct crosh_error *err);

/* The next signal that has come, or 0. */
int vsh_signals_next(struct vsh_signals *signals);

/* Unblocks, and passes on to the shell what it should know of. */
void vsh_signals_fini(struct vsh_signals *signals);

#endif
