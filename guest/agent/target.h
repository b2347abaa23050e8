/* SPDX-License-Identifier: MIT */
/* Targets of a session: the VM itself, and whatever else it holds; how to enter each. */
#ifndef AGENT_TARGET_H
#define AGENT_TARGET_H

#include <crosh/error.h>

struct target {
    const char *name;
    /*
     * Called in the new process of a session before the user is looked up: moves
     * it into the target (namespaces, root directory). NULL: it is there already.
     */
    int (*enter)(const struct target *target, struct crosh_error *err);
};

/* The target of that name; "" is the VM. NULL with err filled when there is none. */
const struct target *target_find(const char *name, struct crosh_error *err);

#endif
