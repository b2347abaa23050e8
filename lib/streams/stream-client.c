/* SPDX-License-Identifier: MIT */
/* The host's side of the stream protocol. */
#include "lib/streams/stream-client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/wire/ports.h"
#include "lib/base/sanitize.h"

#define CONNECT_TIMEOUT_MS 10000
/* A guest's name server may take its time. */
#define ANSWER_TIMEOUT_MS 75000

/* The usual time from now on, or until the deadline if that is earlier; milliseconds. */
static int time_for(int usual_ms, int64_t deadline)
{
    int64_t left = deadline - deadline_now();

    return left < 0 ? 0 : left < usual_ms ? (int)left : usual_ms;
}

int stream_open(const struct stream_peer *peer, Streams__Request *request, struct crosh_error *err)
{
    const int timeout_ms =
        peer->deadline != 0 ? time_for(CONNECT_TIMEOUT_MS, peer->deadline) : CONNECT_TIMEOUT_MS;
    cleanup_close int fd = crosh_vm_connect(peer->vm, PORT_STREAMS, timeout_ms, err);
    int r;

    if (fd < 0)
        return fd;
    request->version = 1;
    request->target = (char *)(peer->container != NULL ? peer->container : VSH_TARGET_VM);
    request->user = (char *)(peer->user != NULL ? peer->user : "");
    r = frame_send(fd, &request->base);
    if (r < 0 && r != -EPIPE)
        return crosh_error_set(err, r, "%s: cannot send the request: %s", peer->vm, strerror(-r));
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return crosh_error_errno(err, "cannot set up the stream");
    return move_fd(fd);
}

static int take_answer(const uint8_t *data, size_t size, Streams__Place **at,
                       struct crosh_error *err)
{
    Streams__Answer *answer = streams__answer__unpack(NULL, size, data);
    char reason[256];

    if (answer == NULL)
        return crosh_error_set(err, -EBADMSG, "the guest gave an answer that makes no sense");
    if (err != NULL)
        *err = (struct crosh_error){0};
    if (answer->code != 0) {
        text_sanitize(reason, sizeof(reason), answer->message);
        (void)crosh_error_set(err, -EREMOTEIO, "%s",
                              reason[0] != '\0' ? reason : "the guest gave no reason");
    } else if (at != NULL) {
        *at = move_ptr(answer->at);
    }
    streams__answer__free_unpacked(answer, NULL);
    return 1;
}

int stream_read_answer(int fd, struct frame_reader *reader, Streams__Place **at,
                       struct crosh_error *err)
{
    const uint8_t *data;
    size_t size;
    int r = frame_reader_fill(reader, fd);

    if (r == -EAGAIN)
        return 0;
    if (r <= 0 && r != -ENOBUFS)
        return crosh_error_set(err, CROSH_ELOST, "the connection was lost");
    r = frame_reader_next(reader, &data, &size);
    if (r < 0)
        return crosh_error_set(err, -EBADMSG, "the guest gave an answer that makes no sense");
    return r == 0 ? 0 : take_answer(data, size, at, err);
}

int stream_await_answer(int fd, struct frame_reader *reader, Streams__Place **at,
                        struct crosh_error *err)
{
    return stream_await_answer_until(fd, reader, DEADLINE_NEVER, at, err);
}

int stream_await_answer_until(int fd, struct frame_reader *reader, int64_t deadline,
                              Streams__Place **at, struct crosh_error *err)
{
    struct crosh_error own = {0};
    int r;

    /* The guest's refusal is known by it. */
    if (err == NULL)
        err = &own;
    deadline = deadline_in(time_for(ANSWER_TIMEOUT_MS, deadline));
    do {
        r = deadline_poll(fd, POLLIN, deadline);
        if (r < 0)
            return crosh_error_set(err, r, "the guest does not answer");
        r = stream_read_answer(fd, reader, at, err);
    } while (r == 0);
    return r < 0 ? r : err->code;
}
