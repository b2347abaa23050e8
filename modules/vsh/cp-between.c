/* SPDX-License-Identifier: MIT */
/* A copy from one VM to another: two streams of messages, passed on by one loop. */
#include "modules/vsh/cp-between.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "lib/wire/files.pb-c.h"

struct between {
    struct files_link *from;
    struct files_link *to;
    const char *const *names;
    size_t count;
    const struct files_watch *watch;
    struct crosh_error *err;
    uint32_t depth;  /* of the directories that the sender is in */
    uint64_t offset; /* of the file under way */
    uint64_t done;
    int problems;
    bool is_over;
};

static int malformed(const struct between *b)
{
    return crosh_error_set(b->err, -EBADMSG, "the sender broke the protocol");
}

static void advance(struct between *b, uint64_t offset)
{
    b->done += offset > b->offset ? offset - b->offset : 0;
    b->offset = offset;
    if (b->watch->progress != NULL)
        b->watch->progress(b->watch->data, b->done);
}

static int look_at_entry(struct between *b, Files__Entry *entry)
{
    b->offset = 0;
    if (b->depth == 0) {
        if (entry->source >= b->count)
            return malformed(b);
        /* The message owns its name and frees it: this one only borrows. */
        entry->name.data = (uint8_t *)b->names[entry->source];
        entry->name.len = strlen(b->names[entry->source]);
    }
    b->depth += entry->type == FILES__ENTRY__TYPE__DIRECTORY;
    return 0;
}

/* Passes one of the sender's messages on. */
static int pass_on(struct between *b, Files__ToReceiver *message)
{
    ProtobufCBinaryData own = {0};
    bool is_renamed = false;
    int r = 0;

    switch (message->msg_case) {
    case FILES__TO_RECEIVER__MSG_TOTAL:
        if (b->watch->total != NULL)
            b->watch->total(b->watch->data, message->total->bytes, message->total->files);
        break;
    case FILES__TO_RECEIVER__MSG_ENTRY:
        own = message->entry->name;
        is_renamed = true;
        r = look_at_entry(b, message->entry);
        break;
    case FILES__TO_RECEIVER__MSG_BEGIN:
        advance(b, message->begin->offset);
        break;
    case FILES__TO_RECEIVER__MSG_DATA:
        advance(b, message->data->offset + message->data->data.len);
        break;
    case FILES__TO_RECEIVER__MSG_END:
        advance(b, message->end->size);
        break;
    case FILES__TO_RECEIVER__MSG_LEAVE:
        b->depth -= b->depth > 0;
        break;
    case FILES__TO_RECEIVER__MSG_PROBLEM:
        b->problems += b->problems < INT32_MAX;
        if (b->watch->problem != NULL)
            b->watch->problem(b->watch->data, message->problem->message);
        break;
    default:
        break;
    }
    if (r == 0 && byte_queue_add_message(&b->to->queue, &message->base) < 0)
        r = crosh_error_set(b->err, -ENOMEM, "out of memory");
    if (is_renamed)
        message->entry->name = own;
    return r;
}

/* Passes one of the receiver's messages back. */
static int pass_back(struct between *b, const Files__ToSender *message)
{
    if (byte_queue_add_message(&b->from->queue, &message->base) < 0)
        return crosh_error_set(b->err, -ENOMEM, "out of memory");
    if (message->msg_case == FILES__TO_SENDER__MSG_FINISHED)
        b->is_over = true;
    if (message->msg_case == FILES__TO_SENDER__MSG_FAILED)
        return files_failure(message->failed->code, message->failed->message, b->err);
    return 0;
}

/* Passes what was read of a link to the other one. */
static int take(struct between *b, struct files_link *link)
{
    const uint8_t *data;
    size_t size;
    int r;

    while ((r = frame_reader_next(&link->reader, &data, &size)) > 0) {
        if (link == b->from) {
            Files__ToReceiver *message = files__to_receiver__unpack(NULL, size, data);

            r = message != NULL ? pass_on(b, message) : malformed(b);
            if (message != NULL)
                files__to_receiver__free_unpacked(message, NULL);
        } else {
            Files__ToSender *message = files__to_sender__unpack(NULL, size, data);

            r = message != NULL ? pass_back(b, message) : malformed(b);
            if (message != NULL)
                files__to_sender__free_unpacked(message, NULL);
        }
        if (r < 0)
            return r;
    }
    return r < 0 ? malformed(b) : 0;
}

/* Reads what has come. */
static int fill(struct between *b, struct files_link *link)
{
    int r = frame_reader_fill(&link->reader, link->fd);

    if (r == 0 || (r < 0 && r != -EAGAIN && r != -ENOBUFS && r != -EMSGSIZE))
        return crosh_error_set(b->err, CROSH_ELOST, "the connection was lost");
    return take(b, link);
}

static short events_of(const struct files_link *link, const struct files_link *other)
{
    return (short)((byte_queue_is_full(&other->queue) ? 0 : POLLIN) |
                   (byte_queue_size(&link->queue) > 0 ? POLLOUT : 0));
}

/* Sends what is queued. 1 once the receiver's last word has been passed back. */
static int flush(struct between *b)
{
    int to = byte_queue_flush(&b->to->queue, b->to->fd);
    int from = byte_queue_flush(&b->from->queue, b->from->fd);

    if (b->is_over)
        return from < 0 || byte_queue_size(&b->from->queue) == 0;
    if (to < 0 || from < 0)
        return crosh_error_set(b->err, CROSH_ELOST, "the connection was lost");
    return 0;
}

/* Waits for either stream and passes on what comes. */
static int step(struct between *b)
{
    struct pollfd polls[3] = {
        {.fd = b->from->fd, .events = events_of(b->from, b->to)},
        {.fd = b->to->fd, .events = events_of(b->to, b->from)},
        {.fd = b->from->interrupt, .events = POLLIN},
    };
    int r = poll(polls, 3, -1);

    if (r < 0)
        return errno == EINTR ? 0 : crosh_error_errno(b->err, "cannot wait for the streams");
    if (polls[2].revents != 0)
        return crosh_error_set(b->err, -EINTR, "interrupted");
    r = (polls[1].revents & ~POLLOUT) != 0 ? fill(b, b->to) : 0;
    if (r == 0 && !b->is_over && (polls[0].revents & ~POLLOUT) != 0 &&
        !byte_queue_is_full(&b->to->queue))
        r = fill(b, b->from);
    return r;
}

int cp_between(struct files_link *from, struct files_link *to, const char *const *names,
               size_t count, const struct files_watch *watch, struct crosh_error *err)
{
    struct between b = {
        .from = from, .to = to, .names = names, .count = count, .watch = watch, .err = err};
    /* What came along with the answers to the requests was read with them. */
    int r = take(&b, from);

    if (r == 0)
        r = take(&b, to);
    while (r == 0) {
        r = flush(&b);
        if (r == 0)
            r = step(&b);
    }
    return r < 0 ? r : b.problems;
}
