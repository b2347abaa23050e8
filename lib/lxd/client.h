/* SPDX-License-Identifier: MIT */
/* A client of the LXD in a VM: requests of its REST API over streams that the agent opens. */
#ifndef CROSH_LXD_CLIENT_H
#define CROSH_LXD_CLIENT_H

#include <stdint.h>

#include <jansson.h>

#include <crosh/error.h>

#include "lib/lxd/http.h"
#include "lib/lxd/reply.h"

struct lxd;

/*
 * Connects to the LXD in the VM: -ENOENT no such VM, -ENOTCONN it does not run, -EREMOTEIO
 * no LXD answers in it. As long as none does, tries again until wait_ms are over (0: once): a
 * VM that starts takes a while to have one. interrupt_fd (-1: none) ends whatever waits with
 * -EINTR when it is readable. For one thread. NULL with err filled.
 */
struct lxd *lxd_open(const char *vm, int wait_ms, int interrupt_fd, struct crosh_error *err);
void lxd_close(struct lxd *lxd);

/*
 * The same without asking whether LXD answers; every request is given up after answer_ms (0: the
 * usual, two minutes). For where nobody shall wait.
 */
struct lxd *lxd_new(const char *vm, int answer_ms, int interrupt_fd);

/* From now on nothing is interrupted: for tidying up after an interruption. */
void lxd_ignore_interrupt(struct lxd *lxd);

/* The VM's name. */
const char *lxd_vm(const struct lxd *lxd);

/*
 * Asks for what path (printf-like, its parts judged by lib/lxd/names.h or escaped) names:
 * 0 with *metadata, owned by the caller; negative for LXD's and other errors.
 */
int lxd_get(struct lxd *lxd, json_t **metadata, struct crosh_error *err, const char *path, ...)
    CROSH_PRINTF(4, 5);

/*
 * Has LXD do something: 0 when it is done or, with the id of its operation in id (empty
 * otherwise), begun. body is borrowed; NULL: none.
 */
int lxd_send(struct lxd *lxd, const char *method, const json_t *body,
             char id[LXD_OPERATION_ID_SIZE], struct crosh_error *err, const char *path, ...)
    CROSH_PRINTF(6, 7);

/*
 * Performs a request with a body of its own, or whose answer is none of the REST API's when
 * it is good. Its path and deadline are set by the caller. 0 with the reply, to be released
 * with lxd_reply_fini(): LXD_REPLY_SYNC without metadata when request->write took it.
 */
int lxd_perform(struct lxd *lxd, const struct http_request *request, struct lxd_reply *reply,
                struct crosh_error *err);

/* Told of an operation's progress, about once a second. */
typedef void lxd_progress_fn(void *data, const struct lxd_operation *operation);

/*
 * Waits for an operation of LXD's to end. 0 with *metadata (may be NULL; owned; itself NULL when
 * there is none); -ETIMEDOUT at the deadline and -EINTR, and it goes on; -ECANCELED;
 * -ENOENT when LXD has forgotten it; otherwise LXD's error.
 */
int lxd_wait(struct lxd *lxd, const char *id, int64_t deadline, lxd_progress_fn *progress,
             void *data, json_t **metadata, struct crosh_error *err);

/*
 * lxd_send(), then lxd_wait() if an operation was begun: for what is over soon, or is to be
 * waited for however long it takes.
 */
int lxd_do(struct lxd *lxd, const char *method, const json_t *body, int64_t deadline,
           struct crosh_error *err, const char *path, ...) CROSH_PRINTF(6, 7);

/*
 * The operation under way that concerns the instance: 1 with its id, 0 when there is none,
 * or negative.
 */
int lxd_find_operation(struct lxd *lxd, const char *instance, char id[LXD_OPERATION_ID_SIZE],
                       struct crosh_error *err);

/* text as part of a path or of a query; heap memory, NULL after out of memory. */
char *lxd_escape(const char *text);

#endif
