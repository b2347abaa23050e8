/* SPDX-License-Identifier: MIT */
/* Keeps many SFTP requests under way on one link. */

/*
 * Theory of operation
 *
 * A request's id is the index of its slot and a number that changes with each use of the
 * slot, so that an answer that nobody asked for is known. Whoever sends appends to one
 * queue. At a flush a short queue is written at once, which spares a change of threads; a long
 * one, and what the link did not take, is left to the client's thread, which waits for the
 * link and reads the answers, so that who sends much goes on meanwhile. One lock guards slots
 * and queue, and is held for moments; another one guards the link, which may encrypt under
 * it. Who writes takes over all that is queued and needs the first lock no more. Answers are
 * read into one buffer and handed out from there, without a lock, as nobody else touches the
 * buffer.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/deadline.h"
#include "modules/sftp/client-internal.h"
#include "modules/sftp/greeting.h"

#define SLOT_BITS 10
/* Kept for what the thread sends when answers come, as it cannot wait for others. */
#define SLOTS_KEPT 64u
/* What is queued at most before a sender waits. */
#define QUEUE_MAX (8u * 1024u * 1024u)
/* A longer queue is left to the thread. */
#define AT_ONCE_MAX (64u * 1024u)
/*
 * So much of a request is copied into the queue, so that it makes one whole packet of SSH, of
 * OpenSSH's 32 KiB less what libssh keeps free; what is beyond is sent from where it is.
 */
#define COPIED_MAX (32768u - 10u)
/*
 * What is worth having under way: as much as comes in a round trip at a gigabyte a second, and
 * enough that nobody waits for another thread's turn. More would only leave the processor's
 * cache before it is used.
 */
#define WINDOW_MIN    (512 * 1024)
#define WINDOW_PER_US 1000
#define WINDOW_MAX    (16 * 1024 * 1024)
/* What one request carries when the server does not tell: what every server must take. */
#define PIECE_PLAIN 32768u
/* OpenSSH's limit on packets, less what is not data. */
#define PIECE_MAX (255u * 1024u)

_Static_assert(SFTP_REQUESTS_MAX == 1u << SLOT_BITS, "a slot's index is part of the id");

static uint32_t window(int64_t round_trip_us)
{
    int64_t size = WINDOW_MIN + round_trip_us * WINDOW_PER_US;

    return round_trip_us == 0 || size > WINDOW_MAX ? WINDOW_MAX : (uint32_t)size;
}

/* ---- Slots and the queue; all with the lock ---- */

/* Frees the slot and says whose it was. */
struct slot client_slot_take(struct sftp_client *client, uint32_t index)
{
    struct slot was = client->slots[index];

    if (client->under_way == SFTP_REQUESTS_MAX - SLOTS_KEPT)
        pthread_cond_broadcast(&client->room);
    client->slots[index].done = NULL;
    client->slots[index].next_free = client->first_free;
    client->first_free = index;
    client->under_way--;
    client->on_its_way -= was.size;
    return was;
}

void client_set_dead(struct sftp_client *client, int error)
{
    if (client->error != 0)
        return;
    client->error = error;
    (void)eventfd_write(client->dead_fd, 1);
    (void)eventfd_write(client->wake_fd, 1);
    pthread_cond_broadcast(&client->room);
}

/* ---- Writing; all with the link's lock ---- */

/* What is to be written next. NULL: nothing, or the client is dead. */
static const uint8_t *next_bytes(struct sftp_client *client, size_t *size)
{
    bool has_some, is_enough;

    pthread_mutex_lock(&client->lock);
    if (client->sending.size == 0) {
        struct outgoing empty = client->sending;

        client->sending = client->queue;
        client->queue = empty;
    }
    has_some = client->error == 0 && client->sending.size > 0;
    /* The thread goes on with it when answers have come. */
    is_enough = client->on_its_way >= window(client->round_trip_us);
    client->is_left_to_thread = has_some && (is_enough || client->is_left_to_thread);
    pthread_mutex_unlock(&client->lock);
    return has_some && !is_enough ? outgoing_next(&client->sending, size) : NULL;
}

static void pass_bytes(struct sftp_client *client, size_t size)
{
    outgoing_pass(&client->sending, size);
    pthread_mutex_lock(&client->lock);
    client->sent += size;
    rate_add(&client->sent_rate, size, deadline_now());
    client->unsent -= size;
    client->on_its_way += size;
    /* Not for every little room: who is woken is to have something to do. */
    if (client->unsent <= QUEUE_MAX / 2 && client->unsent + size > QUEUE_MAX / 2)
        pthread_cond_broadcast(&client->room);
    pthread_mutex_unlock(&client->lock);
}

/* Writes what the link takes. Whether some is left, to the thread. */
bool client_write_queue(struct sftp_client *client)
{
    const uint8_t *next;
    size_t size;

    while ((next = next_bytes(client, &size)) != NULL) {
        ssize_t n = client->link->ops->write(client->link, next, size);
        bool is_full = n == 0 || n == -EAGAIN;

        if (n > 0) {
            pass_bytes(client, (size_t)n);
            continue;
        }
        pthread_mutex_lock(&client->lock);
        client->is_left_to_thread = is_full;
        if (!is_full)
            client_set_dead(client, -ECONNRESET);
        pthread_mutex_unlock(&client->lock);
        return is_full;
    }
    return false;
}

/* ---- Sending ---- */

/* With the lock: queues a request with its data. False: no memory. */
static bool append(struct sftp_client *client, struct outgoing_lent *lent,
                   const struct sftp_packet *packet, const uint8_t *data, size_t size)
{
    size_t copied = packet->size < COPIED_MAX ? COPIED_MAX - packet->size : 0;

    if (copied > size)
        copied = size;
    if (!outgoing_copy(&client->queue, packet->data, packet->size) ||
        (copied > 0 && !outgoing_copy(&client->queue, data, copied)))
        return false;
    if (copied < size)
        outgoing_lend(&client->queue, lent, data + copied, size - copied);
    client->unsent += packet->size + size;
    return true;
}

/* With the lock. */
static void leave_to_thread(struct sftp_client *client)
{
    if (client->is_left_to_thread)
        return;
    client->is_left_to_thread = true;
    (void)eventfd_write(client->wake_fd, 1);
}

void sftp_client_send(struct sftp_client *client, struct sftp_packet *packet, const void *data,
                      size_t size, sftp_done_fn *done, void *opaque)
{
    struct sftp_reply none = {0};
    struct slot *slot;
    uint32_t index;
    bool is_thread = client->has_thread && pthread_equal(pthread_self(), client->thread);

    pthread_mutex_lock(&client->lock);
    /* The thread cannot wait for itself: what it sends may exceed the queue's bound. */
    while (!is_thread && client->error == 0 &&
           (client->under_way >= SFTP_REQUESTS_MAX - SLOTS_KEPT || client->unsent > QUEUE_MAX)) {
        leave_to_thread(client);
        pthread_cond_wait(&client->room, &client->lock);
    }
    index = client->first_free;
    if (client->error != 0) {
        none.error = client->error;
    } else if (index == SFTP_REQUESTS_MAX) {
        none.error = -EAGAIN;
    } else {
        slot = &client->slots[index];
        slot->id += SFTP_REQUESTS_MAX;
        none.error = sftp_packet_end(packet, slot->id, size);
        if (none.error == 0 && !append(client, &slot->lent, packet, data, size)) {
            none.error = -ENOMEM;
            /* Half a packet would make nonsense of all that follow. */
            client_set_dead(client, -ENOMEM);
        }
        if (none.error == 0) {
            client->first_free = slot->next_free;
            slot->done = done;
            slot->opaque = opaque;
            slot->sent_us = clock_us(CLOCK_MONOTONIC);
            slot->size = packet->size + size;
            if (client->under_way++ == 0)
                client->owed_since_ms = slot->sent_us / 1000;
        }
    }
    pthread_mutex_unlock(&client->lock);
    sftp_packet_free(packet);
    if (none.error != 0)
        done(opaque, &none);
}

void sftp_client_flush(struct sftp_client *client)
{
    bool has_work;

    pthread_mutex_lock(&client->lock);
    if (client->unsent == 0 || client->is_left_to_thread) {
        pthread_mutex_unlock(&client->lock);
        return;
    }
    if (client->unsent > AT_ONCE_MAX || pthread_mutex_trylock(&client->link_lock) != 0) {
        leave_to_thread(client);
        pthread_mutex_unlock(&client->lock);
        return;
    }
    pthread_mutex_unlock(&client->lock);
    has_work = client_write_queue(client);
    /* A link may take bytes in while it writes, which the thread would not learn of. */
    has_work = client->link->ops->has_data(client->link) || has_work;
    pthread_mutex_unlock(&client->link_lock);
    if (has_work)
        (void)eventfd_write(client->wake_fd, 1);
}

/* ---- The beginning ---- */

/* The value the server states, within what we take; ours when it states none. */
static uint32_t limit(uint64_t stated, uint32_t fallback)
{
    if (stated == 0)
        return fallback;
    return stated > PIECE_MAX ? PIECE_MAX : (uint32_t)stated;
}

/* OpenSSH's PROTOCOL, section 4.8: the longest packet, read and write, the most handles. */
static int ask_limits(struct sftp_client *client, struct crosh_error *err)
{
    struct sftp_packet packet;
    struct sftp_reply reply;
    int r;

    client->read_max = client->write_max = PIECE_PLAIN;
    if ((client->can & SFTP_CAN_LIMITS) == 0)
        return 0;
    sftp_packet_begin(&packet, SFTP_EXTENDED);
    sftp_packet_text(&packet, "limits@openssh.com");
    r = sftp_call(client, &packet, &reply);
    if (r == 0 && reply.type == SFTP_EXTENDED_REPLY) {
        (void)sftp_read_u64(&reply.body);
        client->read_max = limit(sftp_read_u64(&reply.body), PIECE_PLAIN);
        client->write_max = limit(sftp_read_u64(&reply.body), PIECE_PLAIN);
    }
    sftp_call_free(&reply);
    return r < 0 ? crosh_error_set(err, r, "the server does not answer") : 0;
}

static int start_thread(struct sftp_client *client)
{
    sigset_t all, before;
    int r;

    /* Signals are for the threads of the program. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&client->thread, NULL, client_thread, client);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    client->has_thread = r == 0;
    return -r;
}

struct sftp_client *sftp_client_new(struct sftp_link *link, int timeout_ms, struct crosh_error *err)
{
    struct sftp_client *client = calloc(1, sizeof(*client));
    int r;

    if (client == NULL) {
        sftp_link_free(link);
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    client->link = link;
    client->timeout_ms = timeout_ms;
    (void)pthread_mutex_init(&client->link_lock, NULL);
    (void)pthread_mutex_init(&client->lock, NULL);
    (void)pthread_cond_init(&client->room, NULL);
    client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    client->dead_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    client->buffer = malloc(CLIENT_BUFFER_SIZE);
    for (uint32_t i = 0; i < SFTP_REQUESTS_MAX; i++)
        client->slots[i] = (struct slot){.id = i, .next_free = i + 1};
    if (client->wake_fd < 0 || client->dead_fd < 0 || client->buffer == NULL)
        r = crosh_error_set(err, -ENOMEM, "out of memory or descriptors");
    else
        r = sftp_greet(link, timeout_ms, &client->can, err);
    if (r == 0) {
        r = start_thread(client);
        r = r < 0 ? crosh_error_set(err, r, "cannot start a thread") : ask_limits(client, err);
    }
    if (r == 0)
        return client;
    sftp_client_free(client);
    return NULL;
}

void sftp_client_free(struct sftp_client *client)
{
    if (client == NULL)
        return;
    if (client->has_thread) {
        pthread_mutex_lock(&client->lock);
        client->is_closing = true;
        pthread_mutex_unlock(&client->lock);
        (void)eventfd_write(client->wake_fd, 1);
        (void)pthread_join(client->thread, NULL);
    }
    sftp_link_free(client->link);
    if (client->wake_fd >= 0)
        (void)close(client->wake_fd);
    if (client->dead_fd >= 0)
        (void)close(client->dead_fd);
    (void)pthread_mutex_destroy(&client->link_lock);
    (void)pthread_mutex_destroy(&client->lock);
    (void)pthread_cond_destroy(&client->room);
    free(client->buffer);
    outgoing_fini(&client->sending);
    outgoing_fini(&client->queue);
    free(client);
}

void sftp_client_abort(struct sftp_client *client)
{
    pthread_mutex_lock(&client->lock);
    client_set_dead(client, -ECANCELED);
    pthread_mutex_unlock(&client->lock);
}

/* ---- What is known of it ---- */

int sftp_client_state(struct sftp_client *client)
{
    int error;

    pthread_mutex_lock(&client->lock);
    error = client->error;
    pthread_mutex_unlock(&client->lock);
    return error;
}

int sftp_client_dead_fd(const struct sftp_client *client)
{
    return client->dead_fd;
}

unsigned int sftp_client_can(const struct sftp_client *client)
{
    return client->can;
}

uint32_t sftp_client_read_max(const struct sftp_client *client)
{
    return client->read_max;
}

uint32_t sftp_client_write_max(const struct sftp_client *client)
{
    return client->write_max;
}

int64_t sftp_client_round_trip_us(struct sftp_client *client)
{
    int64_t us;

    pthread_mutex_lock(&client->lock);
    us = client->round_trip_us;
    pthread_mutex_unlock(&client->lock);
    return us;
}

uint32_t sftp_client_window(struct sftp_client *client)
{
    return window(sftp_client_round_trip_us(client));
}

void sftp_client_add_traffic(struct sftp_client *client, struct sftp_traffic *traffic)
{
    int64_t now;

    pthread_mutex_lock(&client->lock);
    now = deadline_now();
    traffic->sent += client->sent;
    traffic->received += client->received;
    traffic->sent_rate += rate_get(&client->sent_rate, now);
    traffic->received_rate += rate_get(&client->received_rate, now);
    pthread_mutex_unlock(&client->lock);
}
