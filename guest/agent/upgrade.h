/* SPDX-License-Identifier: MIT */
/* The copy of another agent that the host offers: received in pieces, checked, kept in memory. */
#ifndef AGENT_UPGRADE_H
#define AGENT_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/error.h>

#include "lib/base/sha256.h"
#include "lib/wire/guest.pb-c.h"

/* What Hello.upgrade says: Offers of this kind are understood. */
#define UPGRADE_VERSION 1

struct upgrade {
    int fd; /* the memfd, or -1: nothing is under way */
    uint64_t size;
    uint64_t received;
    uint8_t digest[SHA256_SIZE]; /* what it is to be */
    struct sha256 sha;           /* of what has come */
    bool is_complete;            /* and checked: fd is a program that nobody can change any more */
    int64_t deadline;            /* of the next piece; deadline_now()'s clock, ms */
};

void upgrade_init(struct upgrade *upgrade);
/* Forgets what is under way. */
void upgrade_reset(struct upgrade *upgrade);

/* Takes an offer: upgrade->received is what to ask for next. 0, or negative with the reason. */
int upgrade_begin(struct upgrade *upgrade, const Guest__Offer *offer, struct crosh_error *err);

/*
 * Takes a piece. 1: all is there and checked; 0: upgrade->received is what to ask for next;
 * negative with the reason, and nothing is under way any more.
 */
int upgrade_take(struct upgrade *upgrade, const Guest__AgentData *piece, struct crosh_error *err);

#endif
