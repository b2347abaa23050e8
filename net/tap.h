/* SPDX-License-Identifier: MIT */
/* Making the tap interface of a VM: it lives as long as one of its descriptors is open. */
#ifndef NET_TAP_H
#define NET_TAP_H

#include <crosh/error.h>

#define TAP_QUEUES_MAX 4u

/*
 * Makes the interface with so many queues (1 to TAP_QUEUES_MAX), a descriptor each, the caller's to
 * close. The number of queues that there are, which may be less, or negative: -EBUSY when the name
 * is taken.
 */
int tap_make(const char *name, unsigned int queues, int fd[TAP_QUEUES_MAX],
             struct crosh_error *err);

#endif
