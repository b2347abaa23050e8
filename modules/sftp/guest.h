/* SPDX-License-Identifier: MIT */
/* SFTP to our own guests: a server started by the agent, on a stream without encryption. */
#ifndef SFTP_GUEST_H
#define SFTP_GUEST_H

#include <crosh/error.h>

#include "modules/sftp/link.h"

/*
 * Starts the SFTP server of the VM, or of a container in it (NULL: the VM itself), as a user
 * (NULL: in a container the one called as ours is, else the
 * agent's default) and connects with it; or a command of /bin/sh instead. NULL with err.
 * The stream never leaves this machine, so there is nothing to encrypt and nobody to be mistaken
 * for.
 */
struct sftp_link *sftp_guest_open(const char *vm, const char *container, const char *user,
                                  const char *command, struct crosh_error *err);

/*
 * The same command as a plain session of the terminal protocol, which it does not begin to talk on:
 * a blocking stream, or negative with err. NULL: an SFTP server.
 */
int sftp_guest_start(const char *vm, const char *container, const char *user, const char *command,
                     struct crosh_error *err);

#endif
