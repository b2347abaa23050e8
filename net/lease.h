/* SPDX-License-Identifier: MIT */
/* Leases: the address that each VM had last, and has again, noted beside its configuration. */
#ifndef NET_LEASE_H
#define NET_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/plan.h"

/*
 * A lease is the file "lease" in the VM's directory of the store, a line with the VM's IPv4 address
 * as plan_text() has it. The place of the plan follows from it, and from that all else. It goes
 * with the VM; a VM that is made anew under the name has none.
 */

/* The place of the VM's lease; site: PLAN_SITE_BYTES. False: it has none that the plan knows. */
bool lease_read(const char *vm, const uint8_t *site, struct plan_place *place);

/* Notes it. A VM that is not in the store gets no lease. 0 or negative errno. */
int lease_write(const char *vm, const struct plan_place *place);

/* Marks the numbers of the places that VMs other than this one have leases of, in any range. */
void lease_mark_others(const char *vm, bool taken[PLAN_PLACES]);

#endif
