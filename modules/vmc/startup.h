/* SPDX-License-Identifier: MIT */
/* The start-up of an image inside its guest, as the agent tells of it. */
#ifndef VMC_STARTUP_H
#define VMC_STARTUP_H

#include <crosh/command.h>

#include "modules/vmc/progress.h"

/*
 * Shows the stages of the VM's start-up, whose agent is ready, until it is over. 0; -EINTR;
 * -ETIMEDOUT when it goes on after the deadline (of deadline_now()), with the stage in err;
 * otherwise the reason why a stage failed, or why the agent could not be asked.
 */
int startup_attend(struct crosh_context *ctx, struct progress *progress, const char *name,
                   int64_t deadline, struct crosh_error *err);

#endif
