/* SPDX-License-Identifier: MIT */
/* Threads that work through the files and directories of a transfer, many at once. */
#ifndef SFTP_POOL_H
#define SFTP_POOL_H

#include <stdbool.h>

struct job;
/* Does the job, with what pool_new() was given, and frees it. Every job is run, also after a stop.
 */
typedef void job_fn(void *opaque, struct job *job);

/* The beginning of what a job is about. */
struct job {
    job_fn *run;
    struct job *next;
};

struct pool;

/* NULL: out of memory, or no threads. */
struct pool *pool_new(unsigned int threads, void *opaque);
/* Waits until all is done and ends the threads. Accepts NULL. */
void pool_free(struct pool *pool);

/*
 * Adds a job. Directories bring more jobs: they wait while there are files enough, so that
 * a large tree is not in memory at once. false: there are too many (whoever lists names
 * without end must not fill our memory), and the job is the caller's still.
 */
bool pool_add_file(struct pool *pool, struct job *job);
bool pool_add_directory(struct pool *pool, struct job *job);

/* Waits until all is done, at most so long: whether it is. */
bool pool_wait(struct pool *pool, int timeout_ms);

#endif
