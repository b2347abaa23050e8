/* SPDX-License-Identifier: MIT */
/* A QMP client: tells QEMU what to do and hears what happened to its guest. */
#ifndef KVM_BACKEND_QMP_H
#define KVM_BACKEND_QMP_H

#include <stdbool.h>

#include <jansson.h>

#include "kvm/event-loop.h"

struct qmp;

/* An event, by QMP's name for it; data may be NULL. On the loop's thread. */
typedef void qmp_event_fn(void *opaque, const char *event, json_t *data);

/* Owns fd, also on failure (NULL). Negotiates capabilities at once. */
struct qmp *qmp_new(struct event_loop *loop, int fd, qmp_event_fn *event, void *opaque);
void qmp_free(struct qmp *qmp);

/* Handles what has arrived, of a QEMU that is gone maybe. */
void qmp_drain(struct qmp *qmp);

/* A command's result, or NULL when QEMU refused it or is gone. On the loop's thread. */
typedef void qmp_result_fn(void *opaque, json_t *result);

/*
 * Sends a command with arguments (may be NULL; takes the reference), and has fn (may be
 * NULL) called with its result: once, later, at the latest from qmp_free(). False when it
 * could not be sent: fn is not called then.
 */
bool qmp_query(struct qmp *qmp, const char *command, json_t *arguments, qmp_result_fn *fn,
               void *opaque);

/* The same with a descriptor, which stays the caller's, for QEMU to have a duplicate of. */
bool qmp_query_fd(struct qmp *qmp, const char *command, json_t *arguments, int fd,
                  qmp_result_fn *fn, void *opaque);

/*
 * Sends a command without arguments. QEMU carries commands out in order, so none
 * needs to wait for the one before; a refusal is reported on stderr.
 */
void qmp_execute(struct qmp *qmp, const char *command);

#endif
