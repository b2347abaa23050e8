/* SPDX-License-Identifier: MIT */
/* A VM's network for its start: asked of the keeper, handed to the launcher. */
#ifndef VMC_NETWORK_H
#define VMC_NETWORK_H

#include <crosh/command.h>

#include "lib/net/socket.h"
#include "lib/vm/config.h"
#include "modules/vmc/progress.h"

/* The modes that there are, NULL-terminated: "auto", "nat", "isolated", "none". */
extern const char *const network_modes[];

struct vm_network {
    size_t fd_count; /* of tap descriptors; 0: the VM has no network */
    int fd[CROSH_NET_FDS_MAX];
    char mac[18];
    unsigned int mtu;
    char guest[512]; /* what its agent shall know */
};

/*
 * Gets what the VM's configuration says. "auto" is what is in $CROSH_NETWORK, else in
 * /etc/crosh/network, else "nat" with a warning where that cannot be. 0, or negative with err
 * filled.
 */
int network_attach(struct crosh_context *ctx, struct progress *progress, const char *name,
                   const struct crosh_vm_config *config, struct vm_network *network,
                   struct crosh_error *err);
/* Closes the descriptors; the launcher has its own. */
void network_fini(struct vm_network *network);

#endif
