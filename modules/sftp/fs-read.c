/* SPDX-License-Identifier: MIT */
/* Reads the open files of a mount, ahead of who goes on in order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/fs-file-internal.h"

/* Pieces before a reader: at first, and at most. */
#define AHEAD_MIN 2u
#define AHEAD_MAX 32u
/* The kernel's own requests for one reader may overtake each other by so many bytes. */
#define DISORDER (1024u * 1024u)
struct piece {
    struct piece *next;
    struct file *file;
    uint64_t offset;
    uint32_t size; /* asked for */
    uint32_t got;
    uint8_t *data;
    int error; /* when done; -ENODATA: the file ends before */
    bool is_done;
    bool is_dropped; /* while under way: nobody wants it any more */
    unsigned int readers;
};

/*
 * With the file's lock: one that is in no list goes when nobody has it any more. (Inlined, gcc
 * 12 takes every piece of the list for one that may be gone.)
 */
static __attribute__((noinline)) void free_dropped(struct piece *piece)
{
    if (!piece->is_done || piece->readers > 0)
        return;
    free(piece->data);
    free(piece);
}

/* With the file's lock: takes it out of the list. */
static void drop_piece(struct file *file, struct piece *piece)
{
    struct piece **at = &file->pieces;

    while (*at != piece)
        at = &(*at)->next;
    *at = piece->next;
    piece->is_dropped = true;
    free_dropped(piece);
}

void file_drop_pieces(struct file *file)
{
    struct piece *piece = file->pieces, *next;

    file->pieces = NULL;
    for (; piece != NULL; piece = next) {
        next = piece->next;
        piece->is_dropped = true;
        free_dropped(piece);
    }
}

static void on_read(void *opaque, const struct sftp_reply *reply)
{
    struct piece *piece = opaque;
    struct file *file = piece->file;
    const uint8_t *data = NULL;
    size_t size;
    int error = sftp_reply_data(reply, &data, &size);

    if (error == 0 && (size == 0 || size > piece->size))
        error = -EBADMSG;
    pthread_mutex_lock(&file->lock);
    if (error == 0 && !piece->is_dropped) {
        piece->data = malloc(size);
        if (piece->data == NULL)
            error = -ENOMEM;
        else
            memcpy(piece->data, data, size);
        piece->got = (uint32_t)size;
    }
    piece->error = error;
    piece->is_done = true;
    pthread_cond_broadcast(&file->changed);
    if (piece->is_dropped)
        free_dropped(piece);
    file_put_unlock(file);
}

/*
 * With the file's lock, given up meanwhile: asks for a piece, of which the caller becomes a
 * reader. It is sent with the next flush. NULL: no memory.
 */
static struct piece *ask(struct file *file, struct connection *connection, uint64_t offset,
                         uint32_t size)
{
    struct piece *piece = calloc(1, sizeof(*piece));
    struct sftp_packet packet;

    if (piece == NULL)
        return NULL;
    *piece = (struct piece){.next = file->pieces, .file = file, .offset = offset, .size = size};
    file->pieces = piece;
    atomic_fetch_add(&file->users, 1);
    piece->readers++;
    pthread_mutex_unlock(&file->lock);
    sftp_packet_begin(&packet, SFTP_READ);
    sftp_packet_string(&packet, file->handle.bytes, file->handle.size);
    sftp_packet_u64(&packet, offset);
    sftp_packet_u32(&packet, size);
    sftp_client_send(connection->client, &packet, NULL, 0, on_read, piece);
    pthread_mutex_lock(&file->lock);
    return piece;
}

/* With the file's lock: a reader is done with it. */
static void put_piece(struct piece *piece)
{
    piece->readers--;
    if (piece->is_dropped)
        free_dropped(piece);
}

/* The piece that has, or will have, that byte. */
static struct piece *find(struct file *file, uint64_t offset)
{
    for (struct piece *piece = file->pieces; piece != NULL; piece = piece->next) {
        uint32_t size = piece->is_done && piece->error == 0 ? piece->got : piece->size;

        if (offset >= piece->offset && offset - piece->offset < size)
            return piece;
    }
    return NULL;
}

static bool is_in_order(const struct file *file, uint64_t offset)
{
    return offset + DISORDER >= file->expected && offset <= file->expected + DISORDER;
}

/* With the file's lock: notes where a read begins, and drops what lies behind the reader. */
static void note_reader(struct file *file, uint64_t offset, size_t size)
{
    bool goes_on = is_in_order(file, offset);

    file->in_a_row = goes_on ? file->in_a_row + 1 : 0;
    if (file->in_a_row < 2)
        file->ahead = AHEAD_MIN;
    if (!goes_on || offset + size > file->expected)
        file->expected = offset + size;
    for (struct piece *piece = file->pieces, *next; piece != NULL; piece = next) {
        bool is_behind = piece->offset + piece->size + DISORDER < offset;
        bool is_beyond = piece->offset > offset + (uint64_t)AHEAD_MAX * piece->size + DISORDER;

        next = piece->next;
        if (is_behind || is_beyond || (!goes_on && piece->is_done))
            drop_piece(file, piece);
    }
}

/* With the file's lock: asks for what a reader who goes on in order will want. */
static int read_ahead(struct file *file, struct connection *connection, uint64_t offset)
{
    uint32_t size = sftp_client_read_max(connection->client);
    uint64_t end, file_size = file->node->attrs.size;

    if (file->in_a_row < 2)
        return 0;
    end = offset + (uint64_t)file->ahead * size;
    if (end > file_size)
        end = file_size;
    while (offset < end) {
        struct piece *piece = find(file, offset);

        if (piece != NULL)
            piece->readers++;
        else
            piece = ask(file, connection, offset,
                        file_size - offset < size ? (uint32_t)(file_size - offset) : size);
        if (piece == NULL)
            return -ENOMEM;
        /* One that came short is asked for again by the reader who needs it. */
        offset = piece->offset + piece->size;
        put_piece(piece);
    }
    return 0;
}

/* Pieces that are worth having under way. */
static unsigned int ahead_max(struct connection *connection)
{
    unsigned int pieces =
        sftp_client_window(connection->client) / sftp_client_read_max(connection->client);

    return pieces < AHEAD_MAX ? pieces : AHEAD_MAX;
}

/* With the file's lock: the bytes at offset from one piece, waited for. Count, or negative. */
static ssize_t read_piece(struct file *file, struct connection *connection, uint64_t offset,
                          uint8_t *buf, size_t size)
{
    struct piece *piece = find(file, offset);
    uint32_t max = sftp_client_read_max(connection->client);
    size_t skip;
    ssize_t result;

    if (piece != NULL)
        piece->readers++;
    else
        piece = ask(file, connection, offset, size < max ? (uint32_t)size : max);
    if (piece == NULL)
        return -ENOMEM;
    result = read_ahead(file, connection, offset);
    if (!piece->is_done) {
        sftp_client_flush(connection->client);
        /* A reader that has to wait is faster than what is read ahead of it. */
        if (file->in_a_row > 2 && file->ahead < ahead_max(connection))
            file->ahead *= 2;
    }
    while (!piece->is_done)
        pthread_cond_wait(&file->changed, &file->lock);
    skip = (size_t)(offset - piece->offset);
    if (result < 0)
        ;
    else if (piece->error != 0)
        result = piece->error == -ENODATA ? 0 : piece->error;
    else if (piece->data == NULL || skip >= piece->got)
        result = -EAGAIN; /* it was dropped, or came short */
    else
        result = (ssize_t)(piece->got - skip < size ? piece->got - skip : size);
    if (result > 0)
        memcpy(buf, piece->data + skip, (size_t)result);
    if ((result <= 0 || file->in_a_row == 0) && !piece->is_dropped)
        drop_piece(file, piece);
    put_piece(piece);
    return result;
}

bool file_is_read_alone(struct file *file, uint64_t offset, size_t size)
{
    bool is_alone = false;

    pthread_mutex_lock(&file->lock);
    if (file->whole == NULL && file->connection != NULL &&
        size <= sftp_client_read_max(file->connection->client) &&
        (!is_in_order(file, offset) || file->in_a_row == 0)) {
        /* What lies around it, read before, is of no use any more. */
        note_reader(file, offset, size);
        is_alone = find(file, offset) == NULL;
    }
    pthread_mutex_unlock(&file->lock);
    return is_alone;
}

ssize_t file_read(struct file *file, uint64_t offset, void *buf, size_t size)
{
    size_t done = 0;
    int tries = 0;
    ssize_t n = 0;

    pthread_mutex_lock(&file->lock);
    if (file->writes_seen != atomic_load(&file->node->writes)) {
        /* What was read ahead is from before a write. */
        file_drop_pieces(file);
        free(move_ptr(file->whole));
        file->writes_seen = atomic_load(&file->node->writes);
    }
    if (file->whole != NULL) {
        if (offset < file->whole_size)
            done = size < file->whole_size - offset ? size : file->whole_size - (size_t)offset;
        memcpy(buf, file->whole + (done > 0 ? offset : 0), done);
        pthread_mutex_unlock(&file->lock);
        return (ssize_t)done;
    }
    note_reader(file, offset, size);
    while (done < size) {
        int error = 0;
        struct connection *connection = file_connected(file, &error);

        n = error;
        if (connection == NULL)
            break;
        n = read_piece(file, connection, offset + done, (uint8_t *)buf + done, size - done);
        remote_put(file->fs->remote, connection);
        if (n == -EAGAIN || (remote_is_lost((int)n) && ++tries < FILE_TRIES))
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (file->connection != NULL)
        sftp_client_flush(file->connection->client);
    pthread_mutex_unlock(&file->lock);
    return n < 0 && done == 0 ? n : (ssize_t)done;
}
