/* SPDX-License-Identifier: MIT */
/* Keeps many SFTP requests under way on one link. */

/*
 * Theory of operation
 *
 * A request's id is the index of its slot and a number that changes with each use of the
 * slot, so that an answer that nobody asked for is known. Whoever sends appends to one
 * queue and, at a flush, writes as much as the link takes; what is left is written by the
 * client's thread, which waits for the link and reads the answers. One lock guards link,
 * queue and slots. Answers are read into one buffer and handed out from there, without
 * the lock, as nobody else touches the buffer.
 *
 * A server that owes an answer and sends nothing at all for the time-out is taken for
 * gone, and so is one whose bytes are no protocol. All that was under way then ends with
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
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/sftp/outgoing.h"
#include "modules/sftp/rate.h"

#define SLOT_BITS   10
#define BUFFER_SIZE (2 * (size_t)SFTP_PACKET_MAX)
/* What is queued at most before a sender waits. */
#define QUEUE_MAX (8u * 1024u * 1024u)
/*
 * So much of a request is copied into the queue, so that it makes one whole packet of SSH, of
 * OpenSSH's 32 KiB less what libssh keeps free; what is beyond is sent from where it is.
 */
#define COPIED_MAX (32768u - 10u)
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
    uint32_t next_free;
    struct outgoing_lent lent; /* what the queue has not copied of it */
};

struct sftp_client {
    struct sftp_link *link;
    int timeout_ms;
    pthread_t thread;
    bool has_thread;
    int wake_fd, dead_fd;

    pthread_mutex_t lock;
    pthread_cond_t room; /* a slot is free, or the queue is shorter, or the client is dead */
    struct slot slots[SFTP_REQUESTS_MAX];
    uint32_t first_free; /* SFTP_REQUESTS_MAX: none */
    unsigned int under_way;
    struct outgoing queue;
    bool is_thread_writing; /* the thread waits until the link takes more */
    int64_t owed_since_ms;  /* when the first of those under way was sent */
    bool is_closing;
    int error; /* 0, or why it is dead */
    int64_t round_trip_us;
    uint64_t sent, received;
    struct rate sent_rate, received_rate;

    /* The thread's alone. */
    uint8_t *buffer;
    size_t filled;

    unsigned int can;
    uint32_t read_max, write_max;
};

static int64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- Slots and the queue; all with the lock ---- */

/* Frees the slot and says whose it was. */
static struct slot slot_take(struct sftp_client *client, uint32_t index)
{
    struct slot was = client->slots[index];

    client->slots[index].done = NULL;
    client->slots[index].next_free = client->first_free;
    client->first_free = index;
    client->under_way--;
    pthread_cond_broadcast(&client->room);
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

/* Writes what the link takes. Whether some is left. */
static bool write_queue(struct sftp_client *client)
{
    while (client->error == 0 && client->queue.size > 0) {
        size_t size;
        const uint8_t *next = outgoing_next(&client->queue, &size);
        ssize_t n = client->link->ops->write(client->link, next, size);

        if (n == 0 || n == -EAGAIN)
            return true;
        if (n < 0) {
            set_dead(client, -ECONNRESET);
            break;
        }
        outgoing_pass(&client->queue, (size_t)n);
        client->sent += (uint64_t)n;
        rate_add(&client->sent_rate, (uint64_t)n, deadline_now());
        pthread_cond_broadcast(&client->room);
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
    return true;
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
    while (client->error == 0 && (client->first_free == SFTP_REQUESTS_MAX ||
                                  (!is_thread && client->queue.size > QUEUE_MAX))) {
        if (is_thread)
            break;
        if (write_queue(client))
            (void)eventfd_write(client->wake_fd, 1);
        if (client->first_free == SFTP_REQUESTS_MAX || client->queue.size > QUEUE_MAX)
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
            slot->sent_us = now_us();
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
    pthread_mutex_lock(&client->lock);
    /* A link may take bytes in while it writes, which the thread would not learn of. */
    if (!client->is_thread_writing &&
        (write_queue(client) || client->link->ops->has_data(client->link)))
        (void)eventfd_write(client->wake_fd, 1);
    pthread_mutex_unlock(&client->lock);
}

/* ---- The thread ---- */

/* Hands one packet out: type, id and what is behind them. 0, or -EBADMSG. */
static int take_packet(struct sftp_client *client, const uint8_t *packet, size_t size)
{
    struct sftp_reader reader = {.data = packet, .size = size};
    struct sftp_reply reply = {0};
    struct slot slot;
    uint32_t id;

    reply.type = sftp_read_u8(&reader);
    id = sftp_read_u32(&reader);
    if (reader.failed)
        return -EBADMSG;
    reply.body = reader;
    pthread_mutex_lock(&client->lock);
    slot = client->slots[id % SFTP_REQUESTS_MAX];
    if (slot.lent.size > 0) {
        slot.done = NULL; /* the answer to what is not all sent, and so has to stay */
    } else if (slot.done != NULL && slot.id == id) {
        int64_t took = now_us() - slot.sent_us;

        (void)slot_take(client, id % SFTP_REQUESTS_MAX);
        if (client->round_trip_us == 0 || took < client->round_trip_us)
            client->round_trip_us = took;
    } else {
        slot.done = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    if (slot.done == NULL)
        return -EBADMSG; /* an answer to nothing */
    slot.done(slot.opaque, &reply);
    return 0;
}

/* Takes all whole packets out of the buffer. 0, or -EBADMSG. */
static int take_packets(struct sftp_client *client)
{
    size_t at = 0;
    int r = 0;

    while (r == 0 && client->filled - at >= sizeof(uint32_t)) {
        uint32_t length;

        memcpy(&length, client->buffer + at, sizeof(length));
        length = be32toh(length);
        if (length < 5 || length > SFTP_PACKET_MAX)
            return -EBADMSG;
        if (client->filled - at - sizeof(length) < length)
            break;
        r = take_packet(client, client->buffer + at + sizeof(length), length);
        at += sizeof(length) + length;
    }
    client->filled -= at;
    memmove(client->buffer, client->buffer + at, client->filled);
    return r;
}

/* Reads what there is. Whether there may be more. */
static bool read_link(struct sftp_client *client)
{
    ssize_t n;
    int error = 0;

    pthread_mutex_lock(&client->lock);
    n = client->link->ops->read(client->link, client->buffer + client->filled,
                                BUFFER_SIZE - client->filled);
    if (n > 0) {
        client->received += (uint64_t)n;
        rate_add(&client->received_rate, (uint64_t)n, deadline_now());
    }
    pthread_mutex_unlock(&client->lock);
    if (n == -EAGAIN)
        return false;
    if (n > 0) {
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
    return error == 0;
}

/* Ends all that is under way, with the reason. */
static void fail_all(struct sftp_client *client)
{
    struct sftp_reply none = {0};

    pthread_mutex_lock(&client->lock);
    set_dead(client, -ECONNRESET);
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

/*
 * How long the thread may wait, given when the server was heard last. With the lock. It is not
 * woken for what is sent meanwhile: so it looks once in a while when nothing is owed, too.
 */
static int patience(struct sftp_client *client, int64_t heard_ms)
{
    int64_t since = heard_ms > client->owed_since_ms ? heard_ms : client->owed_since_ms;
    int64_t left = since + client->timeout_ms - deadline_now();

    if (client->under_way == 0)
        return client->timeout_ms;
    if (left <= 0)
        set_dead(client, -ETIMEDOUT);
    return left > 0 ? (int)left : 0;
}

static void *client_thread(void *opaque)
{
    struct sftp_client *client = opaque;
    int64_t heard_ms = deadline_now();

    for (;;) {
        struct pollfd pfd[2] = {{.fd = client->link->fd, .events = POLLIN},
                                {.fd = client->wake_fd, .events = POLLIN}};
        eventfd_t count;
        bool is_over, has_data;
        int timeout;

        pthread_mutex_lock(&client->lock);
        client->is_thread_writing = write_queue(client);
        if (client->is_thread_writing)
            pfd[0].events |= client->link->ops->write_events(client->link);
        timeout = patience(client, heard_ms);
        is_over = client->is_closing || client->error != 0;
        has_data = client->link->ops->has_data(client->link);
        pthread_mutex_unlock(&client->lock);
        if (is_over)
            break;
        if (poll(pfd, 2, has_data ? 0 : timeout) < 0 && errno != EINTR)
            break;
        if ((pfd[1].revents & POLLIN) != 0)
            (void)eventfd_read(client->wake_fd, &count);
        if (has_data || pfd[0].revents != 0) {
            heard_ms = deadline_now();
            while (read_link(client))
                ;
        }
    }
    fail_all(client);
    return NULL;
}

/* ---- The beginning ---- */

/* Sends the first packet and waits for the server's. */
static int exchange_versions(struct sftp_client *client, struct crosh_error *err)
{
    int64_t deadline = deadline_in(client->timeout_ms);
    struct sftp_packet packet;
    uint32_t length;
    bool is_queued;

    sftp_packet_begin(&packet, SFTP_INIT);
    is_queued = sftp_packet_end(&packet, SFTP_VERSION, 0) == 0 &&
                outgoing_copy(&client->queue, packet.data, packet.size);
    sftp_packet_free(&packet);
    if (!is_queued)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (;;) {
        bool is_waiting = write_queue(client);
        ssize_t n;
        int r;

        if (client->error != 0)
            return crosh_error_set(err, client->error, "the server closed the connection");
        n = client->link->ops->read(client->link, client->buffer + client->filled,
                                    BUFFER_SIZE - client->filled);
        if (n == 0 || (n < 0 && n != -EAGAIN))
            return crosh_error_set(err, -ECONNRESET, "the server offers no SFTP");
        if (n > 0)
            client->filled += (size_t)n;
        if (client->filled >= sizeof(length) + 5) {
            memcpy(&length, client->buffer, sizeof(length));
            length = be32toh(length);
            if (length < 5 || length > SFTP_PACKET_MAX || client->buffer[4] != SFTP_VERSION_REPLY) {
                (void)crosh_error_set(err, -EPROTO, "the server does not speak SFTP");
                return crosh_error_hint(err, "a start-up file of the user's shell there may print "
                                             "text: it must be silent");
            }
            if (client->filled - sizeof(length) >= length)
                return (int)length;
        }
        r = n > 0
                ? 0
                : deadline_poll(client->link->fd,
                                is_waiting ? POLLIN | client->link->ops->write_events(client->link)
                                           : POLLIN,
                                deadline);
        if (r < 0)
            return crosh_error_set(err, r, "the server does not answer");
    }
}

static void read_extensions(struct sftp_client *client, struct sftp_reader *reader)
{
    static const struct {
        const char *name, *version;
        unsigned int can;
    } known[] = {
        {"posix-rename@openssh.com", "1", SFTP_CAN_POSIX_RENAME},
        {"statvfs@openssh.com", "2", SFTP_CAN_STATVFS},
        {"hardlink@openssh.com", "1", SFTP_CAN_HARDLINK},
        {"fsync@openssh.com", "1", SFTP_CAN_FSYNC},
        {"lsetstat@openssh.com", "1", SFTP_CAN_LSETSTAT},
        {"limits@openssh.com", "1", SFTP_CAN_LIMITS},
    };

    while (reader->size > 0 && !reader->failed) {
        size_t name_size, version_size;
        const uint8_t *name = sftp_read_string(reader, &name_size);
        const uint8_t *version = sftp_read_string(reader, &version_size);

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !reader->failed; i++) {
            if (name_size == strlen(known[i].name) && version_size == strlen(known[i].version) &&
                memcmp(name, known[i].name, name_size) == 0 &&
                memcmp(version, known[i].version, version_size) == 0)
                client->can |= known[i].can;
        }
    }
}

static int take_version(struct sftp_client *client, size_t length, struct crosh_error *err)
{
    struct sftp_reader reader = {.data = client->buffer + sizeof(uint32_t), .size = length};
    uint32_t version;

    (void)sftp_read_u8(&reader);
    version = sftp_read_u32(&reader);
    if (version != SFTP_VERSION)
        return crosh_error_set(err, -EPROTO, "the server speaks version %u of SFTP, not 3",
                               version);
    read_extensions(client, &reader);
    if (reader.failed)
        return crosh_error_set(err, -EPROTO, "the server's first packet is damaged");
    if (client->filled != sizeof(uint32_t) + length)
        return crosh_error_set(err, -EPROTO, "the server answers what nobody has asked");
    client->filled = 0;
    return 0;
}

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
        r = exchange_versions(client, err);
    if (r > 0)
        r = take_version(client, (size_t)r, err);
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
    (void)pthread_mutex_destroy(&client->lock);
    (void)pthread_cond_destroy(&client->room);
    free(client->buffer);
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

/* ---- One at a time ---- */

struct call {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool is_done;
    struct sftp_reply *reply;
};

static void on_called(void *opaque, const struct sftp_reply *reply)
{
    struct call *call = opaque;
    uint8_t *copy = NULL;

    pthread_mutex_lock(&call->lock);
    *call->reply = *reply;
    call->reply->body.data = NULL;
    if (reply->error == 0 && reply->body.size > 0) {
        copy = malloc(reply->body.size);
        if (copy == NULL)
            *call->reply = (struct sftp_reply){.error = -ENOMEM};
        else
            call->reply->body.data = memcpy(copy, reply->body.data, reply->body.size);
    }
    call->reply->copy = copy;
    call->is_done = true;
    pthread_cond_signal(&call->came);
    pthread_mutex_unlock(&call->lock);
}

static void call_begin(struct sftp_client *client, struct call *call, struct sftp_packet *packet,
                       struct sftp_reply *reply)
{
    *call = (struct call){
        .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER, .reply = reply};
    *reply = (struct sftp_reply){0};
    sftp_client_send(client, packet, NULL, 0, on_called, call);
}

static void call_await(struct call *call)
{
    pthread_mutex_lock(&call->lock);
    while (!call->is_done)
        pthread_cond_wait(&call->came, &call->lock);
    pthread_mutex_unlock(&call->lock);
}

int sftp_call(struct sftp_client *client, struct sftp_packet *packet, struct sftp_reply *reply)
{
    struct call call;

    call_begin(client, &call, packet, reply);
    sftp_client_flush(client);
    call_await(&call);
    return reply->error;
}

void sftp_call_two(struct sftp_client *client, struct sftp_packet packets[2],
                   struct sftp_reply replies[2])
{
    struct call call[2];

    call_begin(client, &call[0], &packets[0], &replies[0]);
    call_begin(client, &call[1], &packets[1], &replies[1]);
    sftp_client_flush(client);
    call_await(&call[0]);
    call_await(&call[1]);
}

void sftp_call_free(struct sftp_reply *reply)
{
    free(reply->copy);
    reply->copy = NULL;
}
