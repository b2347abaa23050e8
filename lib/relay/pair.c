/* SPDX-License-Identifier: MIT */
/* Two streams whose bytes go from one to the other. */
#include "lib/relay/pair.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define PIECE (64u * 1024u)

void relay_pair_init(struct relay_pair *pair, int a_in, int a_out, int b_in, int b_out)
{
    *pair = (struct relay_pair){.sides = {{.in = a_in, .out = a_out}, {.in = b_in, .out = b_out}}};
    for (int i = 0; i < 2; i++)
        byte_queue_init(&pair->sides[i].queue, RELAY_QUEUE_LIMIT);
}

void relay_pair_fini(struct relay_pair *pair)
{
    for (int i = 0; i < 2; i++) {
        struct relay_side *side = &pair->sides[i];

        if (side->out >= 0 && side->out != side->in)
            (void)close(side->out);
        if (side->in >= 0)
            (void)close(side->in);
        side->in = side->out = -1;
        byte_queue_fini(&side->queue);
    }
}

void relay_pair_prepare(const struct relay_pair *pair, struct pollfd polls[4])
{
    for (int i = 0; i < 2; i++) {
        const struct relay_side *side = &pair->sides[i];
        const struct relay_side *other = &pair->sides[!i];
        bool may_read = !side->is_ended && !other->is_shut && !byte_queue_is_full(&other->queue);
        bool may_write = !side->is_shut && byte_queue_size(&side->queue) > 0;

        /* A descriptor about which nothing is asked would still report its end, for ever. */
        polls[2 * i] = (struct pollfd){.fd = may_read ? side->in : -1, .events = POLLIN};
        polls[2 * i + 1] = (struct pollfd){.fd = may_write ? side->out : -1, .events = POLLOUT};
    }
}

/* Reads once. False when the side is broken. */
static bool take(struct relay_side *side, struct relay_side *other)
{
    unsigned char data[PIECE];
    ssize_t n = read(side->in, data, sizeof(data));

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0)
        side->is_ended = true;
    return n == 0 || byte_queue_add(&other->queue, data, (size_t)n) == 0;
}

/* Writes what the side takes. A side that takes no more makes the other direction end. */
static void give(struct relay_side *side)
{
    if (!side->is_shared) {
        if (byte_queue_flush(&side->queue, side->out) == 0)
            return;
    } else {
        size_t size = byte_queue_size(&side->queue);
        ssize_t n = write(side->out, side->queue.data + side->queue.start,
                          size < PIPE_BUF ? size : PIPE_BUF);

        if (n > 0)
            side->queue.start += (size_t)n;
        if (n >= 0 || errno == EINTR || errno == EAGAIN)
            return;
    }
    byte_queue_clear(&side->queue);
    side->is_shut = true;
}

/* Passes the other side's end on once all that came before it is through. */
static void pass_end_on(struct relay_side *side, const struct relay_side *other)
{
    if (side->is_shut || !other->is_ended || byte_queue_size(&side->queue) > 0)
        return;
    side->is_shut = true;
    if (shutdown(side->out, SHUT_WR) < 0 && errno == ENOTSOCK && side->out != side->in)
        (void)close(move_fd(side->out));
}

bool relay_pair_handle(struct relay_pair *pair, const struct pollfd polls[4])
{
    for (int i = 0; i < 2; i++) {
        if (polls[2 * i].fd >= 0 && polls[2 * i].revents != 0 &&
            !take(&pair->sides[i], &pair->sides[!i]))
            return true;
    }
    for (int i = 0; i < 2; i++) {
        struct relay_side *side = &pair->sides[i];

        /* At once, unless it might block: most of what is read goes out without another poll. */
        if (!side->is_shut && byte_queue_size(&side->queue) > 0 &&
            (!side->is_shared || polls[2 * i + 1].revents != 0))
            give(side);
        pass_end_on(side, &pair->sides[!i]);
    }
    /* With one way out closed by its reader, what comes from the other side has nowhere to go. */
    return (pair->sides[0].is_shut && pair->sides[1].is_shut) ||
           (pair->sides[0].is_shut && !pair->sides[1].is_ended) ||
           (pair->sides[1].is_shut && !pair->sides[0].is_ended);
}
