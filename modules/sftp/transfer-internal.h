/* SPDX-License-Identifier: MIT */
/* What the parts of a transfer share. */
#ifndef SFTP_TRANSFER_INTERNAL_H
#define SFTP_TRANSFER_INTERNAL_H

#include <pthread.h>

#include "lib/files/place.h"
#include "modules/sftp/calls.h"
#include "modules/sftp/checker.h"
#include "modules/sftp/pool.h"
#include "modules/sftp/transfer.h"

/*
 * A directory under way. It ends, and gets its mode and time, when nothing refers to it any more:
 * its files and the directories in it do.
 */
struct tree {
    struct transfer *transfer;
    struct tree *parent; /* NULL: a root */
    struct tree *root;   /* maybe itself */
    unsigned int references;
    unsigned int depth;
    bool is_get;
    bool has_attributes;
    struct files_attributes attributes;
    int root_fd;     /* of a root: the directory here */
    char *here;      /* the path below the root's directory; "" */
    char *there;     /* the absolute path at the server */
    char *here_name; /* of a root: what messages call its directory here */
};

/* A file, link or directory that is to be copied. */
struct item {
    struct job job;
    struct tree *tree;       /* the directory that it is in, at both ends; referred to */
    char *there;             /* NULL: name in the tree's directory */
    bool is_top;             /* the source itself: what goes wrong with it ends the transfer */
    struct sftp_attrs attrs; /* of the source */
    struct timespec mtime;
    /* put: what is at the target, when that is known. */
    bool is_target_known;
    struct sftp_attrs target; /* flags of 0: nothing */
    char name[];
};

struct note {
    struct note *next;
    char text[];
};

struct transfer {
    struct crosh_context *ctx;
    struct sftp_client *client;
    const struct sftp_where *where;
    struct transfer_options options;
    struct pool *pool;
    struct checker *checker;

    pthread_mutex_t lock;
    bool is_stopped;
    struct crosh_error error; /* why; code 0: not */
    struct transfer_counts counts;
    uint64_t done, total;            /* bytes */
    struct note *notes, **notes_end; /* warnings for the end */
    char **lines;
    size_t line_count;
    uint64_t unkept; /* copies without their sources' modes or times */
    char *unkept_first;
};

/* ---- transfer.c ---- */

/* For window_user and others: opaque is the transfer. */
bool transfer_is_stopped(void *opaque);
/* Ends it all. */
void transfer_stop(struct transfer *transfer, const struct crosh_error *why);
/*
 * Something went wrong with the path: the transfer ends if nothing else could go well either, or
 * if it is the source itself; else it is told, and left out. message may be NULL: the
 * code's own words.
 */
void transfer_trouble(struct transfer *transfer, bool is_top, const char *path, int code,
                      const char *message);
/* Tells of the path at the end, and has the exit status say that something was wrong. */
void transfer_warn(struct transfer *transfer, const char *path, const char *message);
/*
 * The copy at the path has not the mode or time of its source: told at the end, once. It is a
 * copy all the same, of a file system or by a server that has none to set.
 */
void transfer_unkept(struct transfer *transfer, const char *path, int code);
void transfer_advance(struct transfer *transfer, int64_t bytes);
void transfer_expect(struct transfer *transfer, uint64_t bytes);

enum transfer_action { TRANSFER_COPIED, TRANSFER_MADE, TRANSFER_DELETED, TRANSFER_UNCHANGED };
void transfer_count(struct transfer *transfer, enum transfer_action action, const char *path,
                    uint64_t bytes);

/* What is told of a source that did not stay as it was. */
#define TRANSFER_CHANGED                                                                           \
    "changed while it was read: the copy may have some of before and some of after that"

/* ---- resume.c ---- */

/* Whether the file at the server is the same as fd: 1, 0 or negative errno. */
int transfer_matches(struct transfer *transfer, const char *there, int fd, uint64_t size);
/*
 * How far what is at the target, have bytes, is the source's beginning for sure. there: the path
 * at the server, of either; fd: the one here. is_marked: the target has the source's mark.
 */
uint64_t transfer_resume_at(struct transfer *transfer, const char *there, int fd, uint64_t have,
                            bool is_marked);
/*
 * What a part gets as its time of access, in seconds, which tells what it is a part of: another
 * source, or another state of the same, has another one.
 */
uint32_t transfer_mark(uint64_t size, const struct timespec *mtime);

/* ---- tree.c ---- */

/* The parent's reference is taken; NULL: no memory. Strings are copied. */
struct tree *tree_new(struct transfer *transfer, struct tree *parent, const char *name);
/* root_fd is taken over, also when there is no memory. */
struct tree *tree_new_root(struct transfer *transfer, bool is_get, int root_fd,
                           const char *here_name, const char *there);
struct tree *tree_ref(struct tree *tree);
/* Accepts NULL. */
void tree_unref(struct tree *tree);
/* The directory here, opened; -1 with errno. */
int tree_open(const struct tree *tree);
/* DIRECTORY/NAME, on the heap, or NULL. */
char *path_join(const char *directory, const char *name);

/* The tree's reference is taken in any case; NULL: no memory. */
struct item *item_new(struct tree *tree, const char *name);
void item_free(struct item *item);
/* Gives it to the pool, in any case: one that is too much ends the transfer. */
void item_start(struct item *item, bool is_directory);
/* Its path there, and what messages call it: both on the heap, or NULL. */
char *item_there(const struct item *item);
char *item_shown(const struct item *item);

/* ---- get.c, put.c ---- */

job_fn get_file, get_directory, put_file, put_directory;

/* ---- sync.c ---- */

/* Removes what is in the way here or there, with all that is in it; whether it is gone. */
bool sync_delete_here(struct transfer *transfer, int dir_fd, const char *name, const char *shown);
bool sync_delete_there(struct transfer *transfer, const char *path, const struct sftp_attrs *attrs);

#endif
