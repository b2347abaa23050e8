/* SPDX-License-Identifier: MIT */
/* The keeper's own table of nftables: the way out for VMs, and who of them reaches whom. */
#ifndef NET_FILTER_H
#define NET_FILTER_H

#include <stdbool.h>

#include <crosh/error.h>

#include "net/plan.h"

struct filter;

/*
 * Makes the table (family inet), replacing one of that name. is_host: in the host's network, from
 * which routes may lead to the VMs of other hosts. NULL with err filled.
 */
struct filter *filter_new(const char *table, bool is_host, struct crosh_error *err);
/* Removes the table. Accepts NULL. */
void filter_free(struct filter *filter);

/* Lets a link's VM, and its containers, out under the host's address. */
int filter_add(struct filter *filter, const char *link, const struct plan_place *place,
               bool is_isolated, struct crosh_error *err);
/* What was added; rules that are gone are no error. */
void filter_remove(struct filter *filter, const char *link, const struct plan_place *place);

#endif
