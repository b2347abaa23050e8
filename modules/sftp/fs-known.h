/* SPDX-License-Identifier: MIT */
/* What has to be true of an open file at the server, by which it is known again. */
#ifndef SFTP_FS_KNOWN_H
#define SFTP_FS_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/wire/sftp-packet.h"

struct node;

/* Of a node with open files. */
struct known {
    struct sftp_attrs attrs; /* flags: which of them are known; size: at least */
    uint64_t size_max;
    bool is_changed;   /* by us, so that its time is that of attrs or later */
    bool has_any_mode; /* we have set it, or do now; its type is known */
};

/* What follows is to be called with the nodes' lock. */

/* By the node's attributes, when the first file of it is opened. */
void known_begin(struct node *node);
/* The server has told of the file itself, by a handle or surely. */
void known_told(struct node *node, const struct sftp_attrs *attrs);
/* These are about to be set by us, and then they have been, as far as their flags say. */
void known_may_change(struct node *node, const struct sftp_attrs *attrs);
void known_changed(struct node *node, const struct sftp_attrs *attrs);
/* The file is about to be written up to there, and then it has been. */
void known_may_grow(struct node *node, uint64_t end);
void known_grown(struct node *node, uint64_t end);
/* Whether that can be the file; others may have made it longer. */
bool known_is(const struct node *node, const struct sftp_attrs *now, bool may_be_longer);

#endif
