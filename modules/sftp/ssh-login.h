/* SPDX-License-Identifier: MIT */
/* Knowing an SSH server, and being let in by it. */
#ifndef SFTP_SSH_LOGIN_H
#define SFTP_SSH_LOGIN_H

#include <stdbool.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include <crosh/error.h>

#include "modules/sftp/ssh.h"

/* As long as the session lasts. */
struct sftp_ssh_login {
    struct ssh_callbacks_struct callbacks;
    ssh_session session;
    bool is_given_up; /* a question was left without an answer */
};

/* The reason that libssh has, which may quote the server. */
int sftp_ssh_fail(ssh_session session, int code, const char *what, struct crosh_error *err);

/* Looks the key that the server shows up in known_hosts. */
int sftp_ssh_check_key(ssh_session session, const struct sftp_ssh_options *options,
                       struct crosh_error *err);

/* By what the server takes, one after the other or several together. -EINTR: given up. */
int sftp_ssh_log_in(struct sftp_ssh_login *login, const struct sftp_ssh_options *options,
                    struct crosh_error *err);

#endif
