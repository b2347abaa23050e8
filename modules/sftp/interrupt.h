/* SPDX-License-Identifier: MIT */
/* Has Ctrl-C end what waits for a server. */
#ifndef SFTP_INTERRUPT_H
#define SFTP_INTERRUPT_H

#include <pthread.h>
#include <stdbool.h>

#include <crosh/command.h>

#include "modules/sftp/client.h"

/* While one is on, the user's interrupt, or the end of the time, aborts the client. */
struct interrupt {
    struct crosh_context *ctx;
    struct sftp_client *client;
    int timeout_ms; /* negative: no end */
    int end_fd;
    pthread_t thread;
    bool is_on;
};

/* From now on until interrupt_end(), in the same thread. What cannot be watched goes unwatched. */
void interrupt_begin(struct interrupt *interrupt, struct crosh_context *ctx,
                     struct sftp_client *client, int timeout_ms);
void interrupt_end(struct interrupt *interrupt);

/* What came of it meanwhile: r, or -EINTR with err when that was the user's doing. */
int interrupt_result(const struct interrupt *interrupt, int r, struct crosh_error *err);
/* The same, of what went on before there was something to watch. */
int interrupt_judge(struct crosh_context *ctx, int r, struct crosh_error *err);

#endif
