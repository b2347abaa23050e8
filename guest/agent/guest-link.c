/* SPDX-License-Identifier: MIT */
/* The guest link. */
#include "guest/agent/guest-link.h"

#include <errno.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "guest/agent/resumed.h"
#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

#define BACK_OFF_FIRST_MS 50
#define BACK_OFF_MOST_MS  3000
#define ENDING_WAIT_MS    500
#define LASTING_MS        1000
/* What a host that does not read may make us keep. */
#define QUEUE_LIMIT 4096u

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
    frame_reader_init(&link->reader, FRAME_COMPAT_MAX);
    byte_queue_init(&link->queue, QUEUE_LIMIT);
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
    frame_reader_init(&link->reader, FRAME_COMPAT_MAX);
    byte_queue_clear(&link->queue);
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
}

static void flush(struct guest_link *link)
{
    if (byte_queue_flush(&link->queue, link->fd) < 0)
        hang_up(link);
}

static void say_hello(struct guest_link *link)
{
    Guest__Hello hello = GUEST__HELLO__INIT;
    Guest__ToHost message = GUEST__TO_HOST__INIT;
    struct utsname name = {0};

    (void)uname(&name);
    hello.protocol = 1;
    hello.agent_version = (char *)PACKAGE_VERSION;
    hello.kernel_release = name.release;
    hello.boottime_init_us = link->boottime_init_us;
    hello.boottime_ready_us = link->boottime_ready_us;
    message.msg_case = GUEST__TO_HOST__MSG_HELLO;
    message.hello = &hello;
    if (byte_queue_add_message(&link->queue, &message.base) < 0)
        hang_up(link);
    else
        flush(link);
}

int guest_link_prepare(struct guest_link *link, struct pollfd *pfd)
{
    *pfd = (struct pollfd){.fd = -1};
    if (link->fd < 0) {
        int64_t wait = link->dial_at_ms - deadline_now();

        if (wait > 0)
            return (int)wait;
        link->fd = address_dial(&link->peer);
        if (link->fd < 0) {
            hang_up(link);
            return guest_link_prepare(link, pfd);
        }
    }
    pfd->fd = link->fd;
    pfd->events = link->is_connected ? POLLIN : POLLOUT;
    if (byte_queue_size(&link->queue) > 0)
        pfd->events |= POLLOUT;
    return -1;
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
    say_hello(link);
}

/* Takes the frames at hand: 1 when one asks for a shutdown, 0, or negative for a bad one. */
static int take_frames(struct guest_link *link)
{
    const uint8_t *data;
    size_t size;
    int r;

    while ((r = frame_reader_next(&link->reader, &data, &size)) > 0) {
        Guest__ToGuest *message = guest__to_guest__unpack(NULL, size, data);
        bool is_shutdown;

        if (message == NULL)
            return -EBADMSG;
        is_shutdown = message->msg_case == GUEST__TO_GUEST__MSG_SHUTDOWN;
        if (message->msg_case == GUEST__TO_GUEST__MSG_RESUMED)
            resumed(message->resumed);
        guest__to_guest__free_unpacked(message, NULL);
        if (is_shutdown)
            return 1;
    }
    return r;
}

static bool read_frames(struct guest_link *link)
{
    int r = frame_reader_fill(&link->reader, link->fd);

    if (r == -EAGAIN)
        return false;
    if (r > 0) {
        r = take_frames(link);
        if (r >= 0)
            return r > 0;
        agent_log("guest link: malformed message");
    }
    hang_up(link);
    return false;
}

bool guest_link_handle(struct guest_link *link, short revents)
{
    bool has_shutdown = false;

    if (link->fd < 0 || revents == 0)
        return false;
    if (!link->is_connected) {
        finish_dialling(link);
        return false;
    }
    if ((revents & POLLIN) != 0)
        has_shutdown = read_frames(link);
    if (link->fd >= 0 && !has_shutdown && (revents & (POLLERR | POLLHUP)) != 0)
        hang_up(link);
    if (link->fd >= 0)
        flush(link);
    return has_shutdown;
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
