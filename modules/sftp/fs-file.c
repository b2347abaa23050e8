/* SPDX-License-Identifier: MIT */
/* Opens the files of a mount, anew after a lost connection, and closes them. */

/*
 * Theory of operation
 *
 * What is read comes in pieces, each the answer to one request. A reader that goes on in
 * order has more and more pieces asked for before it (so many that the server's answers
 * fill the way to it), one that jumps has only what it wants. Pieces are dropped once the
 * reader is behind them, and whenever the file is written to.
 *
 * What is written is copied into chunks and sent while the program goes on. While nothing
 * is under way a write is sent at once; otherwise small ones are put together first. Close
 * and fsync wait until the server has taken them all, and tell of those that it has not:
 * so what a program is told by them is true.
 *
 * What is appended has no place: the server knows the end of the file, and the kernel only where it
 * was when it asked last. So the handle is one that the server appends by, and what others have
 * appended meanwhile stays.
 *
 * A handle is good for one connection. When that is lost, the next operation opens the
 * file anew by its path, and what was not confirmed is asked or written again: both do
 * the same when done twice. It must be the same file as far as is known (fs-known.c), or the
 * operation fails with ESTALE: a mixture of two files is none of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/fs-file-internal.h"

/* ---- Opening and closing ---- */

struct file *file_new(struct fs *fs, struct node *node, uint32_t flags,
                      struct connection *connection, const struct sftp_handle *handle)
{
    struct file *file = calloc(1, sizeof(*file));

    if (file == NULL)
        return NULL;
    file->fs = fs;
    file->node = node;
    file->flags = flags;
    file->connection = connection;
    if (handle != NULL)
        file->handle = *handle;
    file->users = 1;
    file->dirty_end = &file->dirty;
    file->writes_seen = atomic_load(&node->writes);
    (void)pthread_mutex_init(&file->lock, NULL);
    (void)pthread_cond_init(&file->changed, NULL);
    pthread_mutex_lock(&fs->nodes.lock);
    node->users++;
    if (node->files == NULL)
        known_begin(node);
    file->next = node->files;
    node->files = file;
    atomic_fetch_add(&fs->open_files, 1);
    pthread_mutex_unlock(&fs->nodes.lock);
    return file;
}

struct file *file_new_whole(struct fs *fs, struct node *node, uint8_t *whole, size_t size)
{
    struct file *file = file_new(fs, node, SFTP_OPEN_READ, NULL, NULL);

    if (file == NULL)
        return NULL;
    file->whole = whole;
    file->whole_size = size;
    return file;
}

void file_set_appending(struct file *file, uint64_t size)
{
    file->append.is_wanted = true;
    file->append.end = size;
    /* Of two ways, each has its own order. */
    file->second.state = SECOND_NEVER;
}

void file_prepare_write(struct file *file, uint64_t offset, size_t size, bool has_place)
{
    bool is_other;

    pthread_mutex_lock(&file->lock);
    is_other = file->append.is_wanted && (has_place || file->append.is_placed);
    pthread_mutex_unlock(&file->lock);
    if (is_other)
        file_settle(file);
    pthread_mutex_lock(&file->lock);
    /* It is opened with the lock, which the answers need that would come before. */
    while (is_other && file->under_way > 0)
        pthread_cond_wait(&file->changed, &file->lock);
    if (is_other) {
        file_give_back(file->fs, move_ptr(file->connection), &file->handle);
        file->append.is_wanted = !has_place;
    }
    if (offset != file->append.end)
        file->append.is_shared = true;
    file->append.end = offset + size;
    file->append.size = size;
    pthread_mutex_unlock(&file->lock);
}

/*
 * With the file's lock: how the file is opened anew. What was appended and not confirmed may be
 * there; so it goes to its place, unless others have appended: better twice than over theirs.
 */
static uint32_t flags_anew(struct file *file, const char *path)
{
    struct sftp_attrs now;

    if (!file->append.is_wanted)
        return file->flags;
    file->append.is_placed = file->dirty != NULL && !file->append.is_shared &&
                             sftp_stat(file->connection->client, path, &now) == 0 &&
                             now.size <= file->append.end &&
                             now.size + file->dirty_bytes + file->append.size >= file->append.end;
    return file->flags | (file->append.is_placed ? 0 : SFTP_OPEN_APPEND);
}

void file_give_back(struct fs *fs, struct connection *connection, const struct sftp_handle *handle)
{
    if (connection == NULL)
        return;
    if (sftp_client_state(connection->client) == 0) {
        sftp_close_unheard(connection->client, handle);
        sftp_client_flush(connection->client);
    }
    remote_put(fs->remote, connection);
}

/* Nobody has the file any more. */
static void file_free(struct file *file)
{
    file_give_back(file->fs, file->connection, &file->handle);
    file_give_back(file->fs, file->second.connection, &file->second.handle);
    (void)pthread_mutex_destroy(&file->lock);
    (void)pthread_cond_destroy(&file->changed);
    free(file->whole);
    free(file);
}

void file_put(struct file *file)
{
    if (atomic_fetch_sub(&file->users, 1) == 1)
        file_free(file);
}

void file_put_unlock(struct file *file)
{
    pthread_mutex_unlock(&file->lock);
    file_put(file);
}

struct file *file_find(struct fs *fs, struct node *node, uint32_t flags)
{
    struct file *file;

    pthread_mutex_lock(&fs->nodes.lock);
    for (file = node->files; file != NULL; file = file->next) {
        if ((file->flags & flags) == flags && file->handle.size > 0) {
            atomic_fetch_add(&file->users, 1);
            break;
        }
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    return file;
}

/* With the nodes' lock: what has the name of the file now is another one. */
static void lose_name(struct fs *fs, struct node *node)
{
    if (node->parent == NULL)
        return;
    fs_dir_add(node->parent, node->name, NULL);
    node->parent->attrs_until_ms = 0;
    nodes_unname(&fs->nodes, node);
}

/* The path and the handle that it led to: 0, or -ESTALE: that is another file, or there is doubt.
 */
static int check_known(struct file *file, struct sftp_client *client, const char *path)
{
    struct fs *fs = file->fs;
    struct sftp_attrs by_path, by_handle;
    int r = sftp_fstat(client, &file->handle, &by_handle);

    /* A link may lead to anything. */
    if (r == 0)
        r = sftp_lstat(client, path, &by_path);
    if (r < 0)
        return r;
    pthread_mutex_lock(&fs->nodes.lock);
    if (!known_is(file->node, &by_handle, file->append.is_wanted) ||
        !known_is(file->node, &by_path, file->append.is_wanted))
        r = -ESTALE;
    pthread_mutex_unlock(&fs->nodes.lock);
    return r;
}

/*
 * With the file's lock: opens it on the file's connection. 0, or a negative errno. -EAGAIN: not
 * now, while names are changed here.
 */
static int open_known(struct file *file)
{
    struct fs *fs = file->fs;
    struct sftp_client *client = file->connection->client;
    /* What was all read before it was opened is at no place in a file yet. */
    const bool is_first = file->handle.size == 0;
    cleanup_free char *path = NULL;
    struct sftp_handle handle;
    bool is_moving;
    uint64_t moves;
    int r;

    pthread_mutex_lock(&fs->nodes.lock);
    moves = fs->nodes.moves_begun;
    is_moving = moves != fs->nodes.moves_ended;
    path = nodes_path_locked(&fs->nodes, fs->prefix, file->node, NULL);
    r = path != NULL ? 0 : -errno;
    pthread_mutex_unlock(&fs->nodes.lock);
    if (r == 0)
        r = sftp_open(client, path, flags_anew(file, path), 0, &handle);
    if (r < 0 && path == NULL)
        return r;
    if (r == 0) {
        file->handle = handle;
        r = is_first ? 0 : check_known(file, client, path);
        if (r < 0)
            sftp_close_unheard(client, &handle);
    }
    if (r != -ENOENT && r != -ESTALE)
        return r;
    pthread_mutex_lock(&fs->nodes.lock);
    if (is_moving || moves != fs->nodes.moves_begun)
        r = -EAGAIN;
    else if (r == -ESTALE)
        lose_name(fs, file->node);
    pthread_mutex_unlock(&fs->nodes.lock);
    return r;
}

/* With the file's lock: opens it on the connection, which is taken over. As file_connected(). */
static struct connection *open_anew(struct file *file, struct connection *connection, int *error)
{
    file->connection = connection;
    *error = open_known(file);
    if (*error != 0) {
        remote_put(file->fs->remote, move_ptr(file->connection));
        return NULL;
    }
    remote_hold(file->fs->remote, connection);
    return connection;
}

struct connection *file_connected(struct file *file, int *error)
{
    struct nodes *nodes = &file->fs->nodes;
    int tries = 0;

    while (file->connection == NULL || sftp_client_state(file->connection->client) != 0) {
        struct connection *connection;

        if (file->connection != NULL)
            remote_put(file->fs->remote, move_ptr(file->connection));
        /* What is sent again has to be known before what comes behind it is sent. */
        while (file->under_way > 0)
            pthread_cond_wait(&file->changed, &file->lock);
        /* The lost one's end waits for the answers of reads, too, and they for the lock. */
        pthread_mutex_unlock(&file->lock);
        connection = remote_get(file->fs->remote);
        pthread_mutex_lock(&file->lock);
        *error = -ETIMEDOUT;
        if (connection == NULL)
            return NULL;
        if (file->connection != NULL) {
            remote_put(file->fs->remote, connection); /* another was quicker */
            continue;
        }
        connection = open_anew(file, connection, error);
        if (connection != NULL || (*error != -EAGAIN && !remote_is_lost(*error)))
            return connection;
        if (++tries == FILE_TRIES) {
            *error = *error == -EAGAIN ? -ESTALE : *error;
            return NULL;
        }
        if (*error != -EAGAIN)
            continue;
        pthread_mutex_unlock(&file->lock);
        pthread_mutex_lock(&nodes->lock);
        nodes_await_moves(nodes);
        pthread_mutex_unlock(&nodes->lock);
        pthread_mutex_lock(&file->lock);
    }
    remote_hold(file->fs->remote, file->connection);
    return file->connection;
}

void file_close(struct file *file)
{
    struct fs *fs = file->fs;
    struct file **at = &file->node->files;

    pthread_mutex_lock(&file->lock);
    file_drop_pieces(file);
    pthread_mutex_unlock(&file->lock);
    pthread_mutex_lock(&fs->nodes.lock);
    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    file->node->users--;
    nodes_release(&fs->nodes, file->node);
    pthread_mutex_unlock(&fs->nodes.lock);
    atomic_fetch_sub(&fs->open_files, 1);
    file_put(file);
}

static struct file *any_file(struct fs *fs)
{
    struct file *file = NULL;

    pthread_mutex_lock(&fs->nodes.lock);
    for (size_t i = 0; i < fs->nodes.chains && file == NULL; i++) {
        for (struct node *node = fs->nodes.chain[i]; node != NULL && file == NULL;
             node = node->next)
            file = node->files;
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    return file;
}

void files_close_all(struct fs *fs)
{
    struct file *file;

    while ((file = any_file(fs)) != NULL) {
        if ((file->flags & SFTP_OPEN_WRITE) != 0)
            file_settle(file);
        file_close(file);
    }
}

bool files_has_writer(const struct node *node)
{
    for (const struct file *file = node->files; file != NULL; file = file->next) {
        if ((file->flags & SFTP_OPEN_WRITE) != 0)
            return true;
    }
    return false;
}

void files_settle(struct fs *fs, struct node *node)
{
    cleanup_free struct file **writers = NULL;
    size_t count = 0, at = 0;

    pthread_mutex_lock(&fs->nodes.lock);
    for (struct file *file = node->files; file != NULL; file = file->next)
        count += (file->flags & SFTP_OPEN_WRITE) != 0;
    writers = count > 0 ? calloc(count, sizeof(struct file *)) : NULL;
    for (struct file *file = node->files; writers != NULL && file != NULL; file = file->next) {
        if ((file->flags & SFTP_OPEN_WRITE) == 0)
            continue;
        atomic_fetch_add(&file->users, 1);
        writers[at++] = file;
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    for (size_t i = 0; i < at; i++) {
        file_settle(writers[i]);
        file_put(writers[i]);
    }
}

/* ---- Everything else ---- */

/* Does something with the handle, over several connections if need be. */
static int with_handle(struct file *file,
                       int (*fn)(struct sftp_client *client, const struct sftp_handle *handle,
                                 void *opaque),
                       void *opaque)
{
    int r = 0;

    for (int i = 0; i < FILE_TRIES; i++) {
        struct connection *connection;
        struct sftp_handle handle;

        pthread_mutex_lock(&file->lock);
        connection = file_connected(file, &r);
        handle = file->handle;
        pthread_mutex_unlock(&file->lock);
        if (connection == NULL)
            return r;
        r = fn(connection->client, &handle, opaque);
        remote_put(file->fs->remote, connection);
        if (!remote_is_lost(r))
            break;
    }
    return r;
}

static int do_fsync(struct sftp_client *client, const struct sftp_handle *handle, void *opaque)
{
    int r = sftp_fsync(client, handle);

    (void)opaque;
    /* A server that cannot has at least taken all that was written. */
    return r == -EOPNOTSUPP ? 0 : r;
}

int file_fsync(struct file *file)
{
    int r = file_flush(file);

    pthread_mutex_lock(&file->lock);
    file->kept_error = 0;
    pthread_mutex_unlock(&file->lock);
    return r < 0 ? r : with_handle(file, do_fsync, NULL);
}

static int do_setattr(struct sftp_client *client, const struct sftp_handle *handle, void *opaque)
{
    return sftp_fsetstat(client, handle, opaque);
}

int file_setattr(struct file *file, const struct sftp_attrs *attrs)
{
    /*
     * A file that is cut must not get what was written before again. For the rest it is enough
     * that the server comes to it later, and nobody has to wait twice. What could not be written
     * is told to who closes it.
     */
    int r = 0;

    if ((attrs->flags & SFTP_ATTR_SIZE) != 0)
        file_settle(file);
    else
        r = file_send(file);

    return r < 0 ? r : with_handle(file, do_setattr, (void *)attrs);
}

static int do_getattr(struct sftp_client *client, const struct sftp_handle *handle, void *opaque)
{
    return sftp_fstat(client, handle, opaque);
}

int file_getattr(struct file *file, struct sftp_attrs *attrs)
{
    return with_handle(file, do_getattr, attrs);
}
