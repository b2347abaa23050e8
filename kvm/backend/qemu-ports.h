/* SPDX-License-Identifier: MIT */
/* The named ports of a machine that QEMU runs: our sockets before QEMU's. */
#ifndef KVM_BACKEND_QEMU_PORTS_H
#define KVM_BACKEND_QEMU_PORTS_H

#include <jansson.h>

#include "kvm/machine.h"

#define QEMU_PORT_DEVICE "port-" /* a port's device; behind it its name */

struct qemu_ports;

/* Makes the sockets that QEMU will listen on, before it is started. NULL with err filled. */
struct qemu_ports *qemu_ports_new(struct event_loop *loop, const struct machine_config *config,
                                  struct crosh_error *err);
/* Accepts NULL. */
void qemu_ports_free(struct qemu_ports *ports);
/* The listening socket of the port of this number, for QEMU to inherit; ours until
   qemu_ports_spawned(). */
int qemu_ports_fd(const struct qemu_ports *ports, unsigned int number);
/* QEMU has them. */
void qemu_ports_spawned(struct qemu_ports *ports);

/* An event of QEMU's, of whatever kind. */
void qemu_ports_event(struct qemu_ports *ports, const char *event, json_t *data);
/* machine_backend's port_connect. */
int qemu_ports_connect(struct qemu_ports *ports, const char *name, int fd, struct crosh_error *err);

#endif
