/* SPDX-License-Identifier: MIT */
/* Small files that are read before a program opens them. */
#ifndef SFTP_FS_AHEAD_H
#define SFTP_FS_AHEAD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct fs;
struct node;
struct ahead;

/* Files that are there, or under way, before they are opened. */
#define AHEAD_FILES_MAX 32u

/* A mount's; all with the nodes' lock. */
struct aheads {
    struct ahead *held[AHEAD_FILES_MAX]; /* a ring */
    size_t first, count;
    struct node *directory; /* of the file opened last; counted */
    size_t place;           /* of that file in the listing */
    unsigned int run;       /* files opened in the order of their listings */
    pthread_cond_t done;    /* one of them has come */
};

int aheads_init(struct aheads *aheads);
/* Those that are held. With the connection still there, or at its end. */
void aheads_drop(struct fs *fs);
void aheads_fini(struct aheads *aheads);

/*
 * A program opens the file for reading: what those who open a directory's files in order will
 * open next is asked for. Without the nodes' lock.
 */
void fs_ahead_note(struct fs *fs, struct node *node);

/*
 * What was read of the file ahead, all of it, waited for if it is under way; of *size bytes on
 * the heap. NULL: nothing, or nothing that is still good. Without the nodes' lock.
 */
uint8_t *fs_ahead_take(struct fs *fs, struct node *node, size_t *size);

#endif
