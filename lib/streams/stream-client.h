/* SPDX-License-Identifier: MIT */
/* The host's side of the stream protocol: opening streams to a VM's stream service. */
#ifndef CROSH_STREAM_CLIENT_H
#define CROSH_STREAM_CLIENT_H

#include <stdint.h>

#include <crosh/error.h>

#include "lib/wire/frame.h"
#include "lib/wire/streams.pb-c.h"

/* Whose streams: a VM, a container of it, a user of that. */
struct stream_peer {
    const char *vm;
    const char *container; /* NULL: the VM itself */
    const char *user;      /* NULL: the agent's own */
    int64_t deadline;      /* to give up connecting at, if that is early; 0: the usual time */
};

/*
 * Connects and sends the request, whose version, target and user are set here. A
 * non-blocking descriptor, on which the answer comes next; or negative.
 */
int stream_open(const struct stream_peer *peer, Streams__Request *request, struct crosh_error *err);

/*
 * Reads the answer without waiting: 1 with 0 or the guest's reason in err->code (err is not NULL),
 * 0 while it has not come, negative when the stream is broken. *at (may be NULL): the answer's
 * place, to be freed with streams__place__free_unpacked().
 */
int stream_read_answer(int fd, struct frame_reader *reader, Streams__Place **at,
                       struct crosh_error *err);

/* Waits for the answer. 0 or negative with the reason. */
int stream_await_answer(int fd, struct frame_reader *reader, Streams__Place **at,
                        struct crosh_error *err);
/* The same, and gives up at the deadline if that comes before the usual time is over. */
int stream_await_answer_until(int fd, struct frame_reader *reader, int64_t deadline,
                              Streams__Place **at, struct crosh_error *err);

#endif
