/* SPDX-License-Identifier: MIT */
/* Reads of an open file here and there: the server's answer is passed on as it comes. */

/*
 * Theory of operation
 *
 * A program that reads in no order waits for each of its reads, so what counts is how many threads
 * take turns for one. The thread that the kernel's request came to only sends its own, and the
 * client's thread gives the answer to the kernel. What that cannot do without waiting, as opening
 * the file anew on another connection, is left to a thread of its own for each such read.
 */
#include "modules/sftp/fs-alone.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/fs-file-internal.h"

struct alone {
    struct file *file; /* of which it is a user */
    uint64_t offset;
    size_t size;
    size_t got; /* of an answer that came short */
    uint8_t *data;
    file_read_fn *done;
    void *opaque;
};

int alones_init(struct alones *alones)
{
    *alones = (struct alones){0};
    if (pthread_mutex_init(&alones->lock, NULL) != 0)
        return -ENOMEM;
    if (pthread_cond_init(&alones->changed, NULL) == 0)
        return 0;
    (void)pthread_mutex_destroy(&alones->lock);
    return -ENOMEM;
}

void alones_end(struct alones *alones)
{
    pthread_mutex_lock(&alones->lock);
    alones->is_over = true;
    while (alones->threads > 0)
        pthread_cond_wait(&alones->changed, &alones->lock);
    pthread_mutex_unlock(&alones->lock);
}

void alones_fini(struct alones *alones)
{
    (void)pthread_mutex_destroy(&alones->lock);
    (void)pthread_cond_destroy(&alones->changed);
}

static void finish(struct alone *alone, ssize_t result, const void *data)
{
    alone->done(alone->opaque, result, data);
    file_put(alone->file);
    free(alone->data);
    free(alone);
}

/* ---- What has to wait ---- */

static void *begin_again_thread(void *opaque)
{
    struct alone *alone = opaque;
    struct alones *alones = &alone->file->fs->alones;
    cleanup_free uint8_t *data = malloc(alone->size);
    ssize_t n = -ENOMEM;

    if (data != NULL)
        n = file_read(alone->file, alone->offset, data, alone->size);
    finish(alone, n, data);
    pthread_mutex_lock(&alones->lock);
    alones->threads--;
    pthread_cond_broadcast(&alones->changed);
    pthread_mutex_unlock(&alones->lock);
    return NULL;
}

static bool start_thread(struct alones *alones, struct alone *alone)
{
    pthread_attr_t detached;
    sigset_t all, before;
    pthread_t thread;
    bool is_started;

    pthread_mutex_lock(&alones->lock);
    is_started = !alones->is_over && pthread_attr_init(&detached) == 0;
    if (is_started) {
        (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        /* Signals are for the program's own thread. */
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        is_started = pthread_create(&thread, &detached, begin_again_thread, alone) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&detached);
        alones->threads += is_started;
    }
    pthread_mutex_unlock(&alones->lock);
    return is_started;
}

/* The connection is lost, and with it the handle. */
static void begin_again(struct alone *alone)
{
    if (!start_thread(&alone->file->fs->alones, alone))
        finish(alone, -ECONNRESET, NULL);
}

/* ---- What has not ---- */

static void on_alone(void *opaque, const struct sftp_reply *reply);

/* Asks for what has not come. False: there is no connection with the file's handle. */
static bool send_alone(struct alone *alone)
{
    struct file *file = alone->file;
    struct remote *remote = file->fs->remote;
    struct connection *connection;
    struct sftp_packet packet;

    pthread_mutex_lock(&file->lock);
    connection = file->connection;
    if (connection == NULL || sftp_client_state(connection->client) != 0) {
        pthread_mutex_unlock(&file->lock);
        return false;
    }
    remote_hold(remote, connection);
    sftp_packet_begin(&packet, SFTP_READ);
    sftp_packet_string(&packet, file->handle.bytes, file->handle.size);
    pthread_mutex_unlock(&file->lock);
    sftp_packet_u64(&packet, alone->offset + alone->got);
    sftp_packet_u32(&packet, (uint32_t)(alone->size - alone->got));
    /* It may be answered, and so be gone, before this returns. */
    sftp_client_send(connection->client, &packet, NULL, 0, on_alone, alone);
    sftp_client_flush(connection->client);
    remote_put(remote, connection);
    return true;
}

/* Keeps what came. False: no memory. */
static bool keep(struct alone *alone, const uint8_t *data, size_t size)
{
    if (alone->data == NULL)
        alone->data = malloc(alone->size);
    if (alone->data == NULL)
        return false;
    memcpy(alone->data + alone->got, data, size);
    alone->got += size;
    return true;
}

/* On the client's thread, which waits for nothing. */
static void on_alone(void *opaque, const struct sftp_reply *reply)
{
    struct alone *alone = opaque;
    const uint8_t *data = NULL;
    size_t size;
    int error = sftp_reply_data(reply, &data, &size);

    if (error == 0 && (size == 0 || size > alone->size - alone->got))
        error = -EBADMSG;
    if (remote_is_lost(error)) {
        begin_again(alone);
    } else if (error != 0) {
        /* The file ends there, or what came is told before the error is. */
        finish(alone, alone->got > 0 || error == -ENODATA ? (ssize_t)alone->got : error,
               alone->data);
    } else if (size == alone->size) {
        finish(alone, (ssize_t)size, data);
    } else if (!keep(alone, data, size)) {
        finish(alone, -ENOMEM, NULL);
    } else if (alone->got == alone->size) {
        finish(alone, (ssize_t)alone->got, alone->data);
    } else if (!send_alone(alone)) {
        begin_again(alone);
    }
}

bool file_read_alone(struct file *file, uint64_t offset, size_t size, file_read_fn *done,
                     void *opaque)
{
    struct alone *alone;

    if (!file_is_read_alone(file, offset, size))
        return false;
    alone = malloc(sizeof(*alone));
    if (alone == NULL)
        return false;
    *alone = (struct alone){
        .file = file, .offset = offset, .size = size, .done = done, .opaque = opaque};
    atomic_fetch_add(&file->users, 1);
    if (send_alone(alone))
        return true;
    file_put(file);
    free(alone);
    return false;
}
