/* SPDX-License-Identifier: MIT */
/* Forwarding of whatever ports the guest listens on, and the record of it. */
#ifndef VSH_AUTO_FORWARD_H
#define VSH_AUTO_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/command.h>

#include "modules/vsh/forwarder.h"

#define AUTO_FORWARD_MAX FORWARDER_RULES_MAX

/* A port of the guest, and where it is on this host. */
struct auto_port {
    uint16_t guest;
    uint16_t host; /* 0: no port of the host was free for it */
    int rule;
};

/*
 * Leads each of the guest's ports from the same port of 127.0.0.1, or from the next free
 * one, until the VM ends or stop_fd is readable. One at a time does so for a VM: -EBUSY.
 */
int auto_forward_run(struct crosh_context *ctx, const char *vm, int stop_fd,
                     struct crosh_error *err);

/* The same in a process of its own that outlives this one. 0 once it was started. */
int auto_forward_start(const char *vm, struct crosh_error *err);

/* What the running one has recorded. The count; 0 also when none runs. */
size_t auto_forward_recorded(const char *vm, struct auto_port ports[AUTO_FORWARD_MAX]);

#endif
