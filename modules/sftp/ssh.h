/* SPDX-License-Identifier: MIT */
/* SSH sessions for SFTP: reaching a server, knowing it, being let in. */
#ifndef SFTP_SSH_H
#define SFTP_SSH_H

#include <stdbool.h>

#include <crosh/error.h>

#include "modules/sftp/link.h"

struct sftp_ssh_options {
    const char *host;    /* as the user wrote it: a name in ssh_config, too */
    const char *user;    /* NULL: ssh_config's, else the user's own */
    unsigned int port;   /* 0: ssh_config's, else 22 */
    int timeout_ms;      /* for each step */
    bool may_ask;        /* passwords and passphrases may be asked for on the terminal */
    const char *command; /* to be run and talked to; NULL: SFTP */
};

/*
 * Connects as ssh_config(5) says, checks the server's key against known_hosts, logs in (by
 * agent, keys or password) and starts the SFTP subsystem, or the command. NULL with err: -EACCES
 * when not let in, and for a server that is unknown, or another than it was.
 */
struct sftp_link *sftp_ssh_open(const struct sftp_ssh_options *options, struct crosh_error *err);

/* An SSH server that this process has had started, and what both know of each other. */
struct sftp_ssh_own {
    int fd;                            /* connected with it; taken over, also on failure */
    const char *user;                  /* whose session it is */
    struct ssh_key_struct *client_key; /* which lets us in */
    struct ssh_key_struct *server_key; /* the one that it must show */
    int timeout_ms;
    const char *command; /* as above */
};

/* A session there: no settings, files, agents or questions of the user's. NULL with err. */
struct sftp_link *sftp_ssh_open_own(const struct sftp_ssh_own *options, struct crosh_error *err);

#endif
