/* SPDX-License-Identifier: MIT */
/* The launcher's end of the guest link (guest.proto): the agent's standing stream to us. */
#ifndef KVM_GUEST_LINK_H
#define KVM_GUEST_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvm/event-loop.h"
#include "lib/wire/guest.pb-c.h"

struct guest_link;

/* All calls on the loop's thread; messages are valid during the call. */
struct guest_link_ops {
    void (*hello)(void *opaque, const Guest__Hello *hello);
    void (*ending)(void *opaque, Guest__Ending__Kind kind);
    void (*share)(void *opaque, const Guest__ShareReply *reply);
    void (*lost)(void *opaque); /* the agent left after its hello */
    /* It wants the copy that it was offered, from offset on. */
    void (*agent_read)(void *opaque, uint64_t offset);
    void (*upgrade_failed)(void *opaque, const Guest__UpgradeFailed *failed);
};

struct guest_link *guest_link_new(struct event_loop *loop, const struct guest_link_ops *ops,
                                  void *opaque);
void guest_link_free(struct guest_link *link);

/*
 * Takes a new stream from the guest (a vsock_accept_fn; opaque is the link).
 * Refused while another is up: any process of the guest can dial the port, and
 * the first, the agent's, must not be pushed aside.
 */
bool guest_link_accept(void *link, int fd);

/* Asks the agent to power the guest off. False when no agent is there to ask. */
bool guest_link_shutdown(struct guest_link *link);

/*
 * Tells the agent that the guest stood still, and the time it is now; and if it began
 * from a snapshot, fresh random bytes, and the value of crosh.net now (NULL: there is none). False
 * when no agent is there to be told.
 */
bool guest_link_resumed(struct guest_link *link, bool was_restored, const char *network);

/* Offers the agent another program in its place. */
void guest_link_offer(struct guest_link *link, Guest__Offer *offer);
/* A piece of what was offered; size 0: it cannot be read any more. */
void guest_link_agent_data(struct guest_link *link, uint64_t offset, uint8_t *data, size_t size);
/* Asks the agent to mount a shared directory, or to leave it; ops->share tells what came of it.
   False when no agent is there to ask. */
bool guest_link_mount(struct guest_link *link, const char *tag, bool read_only);
bool guest_link_unmount(struct guest_link *link, const char *tag);

#endif
