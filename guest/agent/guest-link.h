/* SPDX-License-Identifier: MIT */
/* The guest link: the agent's standing stream to its launcher, dialled again when it breaks. */
#ifndef AGENT_GUEST_LINK_H
#define AGENT_GUEST_LINK_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest/agent/address.h"
#include "guest/agent/clock-sync.h"
#include "guest/agent/upgrade.h"
#include "lib/wire/frame-queue.h"
#include "lib/wire/frame.h"
#include "lib/wire/guest.pb-c.h"

struct guest_link {
    struct address peer;
    uint64_t boottime_init_us;
    uint64_t boottime_ready_us;
    int fd; /* -1 between attempts */
    bool is_connected;
    int64_t dial_at_ms;
    int64_t connected_at_ms;
    int back_off_ms;
    struct frame_reader reader;
    struct byte_queue queue;
    struct clock_sync clock;
    struct upgrade upgrade; /* survives the stream once it is complete */
};

/* What the host wants of process 1. */
enum guest_link_wish {
    GUEST_LINK_NOTHING,
    GUEST_LINK_SHUTDOWN,
    GUEST_LINK_UPGRADE, /* another agent is there, in link->upgrade.fd */
};

/* Times: CLOCK_BOOTTIME when we began and when our ports listened. */
void guest_link_init(struct guest_link *link, const struct address *peer, uint64_t boottime_init_us,
                     uint64_t boottime_ready_us);
void guest_link_fini(struct guest_link *link);

/*
 * Before poll(2): dials when it is time, fills pfd. How long to wait at most,
 * in ms, or -1.
 */
int guest_link_prepare(struct guest_link *link, struct pollfd *pfd);

/* After poll(2). */
enum guest_link_wish guest_link_handle(struct guest_link *link, short revents);

/* Tells the host that this agent stays; forgets the other one. */
void guest_link_upgrade_failed(struct guest_link *link, const struct crosh_error *why);

/* Tells the host that the system ends by its own will, waiting shortly for it to be sent. */
void guest_link_end(struct guest_link *link, Guest__Ending__Kind kind);

#endif
