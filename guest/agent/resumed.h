/* SPDX-License-Identifier: MIT */
/* What the guest makes up for after it stood still, or began again from a snapshot. */
#ifndef AGENT_RESUMED_H
#define AGENT_RESUMED_H

#include "lib/wire/guest.pb-c.h"

/* Sets the time of day if it is off, has the kernel's random numbers begin anew, and moves to
   another network's addresses. */
void resumed(const Guest__Resumed *message);

#endif
