/* SPDX-License-Identifier: MIT */
/* Fuzzes the control protocol's server: frames of any kind, cut anywhere, with descriptors. */

/*
 * The input is a list of pieces: how many bytes and descriptors go out at once, then the
 * bytes. Handlers answer at once, late, or with an error. Another client asks for the status
 * afterwards: it must be answered, and no descriptor may be left over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/control/server.h"
#include "lib/base/cleanup.h"
#include "lib/wire/frame.h"

#define PIECES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct event_loop *loop;
    struct event_source *timer;
    struct control_call *late;
};

static int on_status(struct control_call *call, void *opaque, struct crosh_error *err)
{
    Control__Response response = CONTROL__RESPONSE__INIT;
    Control__StatusReply status = CONTROL__STATUS_REPLY__INIT;

    (void)opaque;
    (void)err;
    response.status = &status;
    control_answer(call, &response);
    return CONTROL_ANSWERED;
}

static int on_stop(struct control_call *call, void *opaque, struct crosh_error *err)
{
    (void)opaque;
    return control_call_request(call)->stop->force ? crosh_error_set(err, -EBUSY, "no") : 0;
}

static int on_subscribe(struct control_call *call, void *opaque, struct crosh_error *err)
{
    (void)opaque;
    (void)err;
    control_call_subscribe(call);
    return 0;
}

static int on_late(struct control_call *call, void *opaque, struct crosh_error *err)
{
    struct fuzz *fuzz = opaque;
    int fd = control_call_take_fd(call);

    (void)err;
    if (fd >= 0)
        close(fd);
    if (fuzz->late != NULL) /* another client's */
        return 0;
    fuzz->late = call;
    return CONTROL_ANSWERED;
}

static const struct control_request requests[] = {
    {CONTROL__REQUEST__OP_STATUS, on_status},       {CONTROL__REQUEST__OP_STOP, on_stop},
    {CONTROL__REQUEST__OP_SUBSCRIBE, on_subscribe}, {CONTROL__REQUEST__OP_POWER_BUTTON, on_late},
    {CONTROL__REQUEST__OP__NOT_SET, NULL},
};

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

static void answer_late(struct fuzz *fuzz)
{
    if (fuzz->late != NULL)
        control_answer_code(move_ptr(fuzz->late), 0, NULL);
}

static void run(struct fuzz *fuzz)
{
    event_timer_set(fuzz->timer, 0);
    if (event_loop_run(fuzz->loop, NULL) < 0)
        abort();
}

static void send_piece(int fd, const uint8_t *data, size_t size, unsigned int fds)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(15 * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = (uint8_t *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    memset(&control, 0, sizeof(control));
    if (fds > 0) {
        struct cmsghdr *header;

        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds * sizeof(int));
        for (unsigned int i = 0; i < fds; i++)
            memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(fd));
    }
    (void)sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int lowest_free(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void expect_service(struct fuzz *fuzz, struct control_server *server)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__StatusRequest status = CONTROL__STATUS_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
        control_server_adopt(server, pair[0], NULL) < 0)
        abort();
    request.version = CONTROL_VERSION;
    request.id = 7;
    request.op_case = CONTROL__REQUEST__OP_STATUS;
    request.status = &status;
    if (frame_send(pair[1], &request.base) < 0)
        abort();
    run(fuzz);
    if (frame_recv(pair[1], &control__from_launcher__descriptor, FRAME_MAX, 0, &message) != 1)
        abort();
    protobuf_c_message_free_unpacked(message, NULL);
    close(pair[1]);
    run(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz fuzz; /* for all inputs: making a loop takes long */
    static char path[64];
    struct control_server *server;
    int before, pair[2];

    if (fuzz.loop == NULL) {
        fuzz.loop = event_loop_new(NULL);
        fuzz.timer = event_timer_add(fuzz.loop, on_timer, fuzz.loop);
        (void)snprintf(path, sizeof(path), "/tmp/fuzz-control.%d", (int)getpid());
    }
    before = lowest_free();
    server = control_server_new(fuzz.loop, path, requests, &fuzz, NULL);
    if (server == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
        control_server_adopt(server, pair[0], NULL) < 0)
        abort();
    for (unsigned int i = 0; i < PIECES_MAX && size > 0; i++) {
        uint8_t head = *data++;
        size_t length;

        size--;
        if (head >= 0xf0) { /* time passes */
            answer_late(&fuzz);
            run(&fuzz);
            continue;
        }
        length = size < (head & 0x7fu) ? size : (head & 0x7fu);
        if (length > 0)
            send_piece(pair[1], data, length, head >= 0x80 ? length % 10 : 0);
        data += length;
        size -= length;
        if ((i & 3) == 3)
            run(&fuzz);
    }
    run(&fuzz);
    expect_service(&fuzz, server);
    close(pair[1]);
    run(&fuzz);
    control_server_free(server);
    answer_late(&fuzz);
    if (lowest_free() != before)
        abort();
    return 0;
}
