/* SPDX-License-Identifier: MIT */
/* The commands that show the host's network: links, addresses, routes, neighbours, counters. */
#ifndef MODULES_NET_TABLES_H
#define MODULES_NET_TABLES_H

#include <crosh/command.h>

crosh_run_fn net_run_links, net_run_addrs, net_run_routes, net_run_neigh, net_run_stats;

#endif
