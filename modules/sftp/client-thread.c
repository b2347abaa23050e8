/* SPDX-License-Identifier: MIT */
/* The thread of an SFTP client: takes the answers, and what others have left to it to write. */

/*
 * A server that owes an answer and sends nothing at all for the time-out is taken for
 * gone, unless a slow way still takes what goes to it; and so is one whose bytes make no whole
 * answer for so much longer as the slowest link takes for one, one that answers what was asked that
 * much later than another thing, or whose bytes are no protocol. All that was under way then ends
 * with that error, and so does all that is sent later.
 */
#include <endian.h>
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "lib/base/clock.h"
#include "lib/base/deadline.h"
#include "modules/sftp/client-internal.h"
#include "modules/sftp/vigil.h"

/* How often it is looked for an answer that never came among others that did, and whether what
 * was written is taken; at most. */
#define LOOK_EVERY_MS 1000
/* The slowest link that is not taken for a server that hands out its bytes singly; a second. */
#define SLOWEST 4096
/* So many bytes may have to come before the link hands out the first: a packet of SSH. */
#define LINK_PIECE 32768u

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
        slot = client_slot_take(client, id % SFTP_REQUESTS_MAX);
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
                                CLIENT_BUFFER_SIZE - client->filled);
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
        client_set_dead(client, error);
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
    client_set_dead(client, -ECONNRESET);
    pthread_mutex_unlock(&client->link_lock);
    none.error = client->error;
    for (uint32_t i = 0; i < SFTP_REQUESTS_MAX; i++) {
        struct slot slot;

        if (client->slots[i].done == NULL)
            continue;
        slot = client_slot_take(client, i);
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
 * With the lock: notes whether the way takes what was written. One request may be longer than what
 * a slow one takes in the whole time-out. What it took long ago, when nobody looked, says nothing.
 */
static void look_at_way(struct sftp_client *client, bool has_looked)
{
    int64_t passed = (int64_t)client->sent;
    int waiting;

    if (ioctl(client->link->fd, SIOCOUTQ, &waiting) < 0)
        return;
    passed -= waiting;
    if (has_looked && passed > client->passed)
        client->passed_ms = deadline_now();
    client->passed = passed;
}

/*
 * How long the thread may wait, given when the server was heard last. With the lock. It is not
 * woken for what is sent meanwhile: so it looks once in a while when nothing is owed, too.
 */
static int patience(struct sftp_client *client, int64_t heard_ms)
{
    const int look_every_ms =
        client->timeout_ms < 4 * LOOK_EVERY_MS ? client->timeout_ms / 4 : LOOK_EVERY_MS;
    const bool is_much = client->on_its_way > LINK_PIECE;
    int64_t due = heard_ms > client->owed_since_ms ? heard_ms : client->owed_since_ms;
    int64_t whole_due = whole_due_ms(client), left;
    bool is_over = false;

    if (client->under_way == 0)
        return client->timeout_ms;
    if (deadline_now() >= client->look_again_ms) {
        const bool has_looked = deadline_now() < client->look_again_ms + look_every_ms;

        client->look_again_ms = deadline_in(look_every_ms);
        is_over = is_forgotten(client);
        if (is_much)
            look_at_way(client, has_looked);
    }
    if (is_much && due < client->passed_ms)
        due = client->passed_ms;
    due += client->timeout_ms;
    left = (due < whole_due ? due : whole_due) - deadline_now();
    if (is_over || left <= 0) {
        client_set_dead(client, -ETIMEDOUT);
        return 0;
    }
    return is_much && left > look_every_ms ? look_every_ms : (int)left;
}

static unsigned int under_way(struct sftp_client *client)
{
    unsigned int n;

    pthread_mutex_lock(&client->lock);
    n = client->under_way;
    pthread_mutex_unlock(&client->lock);
    return n;
}

void *client_thread(void *opaque)
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
        if (client_write_queue(client))
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
