/* SPDX-License-Identifier: MIT */
/* What LXD answers: the envelope of every answer, and the state of an operation. */
#ifndef CROSH_LXD_REPLY_H
#define CROSH_LXD_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <crosh/error.h>

/*
 * LXD runs in the guest, which may be hostile: every answer is bounded in size before it
 * is parsed, every text that comes out of these functions is free of control characters,
 * and whatever becomes part of a later request has been judged.
 */

/* The longest answer that is read; a hundred containers take about 1 MiB with all their state. */
#define LXD_REPLY_MAX (16u * 1024u * 1024u)

/* LXD's names for operations are UUIDs. */
#define LXD_OPERATION_ID_SIZE 37

enum lxd_reply_kind {
    LXD_REPLY_SYNC,  /* done, and the answer is in the metadata */
    LXD_REPLY_ASYNC, /* an operation was begun */
    LXD_REPLY_ERROR,
};

struct lxd_reply {
    enum lxd_reply_kind kind;
    json_t *metadata;                      /* owned; NULL: there is none */
    char operation[LXD_OPERATION_ID_SIZE]; /* of LXD_REPLY_ASYNC */
    int error_code;                        /* an HTTP status, of LXD_REPLY_ERROR */
    char error[512];
};

/*
 * Parses an answer of LXD's (its REST API's "Return values"). 0, or -EBADMSG for what is
 * none; to be released with lxd_reply_fini() in any case.
 */
int lxd_reply_parse(struct lxd_reply *reply, const char *text, size_t size,
                    struct crosh_error *err);
void lxd_reply_fini(struct lxd_reply *reply);

/* Fills the error of a reply of the kind LXD_REPLY_ERROR and returns its code. */
int lxd_reply_error(const struct lxd_reply *reply, struct crosh_error *err);

enum lxd_operation_state {
    LXD_OPERATION_RUNNING,
    LXD_OPERATION_DONE,
    LXD_OPERATION_FAILED,
    LXD_OPERATION_CANCELLED,
};

struct lxd_operation {
    char id[LXD_OPERATION_ID_SIZE];
    enum lxd_operation_state state;
    bool has_begun; /* LXD keeps for ever what it could not even begin */
    bool may_cancel;
    char description[128];
    char error[512];
    char progress[128]; /* "rootfs: 42% (3.10MB/s)"; empty: LXD tells none */
    json_t *metadata;   /* borrowed from what was parsed; NULL: none */
    json_t *resources;  /* borrowed as well: an object of arrays of paths; NULL: none */
};

/* 0, or -EBADMSG when object is no operation. */
int lxd_operation_parse(struct lxd_operation *operation, json_t *object, struct crosh_error *err);

/* Whether one of the operation's resources is the instance. */
bool lxd_operation_concerns(const struct lxd_operation *operation, const char *instance);

/* The member's text, made harmless, into out; empty when there is none. */
void lxd_text(const json_t *object, const char *key, char *out, size_t size);

#endif
