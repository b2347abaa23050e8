/* SPDX-License-Identifier: MIT */
/* Starting crosh-vm as a process that outlives the shell, and ending it. */
#ifndef VMC_LAUNCH_H
#define VMC_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/vm/config.h"
#include "lib/vm/control-client.h"
#include "modules/vmc/image.h"
#include "modules/vmc/network.h"

struct launch {
    struct crosh_control *control; /* subscribed; NULL: none */
    int pidfd;                     /* of the launcher; -1: none */
};

/* What is chosen for one run of a VM; the words are the launcher's own. */
struct launch_how {
    const char *accel, *transport, *vsock;
    const char *data_disk; /* NULL: none */
    const struct vm_network *network;
    uint32_t cid;
};

/*
 * Spawns the launcher for a VM in a session of its own, with launcher.log in
 * the runtime directory as its stderr. The launch is empty after an error.
 */
int launch_spawn(struct launch *launch, const char *name, const struct crosh_vm_config *config,
                 const struct image_files *files, const struct launch_how *how,
                 struct crosh_error *err);

/* Ends the VM in whatever state it is and waits until it is gone. */
void launch_kill(struct launch *launch);

/* Waits at most timeout_ms for the launcher to be gone; whether it is. */
bool launch_wait_gone(int pidfd, int timeout_ms);

/* Lets go of the launcher, which runs on. */
void launch_fini(struct launch *launch);

#endif
