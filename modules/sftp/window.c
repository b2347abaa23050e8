/* SPDX-License-Identifier: MIT */
/* Keeps a window of pieces of one file under way. */
#include "modules/sftp/window.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* With pieces of 255 KiB that is 8 MiB: 80 MB/s over a round trip of 100 ms. */
#define PIECES 32u

struct window;

struct piece {
    struct window *window;
    struct piece *next; /* of those that are done */
    uint64_t offset;
    uint32_t size; /* asked for, or sent */
    uint32_t got;
    uint8_t *data; /* read, or being sent */
    int error;
};

struct window {
    struct sftp_client *client;
    const struct sftp_handle *handle;
    const struct window_user *user;
    uint64_t next, end;
    uint64_t broken; /* the lowest offset at which something is missing */
    unsigned int under_way;
    int error;

    pthread_mutex_t lock;
    pthread_cond_t came;
    struct piece *done, **done_end;
};

static void window_init(struct window *window, struct sftp_client *client,
                        const struct sftp_handle *handle, uint64_t at, uint64_t end,
                        const struct window_user *user)
{
    *window = (struct window){
        .client = client,
        .handle = handle,
        .user = user,
        .next = at,
        .end = end,
        .broken = UINT64_MAX,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .came = PTHREAD_COND_INITIALIZER,
    };
    window->done_end = &window->done;
}

/* On the client's thread; the last that it does with the window. */
static void piece_done(struct piece *piece)
{
    struct window *window = piece->window;

    pthread_mutex_lock(&window->lock);
    piece->next = NULL;
    *window->done_end = piece;
    window->done_end = &piece->next;
    pthread_cond_signal(&window->came);
    pthread_mutex_unlock(&window->lock);
}

/* Waits for pieces that are done, and takes them. */
static struct piece *take_done(struct window *window)
{
    struct piece *done;

    pthread_mutex_lock(&window->lock);
    while (window->done == NULL)
        pthread_cond_wait(&window->came, &window->lock);
    done = window->done;
    window->done = NULL;
    window->done_end = &window->done;
    pthread_mutex_unlock(&window->lock);
    return done;
}

static void piece_free(struct piece *piece)
{
    free(piece->data);
    free(piece);
}

static void set_broken(struct window *window, uint64_t offset, int error)
{
    if (offset < window->broken)
        window->broken = offset;
    if (window->error == 0)
        window->error = error;
}

/* Whether more may be sent. */
static bool has_room(struct window *window)
{
    if (window->error != 0 || window->under_way >= PIECES || window->next >= window->end)
        return false;
    if (window->user->is_stopped(window->user->opaque))
        window->error = -ECANCELED;
    return window->error == 0;
}

static int window_end(struct window *window, uint64_t *at)
{
    *at = window->broken < window->next ? window->broken : window->next;
    (void)pthread_mutex_destroy(&window->lock);
    (void)pthread_cond_destroy(&window->came);
    return window->error;
}

/* ---- Reading ---- */

static void on_read(void *opaque, const struct sftp_reply *reply)
{
    struct piece *piece = opaque;
    const uint8_t *data = NULL;
    size_t size;

    piece->error = sftp_reply_data(reply, &data, &size);
    if (piece->error == 0 && (size == 0 || size > piece->size))
        piece->error = -EBADMSG;
    if (piece->error == 0 && (piece->data = malloc(size)) == NULL)
        piece->error = -ENOMEM;
    if (piece->error == 0) {
        memcpy(piece->data, data, size);
        piece->got = (uint32_t)size;
    }
    piece_done(piece);
}

static void send_read(struct window *window, uint64_t offset, uint32_t size)
{
    struct piece *piece = calloc(1, sizeof(*piece));
    struct sftp_packet packet;

    if (piece == NULL) {
        set_broken(window, offset, -ENOMEM);
        return;
    }
    *piece = (struct piece){.window = window, .offset = offset, .size = size};
    window->under_way++;
    sftp_packet_begin(&packet, SFTP_READ);
    sftp_packet_string(&packet, window->handle->bytes, window->handle->size);
    sftp_packet_u64(&packet, offset);
    sftp_packet_u32(&packet, size);
    sftp_client_send(window->client, &packet, NULL, 0, on_read, piece);
}

static void finish_read(struct window *window, struct piece *piece)
{
    int r = piece->error;

    window->under_way--;
    if (r == 0 && window->error == 0)
        r = window->user->take(window->user->opaque, piece->offset, piece->data, piece->got);
    else if (r == 0)
        r = window->error;
    if (r < 0)
        set_broken(window, piece->offset, r);
    else if (piece->got < piece->size)
        send_read(window, piece->offset + piece->got, piece->size - piece->got);
}

int window_read(struct sftp_client *client, const struct sftp_handle *handle, uint64_t *at,
                uint64_t end, const struct window_user *user)
{
    const uint32_t size_max = sftp_client_read_max(client);
    struct window window;

    window_init(&window, client, handle, *at, end, user);
    for (;;) {
        struct piece *done, *next;

        while (has_room(&window)) {
            uint64_t left = end - window.next;
            uint32_t size = left < size_max ? (uint32_t)left : size_max;

            send_read(&window, window.next, size);
            window.next += size;
        }
        sftp_client_flush(client);
        if (window.under_way == 0)
            return window_end(&window, at);
        for (done = take_done(&window); done != NULL; done = next) {
            next = done->next;
            finish_read(&window, done);
            piece_free(done);
        }
    }
}

/* ---- Writing ---- */

static void on_written(void *opaque, const struct sftp_reply *reply)
{
    struct piece *piece = opaque;

    piece->error = sftp_reply_status(reply);
    piece_done(piece);
}

static void send_write(struct window *window, size_t size_max)
{
    uint64_t left = window->end - window->next;
    size_t size = left < size_max ? (size_t)left : size_max;
    struct piece *piece = calloc(1, sizeof(*piece));
    uint8_t *data = malloc(size);
    struct sftp_packet packet;
    ssize_t n;

    if (piece == NULL || data == NULL) {
        free(piece);
        free(data);
        set_broken(window, window->next, -ENOMEM);
        return;
    }
    n = window->user->give(window->user->opaque, &window->next, data, size);
    if (n <= 0) {
        free(piece);
        free(data);
        if (n < 0)
            set_broken(window, window->next, (int)n);
        else
            window->end = window->next;
        return;
    }
    *piece =
        (struct piece){.window = window, .offset = window->next, .size = (uint32_t)n, .data = data};
    window->under_way++;
    window->next += (uint64_t)n;
    sftp_packet_begin(&packet, SFTP_WRITE);
    sftp_packet_string(&packet, window->handle->bytes, window->handle->size);
    sftp_packet_u64(&packet, piece->offset);
    sftp_packet_u32(&packet, piece->size);
    sftp_client_send(window->client, &packet, data, piece->size, on_written, piece);
    sftp_client_flush(window->client);
}

int window_write(struct sftp_client *client, const struct sftp_handle *handle, uint64_t *at,
                 uint64_t end, const struct window_user *user)
{
    const size_t size_max = sftp_client_write_max(client);
    struct window window;

    window_init(&window, client, handle, *at, end, user);
    for (;;) {
        struct piece *done, *next;

        while (has_room(&window))
            send_write(&window, size_max);
        if (window.under_way == 0)
            break;
        for (done = take_done(&window); done != NULL; done = next) {
            next = done->next;
            window.under_way--;
            if (done->error < 0)
                set_broken(&window, done->offset, done->error);
            piece_free(done);
        }
    }
    return window_end(&window, at);
}
