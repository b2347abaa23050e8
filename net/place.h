/* SPDX-License-Identifier: MIT */
/* Where the keeper works: the host's network, or a namespace of its own with an uplink. */
#ifndef NET_PLACE_H
#define NET_PLACE_H

#include <stdbool.h>

#include <crosh/error.h>

#include "net/outside.h"
#include "net/plan.h"

enum place_kind { PLACE_AUTO, PLACE_HOST, PLACE_OWN };

struct place {
    bool is_own;             /* a namespace of our own */
    struct outside *outside; /* the host's network */
    const char *uplink;      /* "host", "slirp4netns", "pasta"; NULL: there is no way out */
    unsigned int mtu;        /* of the way out; what VMs should have */
    bool
        is_forwarding_ours[2]; /* of IPv4, IPv6: it was switched on by us (in the host's network) */
    char notices[4][200];      /* what is not as it should be */
    unsigned int notice_count;
};

/*
 * Enters it: PLACE_AUTO is the host's network for who may change that, else an own
 * namespace of users and networks. Must be called before there are threads. 0, or
 * negative with err filled.
 */
int place_enter(struct place *place, enum place_kind kind, struct crosh_error *err);

/* Notes what is not as it should be, for people to read; those that are too many are lost. */
void place_notice(struct place *place, const char *fmt, ...) CROSH_PRINTF(2, 3);

/* Takes back what was changed. */
void place_leave(struct place *place);

/* Writes a value below /proc/sys/net/. 0 or negative errno. */
int place_sysctl(const char *path, const char *value);

/* The destinations that VMs must not get addresses from: all that the host routes, and we. */
int place_routes(struct place *place, struct plan_prefix **prefixes, struct crosh_error *err);

#endif
