/* SPDX-License-Identifier: MIT */
/* Writes the open files of a mount, behind the program's back but never untold. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/fs-file-internal.h"

/* What is written and not confirmed, in bytes, before a writer waits: at least so much. */
#define DIRTY_MIN (4u * 1024u * 1024u)

/* A file of more bytes than that goes by a second connection too. */
#define SECOND_AFTER (1024u * 1024u)

struct chunk {
    struct chunk *next;
    struct file *file;
    uint64_t offset;
    size_t size;
    bool is_sent;
    bool is_failed; /* and to be sent again */
    bool is_second; /* sent by the second connection */
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

/* With the file's lock: what waits to be sent, or to be sent again; NULL: nothing. */
static struct chunk *next_to_send(const struct file *file)
{
    for (struct chunk *chunk = file->dirty; chunk != NULL; chunk = chunk->next) {
        if (!chunk->is_sent || chunk->is_failed)
            return chunk;
    }
    return NULL;
}

static void on_written(void *opaque, const struct sftp_reply *reply);

/* With the file's lock: it is under way from now on. */
static void mark_sent(struct file *file, struct chunk *chunk)
{
    chunk->is_sent = true;
    chunk->is_failed = false;
    file->under_way++;
    file->queueing++;
    atomic_fetch_add(&file->users, 1);
}

/* With the file's lock, given up meanwhile: sends it to the handle of that connection. */
static void send_marked(struct file *file, struct connection *connection,
                        const struct sftp_handle *handle, struct chunk *chunk)
{
    struct sftp_packet packet;

    remote_hold(file->fs->remote, connection);
    sftp_packet_begin(&packet, SFTP_WRITE);
    sftp_packet_string(&packet, handle->bytes, handle->size);
    sftp_packet_u64(&packet, chunk->offset);
    sftp_packet_u32(&packet, (uint32_t)chunk->size);
    pthread_mutex_unlock(&file->lock);
    /* The chunk is there until its answer has come, which may be before this returns. */
    sftp_client_send(connection->client, &packet, chunk->data, chunk->size, on_written, chunk);
    pthread_mutex_lock(&file->lock);
    file->queueing--;
    pthread_cond_broadcast(&file->changed);
    pthread_mutex_unlock(&file->lock);
    sftp_client_flush(connection->client);
    remote_put(file->fs->remote, connection);
    pthread_mutex_lock(&file->lock);
}

/* With the file's lock, given up meanwhile: what was marked as sent comes before what follows. */
static void await_queued(struct file *file)
{
    while (file->queueing > 0)
        pthread_cond_wait(&file->changed, &file->lock);
}

/*
 * With the file's lock, given up meanwhile, on the client's thread, which waits for nothing: sends
 * what was held back to become more while something was under way. Without a connection it waits
 * for who comes next.
 */
static void send_rest(struct file *file)
{
    struct chunk *chunk = next_to_send(file);
    struct connection *connection = file->connection;

    if (chunk == NULL || file->under_way > 0 || file->queueing > 0 || file->has_to_resend ||
        connection == NULL || sftp_client_state(connection->client) != 0)
        return;
    mark_sent(file, chunk);
    send_marked(file, connection, &file->handle, chunk);
}

/*
 * With the file's lock: it is told by the next call, and by close until fsync has told it: a
 * program may look at one of them only. Who waits for a write is told by that alone.
 */
static void note_error(struct file *file, int error)
{
    if (file->write_error == 0)
        file->write_error = error;
    if (file->kept_error == 0 && !atomic_load(&file->is_awaited))
        file->kept_error = error;
}

/* The server has the chunk. */
static void note_grown(struct file *file, const struct chunk *chunk)
{
    pthread_mutex_lock(&file->fs->nodes.lock);
    known_grown(file->node, chunk->offset + chunk->size);
    pthread_mutex_unlock(&file->fs->nodes.lock);
}

/* An answer to what was written or set. With the file's lock, which is given up. */
static void take_answer(struct file *file, struct chunk *chunk, int error)
{
    file->under_way--;
    if (chunk != NULL && chunk->is_second) {
        file->second.under_way--;
        file->second.bytes -= chunk->size;
    }
    if (remote_is_lost(error)) {
        /* What was written is sent again; a time that was set is not known any more. */
        if (chunk != NULL)
            file->has_to_resend = chunk->is_failed = true;
        else
            note_error(file, error);
    } else {
        if (error != 0)
            note_error(file, error);
        else if (chunk != NULL)
            note_grown(file, chunk);
        if (error != 0 && chunk != NULL && !atomic_load(&file->is_awaited))
            atomic_fetch_add(&file->fs->lost_writes, chunk->size);
        if (chunk != NULL)
            drop_chunk(file, chunk);
        send_rest(file);
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

/* With the file's lock, given up meanwhile: nothing is on the second way any more. */
static void await_second(struct file *file)
{
    while (file->second.under_way > 0)
        pthread_cond_wait(&file->changed, &file->lock);
}

/* With the file's lock: whether bytes of the chunk are under way, whose order would be lost. */
static bool is_overlapping(const struct file *file, const struct chunk *chunk)
{
    for (const struct chunk *other = file->dirty; other != NULL; other = other->next) {
        if (other != chunk && other->is_sent && other->offset < chunk->offset + chunk->size &&
            chunk->offset < other->offset + other->size)
            return true;
    }
    return false;
}

/* With the file's lock, given up meanwhile: whether the chunk, marked as sent, goes the second way.
 */
static bool goes_second(struct file *file, const struct chunk *chunk)
{
    struct second *second = &file->second;

    if (second->state == SECOND_OPEN && sftp_client_state(second->connection->client) != 0) {
        await_second(file);
        if (second->state == SECOND_OPEN)
            remote_put(file->fs->remote, move_ptr(second->connection));
        second->state = SECOND_NEVER;
    }
    if (second->state != SECOND_OPEN)
        return false;
    if (is_overlapping(file, chunk)) {
        /* What is on the first way comes before it there. */
        await_second(file);
        return false;
    }
    return second->bytes < file->dirty_bytes - second->bytes;
}

/* With the file's lock, given up meanwhile. */
static void send_chunk(struct file *file, struct connection *connection, struct chunk *chunk)
{
    mark_sent(file, chunk);
    chunk->is_second = goes_second(file, chunk);
    if (chunk->is_second) {
        file->second.under_way++;
        file->second.bytes += chunk->size;
        send_marked(file, file->second.connection, &file->second.handle, chunk);
    } else {
        send_marked(file, connection, &file->handle, chunk);
    }
}

/* With the file's lock: sends what waits. 0, or why there is no connection. */
static int send_dirty(struct file *file)
{
    int error = 0;

    while (next_to_send(file) != NULL) {
        struct connection *connection = file_connected(file, &error);
        struct chunk *chunk;

        if (connection == NULL)
            return error;
        await_queued(file);
        chunk = next_to_send(file);
        if (chunk != NULL)
            send_chunk(file, connection, chunk);
        remote_put(file->fs->remote, connection);
    }
    await_queued(file);
    return 0;
}

int file_send(struct file *file)
{
    int r;

    pthread_mutex_lock(&file->lock);
    r = send_dirty(file);
    await_second(file);
    pthread_mutex_unlock(&file->lock);
    return r;
}

/* With the file's lock: the error that is to be told, and now is. */
static int tell_error(struct file *file)
{
    int error = file->write_error;

    file->write_error = 0;
    return error;
}

/*
 * With the file's lock: sends, and waits until no more than that is not confirmed. The error that
 * is to be told, of this or of what was before.
 */
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
        note_error(file, error);
    }
    return file->write_error;
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

/* ---- The second way ---- */

/*
 * A server takes so much in a round trip over one connection, and has one process that decrypts
 * it, so a long file goes by two. SFTP has no numbers of files: that the path still leads to the
 * one that is being written is told by all else that is known of it, while nothing is under way.
 */
static bool is_same(const struct sftp_attrs *a, const struct sftp_attrs *b)
{
    return a->flags == b->flags && a->size == b->size && a->mtime == b->mtime && a->uid == b->uid &&
           a->gid == b->gid && a->mode == b->mode;
}

/* Without the file's lock, which the answers' thread needs. */
static int open_second(struct file *file, struct connection *second, struct sftp_handle *handle)
{
    cleanup_free char *path = nodes_path(&file->fs->nodes, file->fs->prefix, file->node, NULL);

    return path != NULL ? sftp_open(second->client, path, SFTP_OPEN_WRITE, 0, handle) : -errno;
}

/* The same: whether both handles are of one file, while nothing of it is under way. */
static bool is_ours(const struct connection *first, const struct sftp_handle *known,
                    const struct connection *second, const struct sftp_handle *handle)
{
    struct sftp_attrs attrs[2];

    return sftp_fstat_two((struct sftp_client *const[]){first->client, second->client},
                          (const struct sftp_handle *const[]){known, handle}, attrs) == 0 &&
           is_same(&attrs[0], &attrs[1]);
}

/*
 * With the file's lock, given up meanwhile, and the connection that the file is open on. An error
 * of what was written before.
 */
static int try_second(struct file *file, struct connection *first)
{
    const struct sftp_handle known = file->handle;
    struct connection *second;
    struct sftp_handle handle;
    bool is_open, is_good;
    int error;

    if (file->second.state != SECOND_NONE || file->written < SECOND_AFTER)
        return 0;
    second = remote_try_second(file->fs->remote);
    if (second == NULL)
        return 0;
    file->second.state = SECOND_OPENING;
    /* Opened while what was written is still on its way. */
    error = send_dirty(file);
    pthread_mutex_unlock(&file->lock);
    is_open = error == 0 && open_second(file, second, &handle) == 0;
    pthread_mutex_lock(&file->lock);
    if (error == 0)
        error = settle(file, 0);
    pthread_mutex_unlock(&file->lock);
    is_good = error == 0 && is_open && is_ours(first, &known, second, &handle);
    if (!is_good && is_open)
        file_give_back(file->fs, second, &handle);
    else if (!is_good)
        remote_put(file->fs->remote, second);
    pthread_mutex_lock(&file->lock);
    if (is_good) {
        file->second.connection = second;
        file->second.handle = handle;
    }
    file->second.state = is_good ? SECOND_OPEN : SECOND_NEVER;
    return error;
}

int file_write(struct file *file, uint64_t offset, const void *buf, size_t size)
{
    size_t dirty_max = 0;
    int error = 0;

    pthread_mutex_lock(&file->lock);
    error = tell_error(file);
    while (error == 0 && size > 0) {
        struct connection *connection = file_connected(file, &error);
        size_t max, n;

        if (connection == NULL)
            break;
        max = sftp_client_write_max(connection->client);
        dirty_max = sftp_client_window(connection->client);
        if (dirty_max < DIRTY_MIN)
            dirty_max = DIRTY_MIN;
        error = try_second(file, connection);
        remote_put(file->fs->remote, connection);
        if (error != 0)
            break;
        n = extend(file, offset, buf, size, max);
        if (n == 0)
            n = append(file, offset, buf, size, max);
        if (n == 0)
            error = -ENOMEM;
        file->written += n;
        offset += n;
        buf = (const uint8_t *)buf + n;
        size -= n;
        /* What is full is sent, and anything while nothing else is under way. */
        if (error == 0 && (file->under_way == 0 || size > 0))
            error = send_dirty(file);
    }
    if (error == 0 && file->dirty_bytes > dirty_max)
        error = settle(file, dirty_max / 2);
    if (error == file->write_error)
        (void)tell_error(file);
    atomic_fetch_add(&file->node->writes, 1);
    pthread_mutex_unlock(&file->lock);
    return error;
}

int file_await(struct file *file)
{
    int error;

    pthread_mutex_lock(&file->lock);
    (void)settle(file, 0);
    error = tell_error(file);
    pthread_mutex_unlock(&file->lock);
    return error;
}

int file_flush(struct file *file)
{
    int error = file_await(file);

    pthread_mutex_lock(&file->lock);
    if (file->kept_error != 0)
        error = file->kept_error;
    pthread_mutex_unlock(&file->lock);
    return error;
}

void file_settle(struct file *file)
{
    pthread_mutex_lock(&file->lock);
    (void)settle(file, 0);
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
    await_second(file);
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
