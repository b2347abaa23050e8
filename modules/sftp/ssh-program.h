/* SPDX-License-Identifier: MIT */
/* Sessions by the ssh(1) that is installed, where ssh_config asks for what libssh cannot do. */
#ifndef SFTP_SSH_PROGRAM_H
#define SFTP_SSH_PROGRAM_H

#include <stdbool.h>

#include "modules/sftp/ssh.h"

/*
 * Whether ssh(1) is there and its settings for the host have one of these: IdentitiesOnly,
 * HostKeyAlias, certificates of users' or hosts' keys, keys on a token. All else is libssh's,
 * which is faster. 1, 0, or negative: it does not say so in time.
 */
int sftp_ssh_program_is_needed(const struct sftp_ssh_options *options, struct crosh_error *err);

/* As sftp_ssh_open(). It asks on the terminal by itself. */
struct sftp_link *sftp_ssh_program_open(const struct sftp_ssh_options *options,
                                        struct crosh_error *err);

#endif
