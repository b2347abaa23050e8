/* SPDX-License-Identifier: MIT */
/* Implements the launcher's end of the guest link. */
#include "kvm/guest-link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "kvm/control/framed-stream.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/wire/frame.h"

#define SEED_BYTES 64

struct guest_link {
    struct event_loop *loop;
    const struct guest_link_ops *ops;
    void *opaque;
    struct framed_stream *stream;
    bool greeted;
};

struct guest_link *guest_link_new(struct event_loop *loop, const struct guest_link_ops *ops,
                                  void *opaque)
{
    struct guest_link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        return NULL;
    link->loop = loop;
    link->ops = ops;
    link->opaque = opaque;
    return link;
}

void guest_link_free(struct guest_link *link)
{
    if (link == NULL)
        return;
    framed_stream_free(link->stream);
    free(link);
}

static void free_message(Guest__ToHost **message)
{
    if (*message != NULL)
        guest__to_host__free_unpacked(*message, NULL);
}

/* At once: what it takes us is part of what the agent takes for the way. */
static void tell_time(struct guest_link *link, uint64_t cookie)
{
    Guest__ToGuest message = GUEST__TO_GUEST__INIT;
    Guest__Time time = GUEST__TIME__INIT;

    time.cookie = cookie;
    time.realtime_us = (uint64_t)clock_us(CLOCK_REALTIME);
    message.msg_case = GUEST__TO_GUEST__MSG_TIME;
    message.time = &time;
    framed_stream_send(link->stream, &message.base);
}

static int on_frame(void *opaque, const uint8_t *data, size_t size)
{
    struct guest_link *link = opaque;
    cleanup(free_message) Guest__ToHost *message = guest__to_host__unpack(NULL, size, data);

    if (message == NULL)
        return -EBADMSG;
    switch (message->msg_case) {
    case GUEST__TO_HOST__MSG_HELLO:
        if (message->hello == NULL || message->hello->protocol != 1)
            return -EPROTO;
        link->greeted = true;
        link->ops->hello(link->opaque, message->hello);
        return 0;
    case GUEST__TO_HOST__MSG_ENDING:
        if (!link->greeted || message->ending == NULL)
            return -EPROTO;
        link->ops->ending(link->opaque, message->ending->kind);
        return 0;
    case GUEST__TO_HOST__MSG_AGENT_READ:
        if (!link->greeted || message->agent_read == NULL)
            return -EPROTO;
        link->ops->agent_read(link->opaque, message->agent_read->offset);
        return 0;
    case GUEST__TO_HOST__MSG_UPGRADE_FAILED:
        if (!link->greeted || message->upgrade_failed == NULL)
            return -EPROTO;
        link->ops->upgrade_failed(link->opaque, message->upgrade_failed);
        return 0;
    case GUEST__TO_HOST__MSG_TIME_REQUEST:
        if (!link->greeted || message->time_request == NULL)
            return -EPROTO;
        tell_time(link, message->time_request->cookie);
        return 0;
    case GUEST__TO_HOST__MSG_SHARE:
        if (!link->greeted || message->share == NULL)
            return -EPROTO;
        link->ops->share(link->opaque, message->share);
        return 0;
    default:
        return 0; /* a newer agent may say more */
    }
}

static void on_closed(void *opaque)
{
    struct guest_link *link = opaque;
    bool greeted = link->greeted;

    framed_stream_free(link->stream);
    link->stream = NULL;
    link->greeted = false;
    if (greeted)
        link->ops->lost(link->opaque);
}

bool guest_link_accept(void *opaque, int fd)
{
    static const struct framed_stream_ops ops = {.frame = on_frame, .closed = on_closed};
    struct guest_link *link = opaque;

    if (link->stream != NULL) {
        close(fd);
        return false;
    }
    link->greeted = false;
    link->stream = framed_stream_new(link->loop, fd, FRAME_COMPAT_MAX, &ops, link);
    return link->stream != NULL;
}

bool guest_link_shutdown(struct guest_link *link)
{
    Guest__ToGuest message = GUEST__TO_GUEST__INIT;
    Guest__ShutdownRequest shutdown = GUEST__SHUTDOWN_REQUEST__INIT;

    if (link->stream == NULL || !link->greeted)
        return false;
    message.msg_case = GUEST__TO_GUEST__MSG_SHUTDOWN;
    message.shutdown = &shutdown;
    framed_stream_send(link->stream, &message.base);
    return true;
}

bool guest_link_resumed(struct guest_link *link, bool was_restored, const char *network)
{
    Guest__ToGuest message = GUEST__TO_GUEST__INIT;
    Guest__Resumed resumed = GUEST__RESUMED__INIT;
    uint8_t seed[SEED_BYTES];

    if (link->stream == NULL || !link->greeted)
        return false;
    resumed.realtime_us = (uint64_t)clock_us(CLOCK_REALTIME);
    if (was_restored && getrandom(seed, sizeof(seed), 0) == (ssize_t)sizeof(seed))
        resumed.seed = (ProtobufCBinaryData){.data = seed, .len = sizeof(seed)};
    if (network != NULL)
        resumed.network = (char *)(uintptr_t)network;
    message.msg_case = GUEST__TO_GUEST__MSG_RESUMED;
    message.resumed = &resumed;
    framed_stream_send(link->stream, &message.base);
    explicit_bzero(seed, sizeof(seed));
    return true;
}

void guest_link_offer(struct guest_link *link, Guest__Offer *offer)
{
    Guest__ToGuest message = GUEST__TO_GUEST__INIT;

    message.msg_case = GUEST__TO_GUEST__MSG_OFFER;
    message.offer = offer;
    if (link->stream != NULL)
        framed_stream_send(link->stream, &message.base);
}

void guest_link_agent_data(struct guest_link *link, uint64_t offset, uint8_t *data, size_t size)
{
    Guest__ToGuest message = GUEST__TO_GUEST__INIT;
    Guest__AgentData piece = GUEST__AGENT_DATA__INIT;

    piece.offset = offset;
    piece.data = (ProtobufCBinaryData){.data = data, .len = size};
    message.msg_case = GUEST__TO_GUEST__MSG_AGENT_DATA;
    message.agent_data = &piece;
    if (link->stream != NULL)
        framed_stream_send(link->stream, &message.base);
}

bool guest_link_mount(struct guest_link *link, const char *tag, bool read_only)
{
    Guest__ToGuest message = GUEST__TO_GUEST__INIT;
    Guest__MountShare mount = GUEST__MOUNT_SHARE__INIT;

    if (link->stream == NULL || !link->greeted)
        return false;
    mount.tag = (char *)(uintptr_t)tag;
    mount.read_only = read_only;
    message.msg_case = GUEST__TO_GUEST__MSG_MOUNT_SHARE;
    message.mount_share = &mount;
    framed_stream_send(link->stream, &message.base);
    return true;
}

bool guest_link_unmount(struct guest_link *link, const char *tag)
{
    Guest__ToGuest message = GUEST__TO_GUEST__INIT;
    Guest__UnmountShare unmount = GUEST__UNMOUNT_SHARE__INIT;

    if (link->stream == NULL || !link->greeted)
        return false;
    unmount.tag = (char *)(uintptr_t)tag;
    message.msg_case = GUEST__TO_GUEST__MSG_UNMOUNT_SHARE;
    message.unmount_share = &unmount;
    framed_stream_send(link->stream, &message.base);
    return true;
}
