/* SPDX-License-Identifier: MIT */
/* The net module: its descriptor and its table of commands. */
#include <crosh/module.h>
#include <crosh/vm.h>

#include "lib/vm/complete-container.h"
#include "modules/net/ping.h"
#include "modules/net/tables.h"
#include "modules/net/vms.h"

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

TABLE(names_command, "names", "List the names of VMs with their addresses", net_run_names);
TABLE(published_command, "list", "List the published ports of all VMs", net_run_published);

/* A port may be published of a VM that does not run, too. */
static void complete_publisher(struct crosh_context *ctx, const struct crosh_args *args,
                               const char *prefix, struct crosh_matches *matches)
{
    crosh_complete_vm(ctx, args, prefix, matches);
    crosh_priv_complete_guest(ctx, args, prefix, matches);
}

/* clang-format off */
static const struct crosh_param list_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    {.name = "rates", .short_name = 'r', .type = CROSH_TYPE_SECONDS, .min = 1, .max = 3600,
     .value_name = "SECONDS", .summary = "Show bytes a second, measured for so long"},
    {.name = NULL},
};

static const struct crosh_param vms_params[] = {
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_STRING, .value_name = "VM", .summary = "The VMs",
     .complete = crosh_complete_vm_running},
    {.name = NULL},
};

static const struct crosh_param capture_params[] = {
    {.name = "count", .short_name = 'c', .type = CROSH_TYPE_INT, .min = 1, .max = INT64_MAX,
     .value_name = "N", .summary = "Stop after N frames"},
    {.name = "seconds", .type = CROSH_TYPE_SECONDS, .min = 1, .max = 86400 * 365,
     .value_name = "SECONDS", .summary = "Stop after this time"},
    {.name = "snap", .short_name = 's', .type = CROSH_TYPE_INT, .min = 14, .max = 65553,
     .value_name = "BYTES", .summary = "Keep so much of each frame (all)"},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "VM", .summary = "The VM",
     .complete = crosh_complete_vm_running},
    {.name = "file", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_PATH, .value_name = "FILE",
     .summary = "Write there instead of to the standard output"},
    {.name = NULL},
};

static const struct crosh_param publish_params[] = {
    {.name = "target", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "VM[/CONTAINER]", .summary = "Where it leads",
     .complete = complete_publisher},
    {.name = "port", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "[ADDRESS:]HOSTPORT:GUESTPORT[/udp]",
     .summary = "The ports, and the host's address to listen at (127.0.0.1)"},
    {.name = NULL},
};

static const struct crosh_param exec_params[] = {
    {.name = "command", .type = CROSH_TYPE_STRING, .value_name = "COMMAND",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED |
              CROSH_PARAM_VERBATIM,
     .summary = "The program and its arguments"},
    {.name = NULL},
};

static const struct crosh_command list_command = {
    CROSH_COMMAND_HEADER,
    .name = "list",
    .summary = "List the VMs that have a network",
    .help = "Bytes are counted as the VM sees them: RX is what it received.",
    .examples = "net list --rates 1\twhat goes on there now?\n"
                "watch net list --rates 1\tand on\n",
    .params = list_params,
    .run = net_run_list,
};

static const struct crosh_command up_command = {
    CROSH_COMMAND_HEADER,
    .name = "up",
    .summary = "Switch VMs' links on again",
    .params = vms_params,
    .run = net_run_up,
};

static const struct crosh_command down_command = {
    CROSH_COMMAND_HEADER,
    .name = "down",
    .summary = "Cut VMs off from the network, as long as they run",
    .params = vms_params,
    .run = net_run_down,
};

static const struct crosh_command doctor_command = {
    CROSH_COMMAND_HEADER,
    .name = "doctor",
    .summary = "Say what is in the way of VMs' networks, and how to mend it",
    .help = "It looks at what VMs' networks need of this host, at routes that overlap their "
            "addresses, and at other programs' firewall rules (root's VMs only), and changes nothing. "
            "The exit status is 1 when there is a problem.",
    .params = json_params,
    .run = net_run_doctor,
};

static const struct crosh_command capture_command = {
    CROSH_COMMAND_HEADER,
    .name = "capture",
    .summary = "Capture what goes over a VM's link, as pcapng",
    .help = "Until Ctrl-C, the count or the time. Needs no rights beyond the VM's owner's.",
    .examples = "net capture termina out.pcapng\tfor wireshark or tcpdump -r\n"
                "net capture termina | tcpdump -nr -\tlive\n",
    .params = capture_params,
    .run = net_run_capture,
};

static const struct crosh_command exec_command = {
    CROSH_COMMAND_HEADER,
    .name = "exec",
    .summary = "Run a program of this host's in the VMs' network",
    .help = "Where VMs are in a namespace of their own, other programs of this host do not reach "
            "their addresses: this enters it.",
    .examples = "net exec ssh 100.115.92.34\tto a VM's address\n",
    .params = exec_params,
    .run = net_run_exec,
};

static const struct crosh_command unpublish_command = {
    CROSH_COMMAND_HEADER,
    .name = "remove",
    .summary = "Publish a port no longer",
    .params = publish_params,
    .run = net_run_unpublish,
};

static const struct crosh_command *const publish_subcommands[] = {
    &published_command, &unpublish_command, NULL,
};

static const struct crosh_command publish_command = {
    CROSH_COMMAND_HEADER,
    .name = "publish",
    .summary = "Lead a port of this host's to a VM or a container",
    .help = "It is kept: whenever the VM runs with a network, who connects to the host's port gets to "
            "the guest's. The port is open at 127.0.0.1 unless another address is given.",
    .examples = "net publish termina 8080:80\thttp://127.0.0.1:8080 is the VM's port 80\n"
                "net publish termina/penguin 0.0.0.0:2222:22\tfor other machines, too\n"
                "net publish termina 5353:53/udp\tdatagrams\n"
                "net publish list\tall of them\n"
                "net publish remove termina 8080:80\tno longer\n",
    .params = publish_params,
    .subcommands = publish_subcommands,
    .run = net_run_publish,
};
/* clang-format on */

static const struct crosh_command *const subcommands[] = {
    &list_command,    &names_command,  &up_command,    &down_command,  &publish_command,
    &capture_command, &doctor_command, &exec_command,  &links_command, &addrs_command,
    &routes_command,  &neigh_command,  &stats_command, NULL,
};

static const struct crosh_command net_command = {
    CROSH_COMMAND_HEADER,
    .name = "net",
    .summary = "Look after the network, the VMs' and this host's",
    .subcommands = subcommands,
};

static const struct crosh_command *const commands[] = {
    &net_command, &ping_command, &ipaddrs_command, &route_command, NULL,
};

CROSH_MODULE(net) = {
    CROSH_MODULE_HEADER,      .name = "net",        .version = PACKAGE_VERSION,
    .summary = "The network", .commands = commands,
};
