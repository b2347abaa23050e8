/* SPDX-License-Identifier: MIT */
/* The agent beside an init of the image's own: process 1 is the image's, the agent its child. */
#ifndef AGENT_COMPANION_H
#define AGENT_COMPANION_H

#include <stdbool.h>

#include <crosh/error.h>

#include "lib/wire/guest.pb-c.h"

/*
 * For process 1, which has threads of no kind: it becomes the init, and the caller goes on as
 * its child. 0 in the child; negative when there is no such init, and nothing has changed.
 */
int companion_begin(const char *init, struct crosh_error *err);

/* Asks the init to power the system off, by the program that it comes with. */
void companion_power_off(void);

/* What the init is about to do, now that it ends us. */
Guest__Ending__Kind companion_ending(void);

#endif
