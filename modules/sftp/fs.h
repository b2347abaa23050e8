/* SPDX-License-Identifier: MIT */
/* A mount: what its parts share. */
#ifndef SFTP_FS_H
#define SFTP_FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "modules/sftp/fs-ahead.h"
#include "modules/sftp/fs-alone.h"
#include "modules/sftp/fs-dir.h"
#include "modules/sftp/fs-node.h"
#include "modules/sftp/fs-remote.h"

struct fs_options {
    int cache_ms;   /* how long attributes, names and listings are believed */
    int timeout_ms; /* how long an operation waits for the server */
    bool is_read_only;
};

struct fs {
    struct fs_options options;
    struct remote *remote;
    char *prefix; /* the mounted directory's path there, without a "/" at the end */
    struct nodes nodes;
    struct dirs dirs;
    struct aheads aheads;
    struct alones alones;
    /* The user there whose files are shown as those of the user here. */
    uint32_t remote_uid, remote_gid;
    uid_t uid;
    gid_t gid;
    atomic_uint open_files;
    /* Names, attributes and listings that the kernel asked for, and how many of them were known. */
    atomic_uint_fast64_t cache_asked, cache_known;
    atomic_uint_fast64_t lost_writes; /* bytes that a program wrote and the server never took */
};

/* Notes that the kernel asked, and whether the server had to be. */
static inline void fs_count_asked(struct fs *fs, bool is_known)
{
    atomic_fetch_add_explicit(&fs->cache_asked, 1, memory_order_relaxed);
    if (is_known)
        atomic_fetch_add_explicit(&fs->cache_known, 1, memory_order_relaxed);
}

#endif
