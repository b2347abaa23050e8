/* SPDX-License-Identifier: MIT */
/* The files that the kernel knows of a mount: names, paths, and attributes that are still fresh. */
#ifndef SFTP_FS_NODE_H
#define SFTP_FS_NODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "modules/sftp/calls.h"
#include "modules/sftp/fs-known.h"

/*
 * A file by its place: SFTP 3 tells of no inode numbers. The number that the kernel has for
 * it is its address. Nodes live as long as the kernel counts lookups of them, their
 * children's do, or files of them are open.
 */
struct node {
    struct node *parent; /* counted; NULL: the root, or a name that is gone */
    char *name;
    uint64_t lookups;   /* of the kernel's */
    unsigned int users; /* children and open files */
    struct node *next;  /* in the chain of the table */
    bool is_named;      /* in the table: not removed meanwhile */

    struct sftp_attrs attrs;
    bool is_time_ours;  /* by our clock, as a write has set it */
    bool is_mode_ours;  /* as we have set it, which the server may not have kept */
    struct known known; /* while files of it are open */
    int64_t attrs_until_ms;
    int64_t ours_until_ms;   /* it was made by us: nobody else knows it well before then */
    struct listing *listing; /* of a directory: fs-dir.c's, as are the next six */
    unsigned int misses;     /* names looked up one by one since */
    unsigned int reads;      /* listings of it that are being read */
    int64_t opened_ms;       /* by a reader */
    int64_t settled_ms;      /* it changes, until then at least, more than is noted in a listing */
    struct dirs *holder;     /* counts it among those whose listings are kept; NULL: it is none */
    size_t held_bytes;       /* of its listing, as counted there */
    struct file *files;      /* open: fs-file.c's */
    struct ahead *ahead;     /* what is read of it before it is opened: fs-ahead.c's */
    /* Counts them, and other changes that are seen, so that what was read before is known as old.
     */
    atomic_uint writes;
};

/* All nodes of a mount. One lock for them all: what is done under it is short. */
struct nodes {
    pthread_mutex_t lock;
    struct node root;
    struct node **chain;
    size_t chains, count;
    uint64_t moves_begun, moves_ended; /* names that are changed at the server */
    pthread_cond_t moved;
};

int nodes_init(struct nodes *nodes);
void nodes_fini(struct nodes *nodes);

/* What follows is to be called with the lock, but for nodes_path(). */

/* The child of that name; NULL: not known. */
struct node *nodes_find(struct nodes *nodes, const struct node *parent, const char *name);
/* The same; makes it when it is not known. NULL: no memory. */
struct node *nodes_get(struct nodes *nodes, struct node *parent, const char *name);
/* Forgets the name: another file may come to have it. */
void nodes_unname(struct nodes *nodes, struct node *node);
/* Gives it another; what had that one loses it. */
int nodes_rename(struct nodes *nodes, struct node *node, struct node *parent, const char *name);
/*
 * Around the change of a name there and here, between which a path may lead to nothing or to
 * another file. Without the lock, unlike the rest.
 */
void nodes_begin_move(struct nodes *nodes);
void nodes_end_move(struct nodes *nodes);
/* Waits for those that are under way, with the lock given up meanwhile. */
void nodes_await_moves(struct nodes *nodes);
/* Frees it if nobody needs it. */
void nodes_release(struct nodes *nodes, struct node *node);

/* As the server told them. */
void node_set_attrs(struct node *node, const struct sftp_attrs *attrs, int64_t until_ms);

/*
 * The path of the node, or of a name in it (may be NULL), below the mount's directory prefix; on
 * the heap. NULL: no memory, or the node has no name any more (errno ENOMEM, ESTALE).
 */
char *nodes_path(struct nodes *nodes, const char *prefix, const struct node *node,
                 const char *name);
/* The same, with the lock. */
char *nodes_path_locked(struct nodes *nodes, const char *prefix, const struct node *node,
                        const char *name);

#endif
