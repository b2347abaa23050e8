/* SPDX-License-Identifier: MIT */
/* Writes the open files of a mount, behind the program's back but never untold. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/sftp/fs-file-internal.h"

/* What is written and not confirmed at most, in bytes, before a writer waits. */
#define DIRTY_MAX (16u * 1024u * 1024u)

struct chunk {
    struct chunk *next;
    struct file *file;
    uint64_t offset;
    size_t size;
    bool is_sent;
    bool is_failed; /* and to be sent again */
    uint8_t data[];
};

/* With the file's lock: frees the chunk, which the server has, or never will. */
static void drop_chunk(struct file *file, struct chunk *chunk)
{
    struct chunk **at = &file->dirty;

    while (*at != chunk)
        at = &(*at)->next;
    *at = chunk->next;
    if (file->dirty_end == &chunk->next)
        file->dirty_end = at;
    file->dirty_bytes -= chunk->size;
    free(chunk);
}

/* An answer to what was written or set. With the file's lock, which is given up. */
static void take_answer(struct file *file, struct chunk *chunk, int error)
{
    file->under_way--;
    if (remote_is_lost(error)) {
        /* What was written is sent again; a time that was set is not known any more. */
        if (chunk != NULL)
            file->has_to_resend = chunk->is_failed = true;
        else
            file->write_error = error;
    } else {
        if (error != 0 && file->write_error == 0)
            file->write_error = error;
        if (error != 0 && chunk != NULL)
            atomic_fetch_add(&file->fs->lost_writes, chunk->size);
        if (chunk != NULL)
            drop_chunk(file, chunk);
    }
    pthread_cond_broadcast(&file->changed);
    file_put_unlock(file);
}

static void on_written(void *opaque, const struct sftp_reply *reply)
{
    struct chunk *chunk = opaque;

    pthread_mutex_lock(&chunk->file->lock);
    take_answer(chunk->file, chunk, sftp_reply_status(reply));
}

static void on_set(void *opaque, const struct sftp_reply *reply)
{
    struct file *file = opaque;

    pthread_mutex_lock(&file->lock);
    take_answer(file, NULL, sftp_reply_status(reply));
}

/* With the file's lock, given up meanwhile. */
static void send_chunk(struct file *file, struct connection *connection, struct chunk *chunk)
{
    struct sftp_packet packet;

    chunk->is_sent = true;
    chunk->is_failed = false;
    file->under_way++;
    atomic_fetch_add(&file->users, 1);
    sftp_packet_begin(&packet, SFTP_WRITE);
    sftp_packet_string(&packet, file->handle.bytes, file->handle.size);
    sftp_packet_u64(&packet, chunk->offset);
    sftp_packet_u32(&packet, (uint32_t)chunk->size);
    pthread_mutex_unlock(&file->lock);
    /* The chunk is there until its answer has come, which may be before this returns. */
    sftp_client_send(connection->client, &packet, chunk->data, chunk->size, on_written, chunk);
    sftp_client_flush(connection->client);
    pthread_mutex_lock(&file->lock);
}

/* With the file's lock: what waits to be sent, or to be sent again; NULL: nothing. */
static struct chunk *next_to_send(struct file *file)
{
    for (struct chunk *chunk = file->dirty; chunk != NULL; chunk = chunk->next) {
        if (!chunk->is_sent || chunk->is_failed)
            return chunk;
    }
    return NULL;
}

/* With the file's lock: sends what waits. 0, or why there is no connection. */
static int send_dirty(struct file *file)
{
    int error = 0;

    while (next_to_send(file) != NULL) {
        struct connection *connection = file_connected(file, &error);
        struct chunk *chunk = next_to_send(file);

        if (connection == NULL)
            return error;
        if (chunk != NULL)
            send_chunk(file, connection, chunk);
        remote_put(file->fs->remote, connection);
    }
    return 0;
}

int file_send(struct file *file)
{
    int r;

    pthread_mutex_lock(&file->lock);
    r = send_dirty(file);
    pthread_mutex_unlock(&file->lock);
    return r;
}

/* With the file's lock: takes back the error that is to be told. */
static int take_error(struct file *file)
{
    int error = file->write_error;

    file->write_error = 0;
    return error;
}

/* With the file's lock: sends, and waits until no more than that is not confirmed. */
static int settle(struct file *file, size_t bytes)
{
    int tries = 0, error = 0;

    while (error == 0 && (file->dirty_bytes > bytes || (bytes == 0 && file->under_way > 0))) {
        if (file->has_to_resend && ++tries > FILE_TRIES) {
            error = -EIO;
            break;
        }
        file->has_to_resend = false;
        error = send_dirty(file);
        while (error == 0 && !file->has_to_resend &&
               (file->dirty_bytes > bytes || (bytes == 0 && file->under_way > 0)) &&
               next_to_send(file) == NULL)
            pthread_cond_wait(&file->changed, &file->lock);
    }
    if (error != 0) {
        /* The answers to those under way have to come first. */
        while (file->under_way > 0)
            pthread_cond_wait(&file->changed, &file->lock);
        atomic_fetch_add(&file->fs->lost_writes, file->dirty_bytes);
        while (file->dirty != NULL)
            drop_chunk(file, file->dirty);
        (void)take_error(file);
        return error;
    }
    return take_error(file);
}

/* With the file's lock: puts the bytes behind the last chunk, if they go there. */
static size_t extend(struct file *file, uint64_t offset, const void *buf, size_t size, size_t max)
{
    struct chunk **at = &file->dirty, *last, *longer;

    if (file->dirty == NULL)
        return 0;
    while ((*at)->next != NULL)
        at = &(*at)->next;
    last = *at;
    if (last->is_sent || last->offset + last->size != offset || last->size >= max)
        return 0;
    if (size > max - last->size)
        size = max - last->size;
    longer = realloc(last, sizeof(*longer) + last->size + size);
    if (longer == NULL)
        return 0;
    memcpy(longer->data + longer->size, buf, size);
    longer->size += size;
    file->dirty_bytes += size;
    *at = longer;
    file->dirty_end = &longer->next;
    return size;
}

static size_t append(struct file *file, uint64_t offset, const void *buf, size_t size, size_t max)
{
    struct chunk *chunk;

    if (size > max)
        size = max;
    chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL)
        return 0;
    *chunk = (struct chunk){.file = file, .offset = offset, .size = size};
    memcpy(chunk->data, buf, size);
    *file->dirty_end = chunk;
    file->dirty_end = &chunk->next;
    file->dirty_bytes += size;
    return size;
}

int file_write(struct file *file, uint64_t offset, const void *buf, size_t size)
{
    int error = 0;

    pthread_mutex_lock(&file->lock);
    error = take_error(file);
    while (error == 0 && size > 0) {
        struct connection *connection = file_connected(file, &error);
        size_t max, n;

        if (connection == NULL)
            break;
        max = sftp_client_write_max(connection->client);
        remote_put(file->fs->remote, connection);
        n = extend(file, offset, buf, size, max);
        if (n == 0)
            n = append(file, offset, buf, size, max);
        if (n == 0)
            error = -ENOMEM;
        offset += n;
        buf = (const uint8_t *)buf + n;
        size -= n;
        /* What is full is sent, and anything while nothing else is under way. */
        if (error == 0 && (file->under_way == 0 || size > 0))
            error = send_dirty(file);
    }
    if (error == 0 && file->dirty_bytes > DIRTY_MAX)
        error = settle(file, DIRTY_MAX / 2);
    atomic_fetch_add(&file->node->writes, 1);
    pthread_mutex_unlock(&file->lock);
    return error;
}

int file_flush(struct file *file)
{
    int error;

    pthread_mutex_lock(&file->lock);
    error = settle(file, 0);
    pthread_mutex_unlock(&file->lock);
    return error;
}

void file_settle(struct file *file)
{
    int error;

    pthread_mutex_lock(&file->lock);
    error = settle(file, 0);
    if (file->write_error == 0)
        file->write_error = error;
    pthread_mutex_unlock(&file->lock);
}

int file_set_times(struct file *file, const struct sftp_attrs *attrs)
{
    struct connection *connection;
    struct sftp_packet packet;
    int error = 0;

    pthread_mutex_lock(&file->lock);
    /* Behind what is written: writing sets the time as well. */
    error = send_dirty(file);
    connection = error == 0 ? file_connected(file, &error) : NULL;
    if (connection != NULL) {
        file->under_way++;
        atomic_fetch_add(&file->users, 1);
        sftp_packet_begin(&packet, SFTP_FSETSTAT);
        sftp_packet_string(&packet, file->handle.bytes, file->handle.size);
        sftp_packet_attrs(&packet, attrs);
        pthread_mutex_unlock(&file->lock);
        sftp_client_send(connection->client, &packet, NULL, 0, on_set, file);
        sftp_client_flush(connection->client);
        remote_put(file->fs->remote, connection);
        pthread_mutex_lock(&file->lock);
    }
    pthread_mutex_unlock(&file->lock);
    return error;
}
