/* SPDX-License-Identifier: MIT */
/* Implements "net capture": the frames of a VM's link, from a socket that the keeper made. */
#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/net/client.h"
#include "modules/net/pcapng.h"
#include "modules/net/vms.h"

/* The largest frame that a link carries whole, see kvm/net/end.h. */
#define FRAME_MAX_BYTES (65535u + 18u)
#define BUFFER_BYTES    (8 << 20)

struct capture {
    int fd;
    FILE *out;
    uint32_t snap;
    uint64_t frames, limit; /* 0: without end */
    uint8_t *data;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t time_of(struct msghdr *header)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        struct timespec time;

        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS &&
            c->cmsg_len >= CMSG_LEN(sizeof(time))) {
            memcpy(&time, CMSG_DATA(c), sizeof(time));
            return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
        }
    }
    return now_ns();
}

/* Takes what waits: 0, or negative with err filled. */
static int take(struct capture *capture, struct crosh_error *err)
{
    while (capture->limit == 0 || capture->frames < capture->limit) {
        struct sockaddr_ll from;
        char control[128];
        struct iovec iov = {.iov_base = capture->data, .iov_len = capture->snap};
        struct msghdr header = {.msg_name = &from,
                                .msg_namelen = sizeof(from),
                                .msg_iov = &iov,
                                .msg_iovlen = 1,
                                .msg_control = control,
                                .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(capture->fd, &header, MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n < 0)
            return crosh_error_set(err, errno == ENETDOWN || errno == ENXIO ? CROSH_ELOST : -errno,
                                   "the link is gone");
        if (!pcapng_frame(capture->out, time_of(&header), capture->data,
                          (size_t)n < capture->snap ? (uint32_t)n : capture->snap, (uint32_t)n,
                          from.sll_pkttype == PACKET_OUTGOING))
            return crosh_error_errno(err, "cannot write");
        capture->frames++;
    }
    return 0;
}

static int run(struct crosh_context *ctx, struct capture *capture, int64_t deadline,
               struct crosh_error *err)
{
    struct pollfd fds[2] = {{.fd = capture->fd, .events = POLLIN},
                            {.fd = crosh_interrupt_fd(ctx), .events = POLLIN}};
    int code = 0;

    while (code == 0 && !crosh_is_interrupted(ctx) &&
           (capture->limit == 0 || capture->frames < capture->limit)) {
        int64_t left = deadline == DEADLINE_NEVER ? -1 : deadline - deadline_now();

        if (deadline != DEADLINE_NEVER && left <= 0)
            break;
        if (poll(fds, 2, left > INT32_MAX ? INT32_MAX : (int)left) < 0 && errno != EINTR)
            return crosh_error_errno(err, "poll");
        code = take(capture, err);
        /* Whoever reads the other end of a pipe sees it now. */
        if (code == 0 && fflush(capture->out) != 0)
            code = crosh_error_errno(err, "cannot write");
    }
    return code;
}

static int prepare(struct capture *capture, const char *vm, struct crosh_error *err)
{
    const int on = 1, size = BUFFER_BYTES;

    capture->fd = crosh_priv_net_capture(vm, err);
    if (capture->fd < 0)
        return capture->fd;
    if (setsockopt(capture->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
        return crosh_error_errno(err, "the capture's socket");
    (void)setsockopt(capture->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    capture->data = malloc(capture->snap);
    if (capture->data == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return pcapng_begin(capture->out, vm, capture->snap) && fflush(capture->out) == 0
               ? 0
               : crosh_error_errno(err, "cannot write");
}

/* Ends the file, and says what there was. */
static int finish(struct crosh_context *ctx, struct capture *capture, int code,
                  struct crosh_error *err)
{
    struct tpacket_stats stats = {0};
    socklen_t size = sizeof(stats);

    (void)getsockopt(capture->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size);
    if (!pcapng_end(capture->out, now_ns(), capture->frames + stats.tp_drops, stats.tp_drops) &&
        code == 0)
        code = crosh_error_errno(err, "cannot write");
    (void)fprintf(crosh_stderr(ctx), "%llu frames captured, %u lost\n",
                  (unsigned long long)capture->frames, stats.tp_drops);
    return code;
}

int net_run_capture(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const char *path = crosh_args_string(args, "file");
    const int64_t seconds = crosh_args_number(args, "seconds", 0);
    cleanup_fclose FILE *file = NULL;
    struct capture capture = {.fd = -1,
                              .snap = (uint32_t)crosh_args_number(args, "snap", FRAME_MAX_BYTES),
                              .limit = (uint64_t)crosh_args_number(args, "count", 0),
                              .out = crosh_stdout(ctx)};
    int code;

    if (path == NULL && isatty(crosh_stdout_fd(ctx)))
        return crosh_error_set(err, CROSH_EUSAGE,
                               "a terminal cannot show frames: name a file, or a program by |");
    if (path != NULL) {
        file = fopen(path, "we");
        if (file == NULL)
            return crosh_error_errno(err, "%s", path);
        capture.out = file;
    }
    code = prepare(&capture, crosh_args_string(args, "vm"), err);
    if (code == 0) {
        code = run(ctx, &capture, seconds > 0 ? deadline_in(seconds * 1000) : DEADLINE_NEVER, err);
        code = finish(ctx, &capture, code, err);
    }
    if (capture.fd >= 0)
        (void)close(capture.fd);
    free(capture.data);
    if (code == 0 && file != NULL && fflush(file) != 0)
        code = crosh_error_errno(err, "%s", path);
    return code;
}
