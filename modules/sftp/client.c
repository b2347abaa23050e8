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
 *
 * A server that owes an answer and sends nothing at all for the time-out is taken for
 * gone, and so is one whose bytes make no whole answer for so much longer as the slowest link
 * takes for one, one that answers what was asked that much later than another thing, or
 * whose bytes are no protocol. All that was under way then ends with
 * that error, and so does all that is sent later.
 */
#include "modules/sftp/client.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/deadline.h"
#include "modules/sftp/greeting.h"
#include "modules/sftp/outgoing.h"
#include "modules/sftp/rate.h"
#include "modules/sftp/vigil.h"

#define SLOT_BITS   10
#define BUFFER_SIZE (2 * (size_t)SFTP_PACKET_MAX)
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
/* How often it is looked for an answer that never came among others that did. */
#define FORGOTTEN_EVERY_MS 1000
/* The slowest link that is not taken for a server that hands out its bytes singly; a second. */
#define SLOWEST 4096
/* So many bytes may have to come before the link hands out the first: a packet of SSH. */
#define LINK_PIECE 32768u
/* What one request carries when the server does not tell: what every server must take. */
#define PIECE_PLAIN 32768u
/* OpenSSH's limit on packets, less what is not data. */
#define PIECE_MAX (255u * 1024u)

_Static_assert(SFTP_REQUESTS_MAX == 1u << SLOT_BITS, "a slot's index is part of the id");

struct slot {
    sftp_done_fn *done; /* NULL: free */
    void *opaque;
    uint32_t id;
    int64_t sent_us;
    size_t size; /* of the whole packet */
    uint32_t next_free;
    struct outgoing_lent lent; /* what the queue has not copied of it */
};

struct sftp_client {
    struct sftp_link *link;
    int timeout_ms;
    pthread_t thread;
    bool has_thread;
    int wake_fd, dead_fd;

    pthread_mutex_t link_lock; /* taken before the other */
    struct outgoing sending;   /* with it: what was taken over from the queue */

    pthread_mutex_t lock;
    pthread_cond_t room; /* a slot is free, or little is unsent, or the client is dead */
    struct slot slots[SFTP_REQUESTS_MAX];
    uint32_t first_free; /* SFTP_REQUESTS_MAX: none */
    unsigned int under_way;
    struct outgoing queue;
    size_t unsent;          /* bytes, of what was taken over, too */
    size_t on_its_way;      /* bytes that were written, of what has no answer yet */
    bool is_left_to_thread; /* which writes all that is queued, as soon as the link takes it */
    int64_t look_again_ms;  /* for what the server may have forgotten */
    int64_t owed_since_ms;  /* when the first of those under way was sent */
    bool is_closing;
    int error; /* 0, or why it is dead */
    int64_t round_trip_us;
    int64_t answered_us; /* when the last was sent of those that were answered */
    uint64_t sent, received;
    struct rate sent_rate, received_rate;

    /* The thread's alone. */
    uint8_t *buffer;
    size_t filled;
    size_t coming;    /* of the packet that has begun to come */
    int64_t whole_ms; /* when the last one had come */

    unsigned int can;
    uint32_t read_max, write_max;
};

static uint32_t window(int64_t round_trip_us)
{
    int64_t size = WINDOW_MIN + round_trip_us * WINDOW_PER_US;

    return round_trip_us == 0 || size > WINDOW_MAX ? WINDOW_MAX : (uint32_t)size;
}

/* ---- Slots and the queue; all with the lock ---- */

/* Frees the slot and says whose it was. */
static struct slot slot_take(struct sftp_client *client, uint32_t index)
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

static void set_dead(struct sftp_client *client, int error)
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
static bool write_queue(struct sftp_client *client)
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
            set_dead(client, -ECONNRESET);
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
            set_dead(client, -ENOMEM);
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
    has_work = write_queue(client);
    /* A link may take bytes in while it writes, which the thread would not learn of. */
    has_work = client->link->ops->has_data(client->link) || has_work;
    pthread_mutex_unlock(&client->link_lock);
    if (has_work)
        (void)eventfd_write(client->wake_fd, 1);
}

/* ---- The thread ---- */

/* With the lock. What is not all sent has no answer yet, and has to stay. */
static bool is_answer(const struct slot *slot, uint32_t id)
{
    return slot->done != NULL && slot->id == id && outgoing_lent_size(&slot->lent) == 0;
}

/* Hands one packet out: type, id and what is behind them. 0, or -EBADMSG. */
static int take_packet(struct sftp_client *client, const uint8_t *packet, size_t size)
{
    struct sftp_reader reader = {.data = packet, .size = size};
    struct sftp_reply reply = {0};
    struct slot slot;
    bool is_owed;
    int64_t took;
    uint32_t id;

    reply.type = sftp_read_u8(&reader);
    id = sftp_read_u32(&reader);
    if (reader.failed)
        return -EBADMSG;
    reply.body = reader;
    pthread_mutex_lock(&client->lock);
    is_owed = is_answer(&client->slots[id % SFTP_REQUESTS_MAX], id);
    if (is_owed) {
        slot = slot_take(client, id % SFTP_REQUESTS_MAX);
        took = clock_us(CLOCK_MONOTONIC) - slot.sent_us;
        if (slot.sent_us > client->answered_us)
            client->answered_us = slot.sent_us;
        if (client->round_trip_us == 0 || took < client->round_trip_us)
            client->round_trip_us = took;
    }
    pthread_mutex_unlock(&client->lock);
    if (!is_owed)
        return -EBADMSG; /* an answer to nothing */
    slot.done(slot.opaque, &reply);
    return 0;
}

/* Takes all whole packets out of the buffer. 0, or -EBADMSG. */
static int take_packets(struct sftp_client *client)
{
    size_t at = 0;
    int r = 0;

    client->coming = 0;
    while (r == 0 && client->filled - at >= sizeof(uint32_t)) {
        uint32_t length;

        memcpy(&length, client->buffer + at, sizeof(length));
        length = be32toh(length);
        if (length < 5 || length > SFTP_PACKET_MAX)
            return -EBADMSG;
        if (client->filled - at - sizeof(length) < length) {
            client->coming = length;
            break;
        }
        r = take_packet(client, client->buffer + at + sizeof(length), length);
        at += sizeof(length) + length;
    }
    if (at > 0)
        client->whole_ms = deadline_now();
    client->filled -= at;
    memmove(client->buffer, client->buffer + at, client->filled);
    return r;
}

/* Reads what there is, or much of it. */
static void read_link(struct sftp_client *client)
{
    ssize_t n;
    int error = 0;

    pthread_mutex_lock(&client->link_lock);
    n = client->link->ops->read(client->link, client->buffer + client->filled,
                                BUFFER_SIZE - client->filled);
    pthread_mutex_unlock(&client->link_lock);
    if (n == -EAGAIN)
        return;
    if (n > 0) {
        pthread_mutex_lock(&client->lock);
        client->received += (uint64_t)n;
        rate_add(&client->received_rate, (uint64_t)n, deadline_now());
        pthread_mutex_unlock(&client->lock);
        client->filled += (size_t)n;
        error = take_packets(client);
    } else {
        error = -ECONNRESET;
    }
    if (error != 0) {
        pthread_mutex_lock(&client->lock);
        set_dead(client, error);
        pthread_mutex_unlock(&client->lock);
    }
}

/* Ends all that is under way, with the reason. */
static void fail_all(struct sftp_client *client)
{
    struct sftp_reply none = {0};

    /* Nobody writes what goes with them: who comes to the link next finds the client dead. */
    pthread_mutex_lock(&client->link_lock);
    pthread_mutex_lock(&client->lock);
    set_dead(client, -ECONNRESET);
    pthread_mutex_unlock(&client->link_lock);
    none.error = client->error;
    for (uint32_t i = 0; i < SFTP_REQUESTS_MAX; i++) {
        struct slot slot;

        if (client->slots[i].done == NULL)
            continue;
        slot = slot_take(client, i);
        pthread_mutex_unlock(&client->lock);
        slot.done(slot.opaque, &none);
        pthread_mutex_lock(&client->lock);
    }
    pthread_mutex_unlock(&client->lock);
}

/* With the lock: whether an answer is owed that long, while the server answers others. */
static bool is_forgotten(const struct sftp_client *client)
{
    const int64_t timeout_us = (int64_t)client->timeout_ms * 1000;

    for (uint32_t i = 0; i < SFTP_REQUESTS_MAX; i++) {
        if (client->slots[i].done != NULL &&
            client->slots[i].sent_us + timeout_us < client->answered_us)
            return true;
    }
    return false;
}

/*
 * With the lock: when a whole answer is due, however many bytes come. Before each there may be one
 * request of the longest that is still on its way.
 */
static int64_t whole_due_ms(const struct sftp_client *client)
{
    int64_t since =
        client->whole_ms > client->owed_since_ms ? client->whole_ms : client->owed_since_ms;
    size_t going = client->on_its_way < SFTP_PACKET_MAX ? client->on_its_way : SFTP_PACKET_MAX;
    size_t coming = client->coming > LINK_PIECE ? client->coming : LINK_PIECE;

    return since + client->timeout_ms + (int64_t)(going + coming) * 1000 / SLOWEST;
}

/*
 * How long the thread may wait, given when the server was heard last. With the lock. It is not
 * woken for what is sent meanwhile: so it looks once in a while when nothing is owed, too.
 */
static int patience(struct sftp_client *client, int64_t heard_ms)
{
    int64_t since = heard_ms > client->owed_since_ms ? heard_ms : client->owed_since_ms;
    int64_t due = since + client->timeout_ms, whole_due = whole_due_ms(client);
    int64_t left = (due < whole_due ? due : whole_due) - deadline_now();

    if (client->under_way == 0)
        return client->timeout_ms;
    if (left > 0 && deadline_now() >= client->look_again_ms) {
        client->look_again_ms = deadline_in(FORGOTTEN_EVERY_MS);
        if (is_forgotten(client))
            left = 0;
    }
    if (left <= 0)
        set_dead(client, -ETIMEDOUT);
    return left > 0 ? (int)left : 0;
}

static unsigned int under_way(struct sftp_client *client)
{
    unsigned int n;

    pthread_mutex_lock(&client->lock);
    n = client->under_way;
    pthread_mutex_unlock(&client->lock);
    return n;
}

static void *client_thread(void *opaque)
{
    struct sftp_client *client = opaque;
    int64_t heard_ms = deadline_now();
    struct vigil vigil;

    client->whole_ms = heard_ms;
    vigil_init(&vigil);
    for (;;) {
        struct pollfd pfd[2] = {{.fd = client->link->fd, .events = POLLIN},
                                {.fd = client->wake_fd, .events = POLLIN}};
        eventfd_t count;
        bool is_over, has_data;
        int timeout;

        pthread_mutex_lock(&client->link_lock);
        if (write_queue(client))
            pfd[0].events |= client->link->ops->write_events(client->link);
        has_data = client->link->ops->has_data(client->link);
        pthread_mutex_unlock(&client->link_lock);
        pthread_mutex_lock(&client->lock);
        timeout = patience(client, heard_ms);
        is_over = client->is_closing || client->error != 0;
        pthread_mutex_unlock(&client->lock);
        if (is_over)
            break;
        if ((has_data || vigil_poll(&vigil, pfd, 2) == 0) &&
            poll(pfd, 2, has_data ? 0 : timeout) < 0 && errno != EINTR)
            break;
        if ((pfd[1].revents & POLLIN) != 0)
            (void)eventfd_read(client->wake_fd, &count);
        if (has_data || pfd[0].revents != 0) {
            heard_ms = deadline_now();
            read_link(client);
            vigil_note(&vigil, under_way(client) <= 1, clock_us(CLOCK_MONOTONIC));
        }
    }
    fail_all(client);
    return NULL;
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
    client->buffer = malloc(BUFFER_SIZE);
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
    set_dead(client, -ECANCELED);
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
