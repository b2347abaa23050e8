/* SPDX-License-Identifier: MIT */
/* The setting sftp.automount: files of guests are mounted when they come up, until "vmc stop". */
#ifndef VMC_AUTOMOUNT_H
#define VMC_AUTOMOUNT_H

#include <stdbool.h>

#include <crosh/command.h>

/* The container whose files are mounted instead of those of its VM. */
#define AUTOMOUNT_CONTAINER "penguin"

/*
 * The VM, or (not NULL) the container in it, is up or about to be. With the setting on, "sftp
 * mount" is started for it, which nobody waits for. That it cannot be started is a warning.
 */
void automount_begin(struct crosh_context *ctx, const char *vm, const char *container);

/*
 * The VM, or (not NULL) the container in it, is about to be stopped: unmounts what was mounted so,
 * also by other shells, and waits for what is still to be sent, though not for long, and hardly at
 * all when hurried. Failing is a warning.
 */
void automount_end(struct crosh_context *ctx, const char *vm, const char *container,
                   bool is_hurried);

#endif
