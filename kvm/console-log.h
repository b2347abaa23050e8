/* SPDX-License-Identifier: MIT */
/* The guest's console on the host: console.log, and console.sock for people who want to type. */
#ifndef KVM_CONSOLE_LOG_H
#define KVM_CONSOLE_LOG_H

#include <stddef.h>

#include "kvm/event-loop.h"

struct console_log;

typedef void console_input_fn(void *opaque, const void *data, size_t size);

/*
 * Opens <dir>/console.log (the previous one becomes console.log.old) and listens
 * on <dir>/console.sock. input gets what clients of the socket type.
 */
struct console_log *console_log_new(struct event_loop *loop, const char *dir,
                                    console_input_fn *input, void *opaque, struct crosh_error *err);
/* Takes a connected stream for one more client; owned, also on failure. */
int console_log_adopt(struct console_log *console, int fd, struct crosh_error *err);
/* Closes all; removes the socket, keeps the log. */
void console_log_free(struct console_log *console);

/*
 * Output of the guest: into the log, which holds 4 MiB before it is rotated once,
 * so that a guest cannot fill the disk, and to every client that keeps up.
 */
void console_log_write(struct console_log *console, const void *data, size_t size);

#endif
