/* SPDX-License-Identifier: MIT */
/* SFTP by SSH in a guest: an sshd for one session, started there with keys made for it. */
#ifndef SFTP_GUEST_SSH_H
#define SFTP_GUEST_SSH_H

#include <crosh/error.h>

#include "modules/sftp/link.h"

/*
 * As sftp_guest_open(), by an OpenSSH server of the guest's or container's. timeout_ms: for each
 * step. NULL with err; -EOPNOTSUPP: there is no sshd.
 */
struct sftp_link *sftp_guest_ssh_open(const char *vm, const char *container, const char *user,
                                      const char *command, int timeout_ms, struct crosh_error *err);

#endif
