/* SPDX-License-Identifier: MIT */
/* Copies of files and trees between this host and a server, many at once. */
#ifndef SFTP_TRANSFER_H
#define SFTP_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/command.h>

#include "modules/sftp/client.h"
#include "modules/sftp/where.h"

struct transfer_options {
    bool is_sync;       /* leave what is the same: by size and time, directories into each other */
    bool is_deleting;   /* with is_sync: remove what the source does not have */
    bool is_by_content; /* with is_sync: compare contents instead of times */
    bool is_dry;        /* with is_sync: change nothing, tell what would be done */
    bool has_lines;     /* keep a line for each thing that is done */
    bool is_verified;   /* compare each copy with its source before it gets its name */
};

/* What was done, or would be. */
struct transfer_counts {
    uint64_t copied;    /* files and links */
    uint64_t made;      /* directories */
    uint64_t deleted;   /* of all kinds */
    uint64_t unchanged; /* files and links */
    uint64_t left_out;  /* warned about */
    uint64_t bytes;     /* of the contents of files that were copied */
};

struct transfer;

/* where must stay. The client is the caller's. NULL with err. */
struct transfer *transfer_new(struct crosh_context *ctx, struct sftp_client *client,
                              const struct sftp_where *where, int timeout_ms,
                              const struct transfer_options *options, struct crosh_error *err);
/* Accepts NULL. */
void transfer_free(struct transfer *transfer);

/*
 * Begins a copy of what is at the path there to the path here, or the other way. A target that
 * is a directory is copied into, under the name of the source (with is_sync: instead);
 * is_into: it must be one. Links are copied as links, but a source itself is followed. 0 or
 * negative.
 */
int transfer_get(struct transfer *transfer, const char *there, const char *here, bool is_into,
                 struct crosh_error *err);
int transfer_put(struct transfer *transfer, const char *here, const char *there, bool is_into,
                 struct crosh_error *err);

/*
 * Shows the progress, warns of what is left out, and waits until all is done. 0, or negative:
 * what ended it; files that were under way go on from there at the next time.
 */
int transfer_finish(struct transfer *transfer, const char *title, struct transfer_counts *counts,
                    struct crosh_error *err);

/* After the end: a line for each thing that was done, sorted by path: "copy PATH". */
void transfer_print_lines(struct transfer *transfer, FILE *out);

#endif
