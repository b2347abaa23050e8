/* SPDX-License-Identifier: MIT */
/* Where files are: TARGET[:PATH], a guest of ours or a host of the network. */
#ifndef SFTP_WHERE_H
#define SFTP_WHERE_H

#include <crosh/error.h>

#include "modules/sftp/client.h"

/*
 * VM[:PATH] and VM/CONTAINER[:PATH] are guests, reached without any network; a name that no
 * VM has is a container's in "termina";
 * [USER@]HOST[:PORT][:PATH] with the "@", and sftp://[USER@]HOST[:PORT][/PATH], are hosts.
 */
struct sftp_where {
    char *vm;        /* NULL: a host */
    char *container; /* NULL: the VM itself */
    char *user;      /* NULL: the default one */
    char *host;
    unsigned int port; /* 0: the default one */
    char *path;        /* "": where a session begins */
    char *name;        /* as messages and the list have it, without the path */
    bool is_by_ssh;    /* a guest's, too; false after parsing */
};

/* 0, or CROSH_EUSAGE. To be released with sftp_where_fini() in any case. */
int sftp_where_parse(struct sftp_where *where, const char *text, struct crosh_error *err);
void sftp_where_fini(struct sftp_where *where);

struct sftp_open_options {
    int timeout_ms; /* for each step, and for each answer later */
    bool may_ask;   /* for passwords, on the terminal */
};

/* Reaches the server there and begins SFTP; NULL with err. */
struct sftp_client *sftp_where_open(const struct sftp_where *where,
                                    const struct sftp_open_options *options,
                                    struct crosh_error *err);

/*
 * Runs a command of /bin/sh there, without single quotes in it, and connects with it: its
 * standard input and output are the link. NULL with err.
 */
struct sftp_link *sftp_where_run(const struct sftp_where *where,
                                 const struct sftp_open_options *options, const char *command,
                                 struct crosh_error *err);

#endif
