/* SPDX-License-Identifier: MIT */
/* The shared directories of a VM that runs: they come and go, and the agent mounts them. */
#ifndef KVM_LAUNCHER_SHARES_H
#define KVM_LAUNCHER_SHARES_H

#include "kvm/control/server.h"
#include "kvm/machine.h"
#include "lib/wire/guest.pb-c.h"

struct launcher;

/*
 * Attaches a share whose link is not open yet; the guest has it again after a reboot. Answers the
 * call, now or later: when the agent has mounted it, if it is to and there is one.
 */
void launcher_share_attach(struct launcher *l, struct control_call *call,
                           const struct fs_share *share);
/* Has the agent leave it, and asks the guest for it. Answers the call when it is given back, or
   after timeout_ms (0: a default) that it was not; then it may still come. */
void launcher_share_detach(struct launcher *l, struct control_call *call, const char *tag,
                           uint32_t timeout_ms);
/* Whether the agent has mounted it. */
bool launcher_share_is_mounted(const struct launcher *l, const char *tag);

/*
 * The agent has come: it is told what to mount. True: launcher_is_ready() will be called, once it
 * has or has had time enough to; false: there is nothing to wait for.
 */
bool launcher_shares_hello(struct launcher *l);
void launcher_shares_reply(struct launcher *l, const Guest__ShareReply *reply);
/*
 * Before a snapshot: has the agent leave what it has mounted, as what the virtiofsd knows of it
 * cannot be saved. 1: launcher_state_shares_left() will be called; 0: there is nothing to leave; or
 * negative.
 */
int launcher_shares_leave(struct launcher *l, struct crosh_error *err);
/* After it: the agent mounts them again. */
void launcher_shares_return(struct launcher *l);
/* For struct machine_host; opaque: the launcher. */
void launcher_on_share_gone(void *opaque, const char *tag);
/* The machine is gone: answers whoever waits. */
void launcher_shares_down(struct launcher *l);

#endif
