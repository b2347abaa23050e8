/* SPDX-License-Identifier: MIT */
/* Listings of directories: read ahead of those who walk a tree, and kept for a while. */
#ifndef SFTP_FS_DIR_H
#define SFTP_FS_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "modules/sftp/calls.h"

struct fs;
struct node;

/* What a directory held. Counted; entries are sorted by name and change only while one has it. */
struct listing {
    unsigned int users;
    bool is_done;
    int error; /* when done: why there is none */
    int64_t until_ms;
    struct sftp_entries entries;
};

/* Listings whose directories are kept though the kernel may have forgotten them. */
#define DIRS_HELD_MAX 4096

struct dirs {
    struct node *held[DIRS_HELD_MAX]; /* a ring */
    size_t first, count;
    size_t bytes;           /* of their listings */
    size_t read_bytes;      /* of those that are being read */
    unsigned int under_way; /* listings being read */
    pthread_cond_t done;    /* one of them is */
};

int dirs_init(struct dirs *dirs);
/* After the connection's end, when no listing is being read any more. */
void dirs_fini(struct fs *fs);

/* Accepts NULL. With the nodes' lock, or when nobody else is left. */
void listing_free(struct listing *listing);

/*
 * A reader opens the directory: *listing is a counted one that is done, read if none was fresh.
 * *was_there: nothing had to be read. Directories that a walk would come to next are read as well.
 */
int fs_dir_open(struct fs *fs, struct node *node, struct listing **listing, bool *was_there);
void fs_dir_close(struct fs *fs, struct listing *listing);

/*
 * What fresh listings tell of a name: 1 with attrs, whose flags are 0 when only the name is
 * known; 0: there is none of that name; -EAGAIN: nothing is known. With the nodes' lock.
 */
int fs_dir_find(struct fs *fs, struct node *node, const char *name, struct sftp_attrs *attrs,
                int64_t *until_ms);
/*
 * All that a fresh listing holds, and where that name is in it; NULL: there is none, or it has no
 * such name. With the nodes' lock, and good as long as that is held.
 */
const struct sftp_entries *fs_dir_entries(const struct node *node, const char *name, size_t *place);
/* A name had to be asked for: many of those make the listing be read. Without the lock. */
void fs_dir_missed(struct fs *fs, struct node *node);

/*
 * Changes of our own. With the nodes' lock. attrs NULL: the name is there, and no more is known
 * of it.
 */
void fs_dir_add(struct node *node, const char *name, const struct sftp_attrs *attrs);
void fs_dir_remove(struct node *node, const char *name);
/* The directory was just made: it holds nothing. */
void fs_dir_set_empty(struct fs *fs, struct node *node);
/* Nothing is known any more. */
void fs_dir_forget(struct node *node);

#endif
