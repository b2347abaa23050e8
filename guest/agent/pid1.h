/* SPDX-License-Identifier: MIT */
/* The agent as the first process of a guest: everything that a system needs of its init. */
#ifndef AGENT_PID1_H
#define AGENT_PID1_H

#include "guest/agent/address.h"

struct pid1_options {
    struct address vsh; /* where the services listen */
    struct address files;
    struct address streams;
    struct address system;
    struct address link; /* whom the guest link dials */
    char **argv;         /* as it was started */
    int handover;        /* what the agent before this one left (handover.h), or -1: a boot */
};

/* Never returns but by ending the system. */
_Noreturn void pid1_run(const struct pid1_options *options);

#endif
