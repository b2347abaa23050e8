/* SPDX-License-Identifier: MIT */
/* The net module: its descriptor and its table of commands. */
#include <crosh/module.h>

#include "modules/net/ping.h"
#include "modules/net/tables.h"

static const struct crosh_param json_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    {.name = NULL},
};

#define TABLE(id, word, text, function)                                                            \
    static const struct crosh_command id = {                                                       \
        CROSH_COMMAND_HEADER,  .name = (word),    .summary = (text),                               \
        .params = json_params, .run = (function),                                                  \
    }

TABLE(links_command, "links", "List the host's network links", net_run_links);
TABLE(addrs_command, "addrs", "List the host's addresses", net_run_addrs);
TABLE(routes_command, "routes", "List the host's routes", net_run_routes);
TABLE(neigh_command, "neigh", "List the neighbours that the host knows", net_run_neigh);
TABLE(stats_command, "stats", "Count what the links have carried", net_run_stats);
/* Under the names that people know them by. */
TABLE(ipaddrs_command, "ipaddrs", "List the host's addresses", net_run_addrs);
TABLE(route_command, "route", "List the host's routes", net_run_routes);

static const struct crosh_command *const subcommands[] = {
    &links_command, &addrs_command, &routes_command, &neigh_command, &stats_command, NULL,
};

static const struct crosh_command net_command = {
    CROSH_COMMAND_HEADER,
    .name = "net",
    .summary = "Look at the network",
    .subcommands = subcommands,
};

static const struct crosh_command *const commands[] = {
    &net_command, &ping_command, &ipaddrs_command, &route_command, NULL,
};

CROSH_MODULE(net) = {
    CROSH_MODULE_HEADER,      .name = "net",        .version = PACKAGE_VERSION,
    .summary = "The network", .commands = commands,
};
