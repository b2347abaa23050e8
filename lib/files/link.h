/* SPDX-License-Identifier: MIT */
/* One end of a stream of the file protocol: messages out through a queue, messages in one by one.
 */
#ifndef CROSH_FILES_LINK_H
#define CROSH_FILES_LINK_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include <crosh/error.h>

#include "lib/wire/frame-queue.h"
#include "lib/wire/frame.h"

struct files_link {
    int fd;        /* non-blocking; the caller's */
    int interrupt; /* readable when the user gives up, or -1; the caller's */
    struct frame_reader reader;
    struct byte_queue queue;
};

/* Makes fd non-blocking. */
int files_link_init(struct files_link *link, int fd, int interrupt, struct crosh_error *err);
void files_link_fini(struct files_link *link);

/*
 * Queues a message and sends what the peer takes; waits only while more is queued
 * than is good. While it waits it also reads, so that a peer that has something to
 * say is not waited for: 1 when a message has come in, 0 when it was queued or sent.
 * Negative: CROSH_ELOST, -EINTR, -ENOMEM.
 */
int files_link_send(struct files_link *link, const ProtobufCMessage *message,
                    struct crosh_error *err);

/* Sends all that is queued; 1 early when a message has come in, 0, or negative as above. */
int files_link_flush(struct files_link *link, struct crosh_error *err);

/* Whether a message has come in. */
bool files_link_has_message(struct files_link *link);

/*
 * The next message, waited for at most timeout_ms (-1: for ever). To be freed with
 * protobuf_c_message_free_unpacked(). 0, or negative: CROSH_ELOST at the end of the
 * stream, -ETIMEDOUT, -EINTR, -EBADMSG.
 */
int files_link_receive(struct files_link *link, const ProtobufCMessageDescriptor *type,
                       int timeout_ms, ProtobufCMessage **message, struct crosh_error *err);

#endif
