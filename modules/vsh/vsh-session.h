/* SPDX-License-Identifier: MIT */
/* The client's side of a vsh session: from the request to the remote exit status. */
#ifndef VSH_SESSION_H
#define VSH_SESSION_H

#include <stdbool.h>

#include <crosh/error.h>

#include "lib/wire/vsh.pb-c.h"

struct vsh_session_options {
    int socket; /* connected; stays the caller's */
    int stdin_fd;
    int stdout_fd;
    int stderr_fd;
    bool is_raw; /* stdin is a terminal to be put into raw mode, with escapes */
    int escape;  /* the escape character, or VSH_ESCAPE_OFF */
    const Vsh__SetupConnectionRequest *request;
};

/*
 * Runs a session to its end. The remote exit status (127 for a command that is not
 * there, 126 for one that cannot be executed, and the reason on stderr_fd); or
 * negative: CROSH_ELOST when the stream broke, -EREMOTEIO when the other end
 * refused, -EIO when the output could not be written, -EINTR. The terminal and the signals are as
 * before when it returns.
 */
int vsh_session_run(const struct vsh_session_options *options, struct crosh_error *err);

#endif
