/* SPDX-License-Identifier: MIT */
/* A thread that watches for the interrupt while the command's own waits for answers. */
#include "modules/sftp/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

static void *watch(void *opaque)
{
    const struct interrupt *interrupt = opaque;
    struct pollfd pfd[2] = {{.fd = interrupt->end_fd, .events = POLLIN},
                            {.fd = crosh_interrupt_fd(interrupt->ctx), .events = POLLIN}};

    while (poll(pfd, 2, interrupt->timeout_ms) < 0 && errno == EINTR)
        ;
    if (pfd[0].revents == 0)
        sftp_client_abort(interrupt->client);
    return NULL;
}

void interrupt_begin(struct interrupt *interrupt, struct crosh_context *ctx,
                     struct sftp_client *client, int timeout_ms)
{
    *interrupt = (struct interrupt){.ctx = ctx, .client = client, .timeout_ms = timeout_ms};
    interrupt->end_fd = eventfd(0, EFD_CLOEXEC);
    interrupt->is_on =
        interrupt->end_fd >= 0 && pthread_create(&interrupt->thread, NULL, watch, interrupt) == 0;
}

void interrupt_end(struct interrupt *interrupt)
{
    if (interrupt->is_on) {
        (void)eventfd_write(interrupt->end_fd, 1);
        (void)pthread_join(interrupt->thread, NULL);
    }
    if (interrupt->end_fd >= 0)
        (void)close(move_fd(interrupt->end_fd));
    interrupt->is_on = false;
}

int interrupt_judge(struct crosh_context *ctx, int r, struct crosh_error *err)
{
    if (r >= 0 || crosh_is_interrupted(ctx) == 0)
        return r;
    return crosh_error_set(err, -EINTR, "interrupted");
}

int interrupt_result(const struct interrupt *interrupt, int r, struct crosh_error *err)
{
    return interrupt_judge(interrupt->ctx, r, err);
}
