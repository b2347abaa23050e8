/* SPDX-License-Identifier: MIT */
/* Directories of the host's that a VM's guest sees: how they are written, and who serves them. */
#ifndef VMC_SHARE_H
#define VMC_SHARE_H

#include "lib/vm/config.h"

/* In the runtime directory, with the share's name behind it: where its virtiofsd listens. */
#define SHARE_SOCKET "fs.sock_"

/*
 * Reads "PATH[:NAME][:ro]" and adds it to config; without a NAME it is the directory's own. One
 * that config has already is replaced. *name (may be NULL): of the share, config's.
 */
int share_add(const char *text, struct crosh_vm_config *config, const char **name,
              struct crosh_error *err);

/* Listens at the share's socket in the runtime directory. The descriptor, or negative. */
int share_listen(const char *runtime, const char *name, struct crosh_error *err);

/*
 * Has a virtiofsd serve the directory on the listening socket to the VM of that configuration, as
 * long as the process of vm_pidfd lives, with log_fd for its words. All descriptors stay the
 * caller's.
 */
int share_serve(const char *runtime, const struct crosh_vm_config *config,
                const struct crosh_vm_share *share, int listen_fd, int vm_pidfd, int log_fd,
                struct crosh_error *err);

#endif
