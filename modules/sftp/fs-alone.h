/* SPDX-License-Identifier: MIT */
/* Reads of an open file here and there, answered without a thread that waits. */
#ifndef SFTP_FS_ALONE_H
#define SFTP_FS_ALONE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct file;

/* A mount's threads for reads that had to begin again. */
struct alones {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned int threads;
    bool is_over;
};

/* 0, or -ENOMEM. */
int alones_init(struct alones *alones);
/* Waits for them; reads whose connection is lost from now on just fail. */
void alones_end(struct alones *alones);
void alones_fini(struct alones *alones);

/*
 * How it ended: the count of bytes, fewer than asked for only at the end of the file, or negative
 * errno; data is gone when this returns. Called by any thread; waits for nothing.
 */
typedef void file_read_fn(void *opaque, ssize_t result, const void *data);

/*
 * As file_read(), without waiting: done is called when the answer has come, which may be before
 * this returns. False, and done is not called: the read goes on in order, or is known, or cannot be
 * asked for at once; file_read() is for it.
 */
bool file_read_alone(struct file *file, uint64_t offset, size_t size, file_read_fn *done,
                     void *opaque);

#endif
