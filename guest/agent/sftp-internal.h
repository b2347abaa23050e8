/* SPDX-License-Identifier: MIT */
/* What the parts of the SFTP server share: a session, its handles, and how requests are answered.
 */
#ifndef AGENT_SFTP_INTERNAL_H
#define AGENT_SFTP_INTERNAL_H

#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "lib/wire/sftp-packet.h"

/* The most that one read or write carries, as at OpenSSH's server. */
#define SFTP_SERVER_DATA_MAX (255u * 1024u)

/* An open file or directory; a free place has neither. */
struct sftp_opened {
    int fd;          /* -1: none */
    DIR *dir;        /* NULL: none */
    uint32_t serial; /* so that the handle of one that was here before is told apart */
};

struct sftp_server {
    struct sftp_packet output; /* answers that have not been sent yet */
    size_t answer;             /* where the one that is being made begins */
    struct sftp_opened *opened;
    size_t opened_count, opened_max;
    uint32_t last_serial;
};

/*
 * Does one request, whose fields the reader has. 0: it is done; 1: it has been answered already;
 * negative errno: it could not be.
 */
typedef int sftp_server_fn(struct sftp_server *server, uint32_t id, struct sftp_reader *request);

/* Makes an answer: begin, fields into server->output, end. Memory that runs out is seen later. */
void sftp_answer_begin(struct sftp_server *server, enum sftp_type type, uint32_t id);
void sftp_answer_end(struct sftp_server *server);
int sftp_answer_attrs(struct sftp_server *server, uint32_t id, const struct stat *st);
int sftp_answer_statvfs(struct sftp_server *server, uint32_t id, const struct statvfs *vfs);

void sftp_attrs_of_stat(struct sftp_attrs *attrs, const struct stat *st);
/* The next field as a path, on the heap; NULL with errno. */
char *sftp_take_path(struct sftp_reader *request);

/* A file (fd -1: none) or directory by its handle's field; the server's. NULL with errno. */
struct sftp_opened *sftp_take_handle(struct sftp_server *server, struct sftp_reader *request);
void sftp_handles_fini(struct sftp_server *server);

/* By handle (sftp-handles.c). */
sftp_server_fn sftp_do_open, sftp_do_close, sftp_do_read, sftp_do_write, sftp_do_fstat,
    sftp_do_fsetstat, sftp_do_opendir, sftp_do_readdir, sftp_do_fsync, sftp_do_fstatvfs;
/* By path (sftp-paths.c). */
sftp_server_fn sftp_do_lstat, sftp_do_stat, sftp_do_setstat, sftp_do_lsetstat, sftp_do_remove,
    sftp_do_mkdir, sftp_do_rmdir, sftp_do_realpath, sftp_do_rename, sftp_do_posix_rename,
    sftp_do_readlink, sftp_do_symlink, sftp_do_hardlink, sftp_do_statvfs;

#endif
