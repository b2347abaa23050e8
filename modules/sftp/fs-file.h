/* SPDX-License-Identifier: MIT */
/* Open files of a mount: reading ahead, writing, and opening anew after a lost connection. */
#ifndef SFTP_FS_FILE_H
#define SFTP_FS_FILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "modules/sftp/calls.h"
#include "modules/sftp/fs-remote.h"

struct fs;
struct node;
struct piece;
struct chunk;

struct file {
    struct fs *fs;
    struct node *node;
    struct file *next; /* of the node's; the nodes' lock */
    uint32_t flags;    /* SFTP_OPEN_READ, SFTP_OPEN_WRITE */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_uint users;             /* the kernel, requests under way, who works with it */
    struct connection *connection; /* that the handle belongs to; NULL: none */
    struct sftp_handle handle;
    struct piece *pieces;     /* read ahead, in no order */
    uint64_t expected;        /* where the next read begins if they go on in order */
    unsigned int ahead;       /* pieces to be kept before the reader */
    unsigned int in_a_row;    /* reads that did */
    unsigned int writes_seen; /* the node's count when the pieces were asked for */
    uint8_t *whole;           /* NULL, or all of the file, of whole_size bytes */
    size_t whole_size;
    struct chunk *dirty, **dirty_end; /* written, and not confirmed yet, in order */
    size_t dirty_bytes;
    unsigned int under_way; /* requests of them, and of attributes */
    unsigned int queueing;  /* of those, what has no place among the requests yet; fs-write.c's */
    struct second {         /* another way for what is written: fs-write.c's */
        enum { SECOND_NONE, SECOND_OPENING, SECOND_OPEN, SECOND_NEVER } state;
        struct connection *connection;
        struct sftp_handle handle;
        unsigned int under_way; /* writes */
        size_t bytes;           /* of them */
    } second;
    struct {
        bool is_wanted; /* the server finds the place of what is written */
        bool is_placed; /* but not by this handle: what may be there already was sent again */
        bool is_shared; /* others append as well: where the kernel believes the end is, it is not */
        uint64_t end;   /* of the last write, as the kernel believes, and its size */
        size_t size;
    } append;
    uint64_t written;                 /* bytes, in all */
    atomic_uint_fast64_t largest_end; /* that the server is known to have taken; fs-large.c's */
    atomic_bool is_awaited;           /* what is written now has its error told, it is not lost */
    bool has_to_resend;               /* the connection was lost under some of them */
    int write_error;                  /* to be told by the next write, flush or fsync */
    int kept_error;                   /* to be told by each flush, until fsync has */
};

/*
 * A file that is open on the connection, which is taken over: it belongs to the node from now
 * on. NULL: no memory, with everything left as it was.
 */
struct file *file_new(struct fs *fs, struct node *node, uint32_t flags,
                      struct connection *connection, const struct sftp_handle *handle);
/*
 * The same for one that is only read, and all of which is there already: whole, of size bytes on
 * the heap, is taken over. It has no connection until something else is wanted of it.
 */
struct file *file_new_whole(struct fs *fs, struct node *node, uint8_t *whole, size_t size);
/*
 * What is written goes to the end of the file, wherever that is; it was at size. The handle was
 * opened for that.
 */
void file_set_appending(struct file *file, uint64_t size);
/*
 * Before a write: has_place says that it does have one, as have all from then on. Waits where the
 * handle is not the right one for it.
 */
void file_prepare_write(struct file *file, uint64_t offset, size_t size, bool has_place);
/* Closes it, without waiting for the server, once nobody works with it any more. */
void file_close(struct file *file);
/*
 * Closes those that have names and that the kernel, which ended the mount, left open. Waits for
 * what was written to them.
 */
void files_close_all(struct fs *fs);
/* With the nodes' lock: whether one of the node is open to be written. */
bool files_has_writer(const struct node *node);
/* Waits until the server has all that was written to the node; errors are left to be told. */
void files_settle(struct fs *fs, struct node *node);
/*
 * An open file of the node with these flags at least, that has or had a connection, kept until
 * it is put; NULL: none.
 */
struct file *file_find(struct fs *fs, struct node *node, uint32_t flags);
void file_put(struct file *file);

/* 0 or the count of bytes, or negative errno. */

/* Fewer bytes than asked for only at the end of the file. Waits. */
ssize_t file_read(struct file *file, uint64_t offset, void *buf, size_t size);
/*
 * Takes the bytes over; they are sent while others are written, which waits only when there
 * are too many. An error that comes to light later is told by the next call, and by
 * file_flush() in any case.
 */
int file_write(struct file *file, uint64_t offset, const void *buf, size_t size);
/*
 * Waits until the server has all that was written, over several connections if need be. What
 * it never took is counted in the fs. An error that no call has told yet.
 */
int file_await(struct file *file);
/* The same; also one that a write has told, and each time, until fsync has. */
int file_flush(struct file *file);
/* As file_await(), for somebody else: an error is left to be told. */
void file_settle(struct file *file);
/* As file_flush(), and has the server put it on its disk. */
int file_fsync(struct file *file);
/* Waits, for what was written as well. */
int file_setattr(struct file *file, const struct sftp_attrs *attrs);
/* Does not wait: an error is told as a write's. */
int file_set_times(struct file *file, const struct sftp_attrs *attrs);
int file_getattr(struct file *file, struct sftp_attrs *attrs);

#endif
