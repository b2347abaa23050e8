/* SPDX-License-Identifier: MIT */
/* A pool of threads with two queues: files in order, directories the last one first. */
#include "modules/sftp/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* Files that wait before more directories are read. */
#define FILES_ENOUGH 512u
/* Jobs of both kinds, all of which are in memory. */
#define POOL_MAX (1024u * 1024u)

struct pool {
    void *opaque;
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    struct job *files, **files_end;
    struct job *directories;
    unsigned int file_count, count; /* that wait; count: of both kinds */
    unsigned int running;
    bool is_over;
    unsigned int thread_count;
    pthread_t threads[];
};

/* With the lock: the next job, or NULL. */
static struct job *take(struct pool *pool)
{
    struct job *job = pool->files;

    if (pool->directories != NULL && pool->file_count < FILES_ENOUGH) {
        job = pool->directories;
        pool->directories = job->next;
        pool->count--;
    } else if (job != NULL) {
        pool->files = job->next;
        if (pool->files == NULL)
            pool->files_end = &pool->files;
        pool->file_count--;
        pool->count--;
    }
    return job;
}

static void *work(void *opaque)
{
    struct pool *pool = opaque;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct job *job = take(pool);

        if (job != NULL) {
            pool->running++;
            pthread_mutex_unlock(&pool->lock);
            job->run(pool->opaque, job);
            pthread_mutex_lock(&pool->lock);
            if (--pool->running == 0 && pool->count == 0)
                pthread_cond_broadcast(&pool->idle);
        } else if (pool->is_over) {
            break;
        } else {
            pthread_cond_wait(&pool->work, &pool->lock);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct pool *pool_new(unsigned int threads, void *opaque)
{
    struct pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));
    pthread_condattr_t monotonic;
    sigset_t all, before;

    if (pool == NULL)
        return NULL;
    pool->opaque = opaque;
    pool->files_end = &pool->files;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pool->idle, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    /* Signals are for the program's own thread. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->thread_count < threads &&
           pthread_create(&pool->threads[pool->thread_count], NULL, work, pool) == 0)
        pool->thread_count++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pool->thread_count > 0)
        return pool;
    pool_free(pool);
    return NULL;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->is_over = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned int i = 0; i < pool->thread_count; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_mutex_destroy(&pool->lock);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_cond_destroy(&pool->idle);
    free(pool);
}

static bool add(struct pool *pool, struct job *job, bool is_directory)
{
    bool has_room;

    pthread_mutex_lock(&pool->lock);
    has_room = pool->count < POOL_MAX;
    if (has_room && is_directory) {
        job->next = pool->directories;
        pool->directories = job;
    } else if (has_room) {
        job->next = NULL;
        *pool->files_end = job;
        pool->files_end = &job->next;
        pool->file_count++;
    }
    pool->count += has_room;
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    return has_room;
}

bool pool_add_file(struct pool *pool, struct job *job)
{
    return add(pool, job, false);
}

bool pool_add_directory(struct pool *pool, struct job *job)
{
    return add(pool, job, true);
}

bool pool_wait(struct pool *pool, int timeout_ms)
{
    struct timespec until;
    bool is_done;
    int r = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&pool->lock);
    while (r == 0 && (pool->count > 0 || pool->running > 0))
        r = pthread_cond_timedwait(&pool->idle, &pool->lock, &until);
    is_done = pool->count == 0 && pool->running == 0;
    pthread_mutex_unlock(&pool->lock);
    return is_done;
}
