/* SPDX-License-Identifier: MIT */
/* The guest link. */
#include "guest/agent/guest-link.h"

#include <errno.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "guest/agent/resumed.h"
#include "guest/agent/shares.h"
#include "guest/agent/version.h"
#include "lib/base/build-id.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/deadline.h"

#define BACK_OFF_FIRST_MS 50
#define BACK_OFF_MOST_MS  3000
#define ENDING_WAIT_MS    500
#define LASTING_MS        1000
/* What a host that does not read may make us keep. */
#define QUEUE_LIMIT 4096u
/* The host's: the pieces of another agent are the largest. */
#define FRAME_LIMIT (64u * 1024u)

void guest_link_init(struct guest_link *link, const struct address *peer, uint64_t boottime_init_us,
                     uint64_t boottime_ready_us)
{
    *link = (struct guest_link){
        .peer = *peer,
        .boottime_init_us = boottime_init_us,
        .boottime_ready_us = boottime_ready_us,
        .fd = -1,
        .back_off_ms = BACK_OFF_FIRST_MS,
    };
    frame_reader_init(&link->reader, FRAME_LIMIT);
    byte_queue_init(&link->queue, QUEUE_LIMIT);
    clock_sync_init(&link->clock);
    upgrade_init(&link->upgrade);
}

/*
 * Drops the stream; the next attempt comes later the more often it failed. But a stream
 * that had lasted was not refused: there may be another launcher by now (the guest was
 * restored from a snapshot), which waits for us.
 */
static void hang_up(struct guest_link *link)
{
    bool had_lasted = link->is_connected && deadline_now() - link->connected_at_ms >= LASTING_MS;

    if (link->fd >= 0)
        (void)close(move_fd(link->fd));
    link->is_connected = false;
    frame_reader_fini(&link->reader);
    frame_reader_init(&link->reader, FRAME_LIMIT);
    byte_queue_clear(&link->queue);
    if (!link->upgrade.is_complete)
        upgrade_reset(&link->upgrade);
    link->dial_at_ms = deadline_now() + (had_lasted ? 0 : link->back_off_ms);
    link->back_off_ms *= 2;
    if (link->back_off_ms > BACK_OFF_MOST_MS)
        link->back_off_ms = BACK_OFF_MOST_MS;
}

void guest_link_fini(struct guest_link *link)
{
    if (link->fd >= 0)
        (void)close(move_fd(link->fd));
    frame_reader_fini(&link->reader);
    byte_queue_fini(&link->queue);
    upgrade_reset(&link->upgrade);
}

static void flush(struct guest_link *link)
{
    if (byte_queue_flush(&link->queue, link->fd) < 0)
        hang_up(link);
}

static void send_message(struct guest_link *link, const Guest__ToHost *message)
{
    if (byte_queue_add_message(&link->queue, &message->base) < 0)
        hang_up(link);
    else
        flush(link);
}

static void say_hello(struct guest_link *link)
{
    Guest__Hello hello = GUEST__HELLO__INIT;
    Guest__ToHost message = GUEST__TO_HOST__INIT;
    struct build_id id;
    struct utsname name = {0};

    (void)uname(&name);
    build_id_own(&id);
    hello.protocol = 1;
    hello.agent_version = (char *)AGENT_VERSION;
    hello.kernel_release = name.release;
    hello.boottime_init_us = link->boottime_init_us;
    hello.boottime_ready_us = link->boottime_ready_us;
    hello.build_id = (ProtobufCBinaryData){.data = id.bytes, .len = id.size};
    hello.upgrade = UPGRADE_VERSION;
    message.msg_case = GUEST__TO_HOST__MSG_HELLO;
    message.hello = &hello;
    send_message(link, &message);
}

static void ask_time(struct guest_link *link)
{
    Guest__TimeRequest request = GUEST__TIME_REQUEST__INIT;
    Guest__ToHost message = GUEST__TO_HOST__INIT;

    request.cookie = clock_sync_ask(&link->clock, deadline_now(), clock_us(CLOCK_MONOTONIC));
    if (request.cookie == 0)
        return;
    message.msg_case = GUEST__TO_HOST__MSG_TIME_REQUEST;
    message.time_request = &request;
    send_message(link, &message);
}

static void take_time(struct guest_link *link, const Guest__Time *time)
{
    struct clock_sample sample;

    if (clock_sync_answer(&link->clock, time->cookie, time->realtime_us, deadline_now(),
                          clock_us(CLOCK_MONOTONIC), clock_us(CLOCK_REALTIME), &sample))
        (void)clock_correct(&sample);
}

static void ask_agent(struct guest_link *link)
{
    Guest__AgentRead request = GUEST__AGENT_READ__INIT;
    Guest__ToHost message = GUEST__TO_HOST__INIT;

    request.offset = link->upgrade.received;
    message.msg_case = GUEST__TO_HOST__MSG_AGENT_READ;
    message.agent_read = &request;
    send_message(link, &message);
}

void guest_link_upgrade_failed(struct guest_link *link, const struct crosh_error *why)
{
    Guest__UpgradeFailed failed = GUEST__UPGRADE_FAILED__INIT;
    Guest__ToHost message = GUEST__TO_HOST__INIT;

    agent_log("it stays version " AGENT_VERSION ": %s", why->message);
    upgrade_reset(&link->upgrade);
    failed.code = why->code;
    failed.message = (char *)why->message;
    message.msg_case = GUEST__TO_HOST__MSG_UPGRADE_FAILED;
    message.upgrade_failed = &failed;
    if (link->fd >= 0 && link->is_connected)
        send_message(link, &message);
}

static void take_offer(struct guest_link *link, const Guest__Offer *offer)
{
    struct crosh_error err = {0};

    if (link->upgrade.is_complete)
        return; /* it is being tried */
    if (upgrade_begin(&link->upgrade, offer, &err) < 0)
        guest_link_upgrade_failed(link, &err);
    else
        ask_agent(link);
}

static enum guest_link_wish take_agent_data(struct guest_link *link, const Guest__AgentData *piece)
{
    struct crosh_error err = {0};
    bool is_expected = link->upgrade.fd >= 0 && !link->upgrade.is_complete;
    int r = upgrade_take(&link->upgrade, piece, &err);

    if (r < 0)
        guest_link_upgrade_failed(link, &err);
    else if (r == 0 && is_expected)
        ask_agent(link);
    return r > 0 ? GUEST_LINK_UPGRADE : GUEST_LINK_NOTHING;
}

/* Asks for what is due, gives up what takes too long. How long until the next, in ms. */
static int take_deadlines(struct guest_link *link)
{
    struct crosh_error err = {0};
    int64_t now = deadline_now();
    int wait;

    if (link->upgrade.deadline <= now) {
        (void)crosh_error_set(&err, -ETIMEDOUT, "the host does not go on sending another agent");
        guest_link_upgrade_failed(link, &err);
    }
    if (link->is_connected && clock_sync_wait(&link->clock, now) == 0)
        ask_time(link);
    wait = clock_sync_wait(&link->clock, now);
    if (link->upgrade.deadline - now < wait)
        wait = (int)(link->upgrade.deadline - now);
    return wait;
}

int guest_link_prepare(struct guest_link *link, struct pollfd *pfd)
{
    int wait = -1;

    *pfd = (struct pollfd){.fd = -1};
    if (link->fd < 0) {
        int64_t pause = link->dial_at_ms - deadline_now();

        if (pause > 0)
            return (int)pause;
        link->fd = address_dial(&link->peer);
        if (link->fd < 0) {
            hang_up(link);
            return guest_link_prepare(link, pfd);
        }
    }
    if (link->is_connected)
        wait = take_deadlines(link);
    if (link->fd < 0)
        return guest_link_prepare(link, pfd);
    pfd->fd = link->fd;
    pfd->events = link->is_connected ? POLLIN : POLLOUT;
    if (byte_queue_size(&link->queue) > 0)
        pfd->events |= POLLOUT;
    return wait;
}

static void finish_dialling(struct guest_link *link)
{
    socklen_t size = sizeof(int);
    int error = 0;

    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0) {
        hang_up(link);
        return;
    }
    link->is_connected = true;
    link->connected_at_ms = deadline_now();
    link->back_off_ms = BACK_OFF_FIRST_MS;
    clock_sync_init(&link->clock);
    say_hello(link);
}

static void answer_share(struct guest_link *link, char *tag, int error)
{
    Guest__ShareReply reply = GUEST__SHARE_REPLY__INIT;
    Guest__ToHost message = GUEST__TO_HOST__INIT;

    reply.tag = tag;
    reply.error = error;
    message.msg_case = GUEST__TO_HOST__MSG_SHARE;
    message.share = &reply;
    if (byte_queue_add_message(&link->queue, &message.base) < 0)
        hang_up(link);
}

static enum guest_link_wish take_message(struct guest_link *link, const Guest__ToGuest *message)
{
    switch (message->msg_case) {
    case GUEST__TO_GUEST__MSG_SHUTDOWN:
        return GUEST_LINK_SHUTDOWN;
    case GUEST__TO_GUEST__MSG_RESUMED:
        resumed(message->resumed);
        clock_sync_init(&link->clock);
        return GUEST_LINK_NOTHING;
    case GUEST__TO_GUEST__MSG_OFFER:
        take_offer(link, message->offer);
        return GUEST_LINK_NOTHING;
    case GUEST__TO_GUEST__MSG_AGENT_DATA:
        return take_agent_data(link, message->agent_data);
    case GUEST__TO_GUEST__MSG_TIME:
        take_time(link, message->time);
        return GUEST_LINK_NOTHING;
    case GUEST__TO_GUEST__MSG_MOUNT_SHARE:
        answer_share(link, message->mount_share->tag,
                     shares_mount(message->mount_share->tag, message->mount_share->read_only));
        return GUEST_LINK_NOTHING;
    case GUEST__TO_GUEST__MSG_UNMOUNT_SHARE:
        answer_share(link, message->unmount_share->tag,
                     shares_unmount(message->unmount_share->tag));
        return GUEST_LINK_NOTHING;
    default:
        return GUEST_LINK_NOTHING; /* a newer host may say more */
    }
}

/* Takes the frames at hand, up to one that ends all. Negative for a bad one. */
static int take_frames(struct guest_link *link, enum guest_link_wish *wish)
{
    const uint8_t *data;
    size_t size;
    int r;

    while ((r = frame_reader_next(&link->reader, &data, &size)) > 0) {
        Guest__ToGuest *message = guest__to_guest__unpack(NULL, size, data);
        enum guest_link_wish next;

        if (message == NULL)
            return -EBADMSG;
        next = take_message(link, message);
        guest__to_guest__free_unpacked(message, NULL);
        if (next != GUEST_LINK_NOTHING)
            *wish = next;
        if (next == GUEST_LINK_SHUTDOWN || link->fd < 0)
            return 0;
    }
    return r;
}

static enum guest_link_wish read_frames(struct guest_link *link)
{
    enum guest_link_wish wish = GUEST_LINK_NOTHING;
    int r = frame_reader_fill(&link->reader, link->fd);

    if (r == -EAGAIN)
        return wish;
    if (r > 0) {
        r = take_frames(link, &wish);
        if (r >= 0)
            return wish;
        agent_log("guest link: malformed message");
    }
    hang_up(link);
    return wish;
}

enum guest_link_wish guest_link_handle(struct guest_link *link, short revents)
{
    enum guest_link_wish wish = GUEST_LINK_NOTHING;

    if (link->fd < 0 || revents == 0)
        return wish;
    if (!link->is_connected) {
        finish_dialling(link);
        return wish;
    }
    if ((revents & POLLIN) != 0)
        wish = read_frames(link);
    if (link->fd >= 0 && wish != GUEST_LINK_SHUTDOWN && (revents & (POLLERR | POLLHUP)) != 0)
        hang_up(link);
    if (link->fd >= 0)
        flush(link);
    return wish;
}

void guest_link_end(struct guest_link *link, Guest__Ending__Kind kind)
{
    Guest__Ending ending = GUEST__ENDING__INIT;
    Guest__ToHost message = GUEST__TO_HOST__INIT;
    int64_t deadline = deadline_now() + ENDING_WAIT_MS;

    if (link->fd < 0 || !link->is_connected)
        return;
    ending.kind = kind;
    message.msg_case = GUEST__TO_HOST__MSG_ENDING;
    message.ending = &ending;
    if (byte_queue_add_message(&link->queue, &message.base) < 0)
        return;
    for (;;) {
        struct pollfd pfd = {.fd = link->fd, .events = POLLOUT};
        int64_t left = deadline - deadline_now();

        if (byte_queue_flush(&link->queue, link->fd) < 0 || byte_queue_size(&link->queue) == 0 ||
            left <= 0)
            return;
        if (poll(&pfd, 1, (int)left) < 0 && errno != EINTR)
            return;
    }
}
