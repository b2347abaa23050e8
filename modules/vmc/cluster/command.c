/* SPDX-License-Identifier: MIT */
/* The table of "vmc cluster": what its commands are called, take and say of themselves. */
#include <crosh/module.h>
#include <crosh/vm.h>

#include "modules/vmc/cluster/cluster.h"
#include "modules/vmc/vmc.h"

/* clang-format off */
#define VM_PARAM(needed, text)                                                                     \
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | (needed), .type = CROSH_TYPE_STRING,            \
     .value_name = "VM", .summary = (text), .complete = crosh_complete_vm_running}
#define MEMBER_PARAM(text)                                                                         \
    {.name = "member", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,                       \
     .type = CROSH_TYPE_STRING, .value_name = "MEMBER", .summary = (text)}
#define TIMEOUT_PARAM                                                                              \
    {.name = "timeout", .type = CROSH_TYPE_SECONDS, .min = 1, .max = 86400,                        \
     .default_value = "600", .value_name = "SECONDS", .summary = "Stop waiting then"}
#define NAME_PARAM                                                                                 \
    {.name = "name", .type = CROSH_TYPE_STRING, .value_name = "NAME",                              \
     .summary = "What the cluster shall call the VM (its name)"}
#define ADDRESS_PARAM                                                                              \
    {.name = "address", .type = CROSH_TYPE_STRING, .value_name = "ADDRESS",                        \
     .summary = "Where the other members reach the VM (the one it has)"}

static const struct crosh_param create_params[] = {
    NAME_PARAM, ADDRESS_PARAM, TIMEOUT_PARAM,
    VM_PARAM(CROSH_PARAM_REQUIRED, "The VM, with all its containers"), {.name = NULL}};
static const struct crosh_param join_params[] = {
    {.name = "token", .type = CROSH_TYPE_STRING, .value_name = "TOKEN",
     .summary = "Join by this, from a member on another host"},
    NAME_PARAM, ADDRESS_PARAM, TIMEOUT_PARAM, VM_PARAM(CROSH_PARAM_REQUIRED, "The new member"),
    {.name = "member", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_STRING,
     .value_name = "VM-OF-CLUSTER", .summary = "A VM of this host that is a member",
     .complete = crosh_complete_vm_running},
    {.name = NULL}};
static const struct crosh_param token_params[] = {
    VM_PARAM(CROSH_PARAM_REQUIRED, "A VM that is a member"),
    MEMBER_PARAM("What the new one will be called"), {.name = NULL}};
static const struct crosh_param list_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    VM_PARAM(0, "A VM that is a member; without it, the clusters of all running VMs"),
    {.name = NULL}};
static const struct crosh_param leave_params[] = {
    TIMEOUT_PARAM, VM_PARAM(CROSH_PARAM_REQUIRED, "The member"), {.name = NULL}};
static const struct crosh_param remove_params[] = {
    {.name = "yes", .short_name = 'y', .type = CROSH_TYPE_FLAG, .summary = "Do not ask"},
    TIMEOUT_PARAM, VM_PARAM(CROSH_PARAM_REQUIRED, "A VM that is a member, and lives"),
    MEMBER_PARAM("The dead one"), {.name = NULL}};

static const struct crosh_command create_command = {
    CROSH_COMMAND_HEADER,
    .name = "create",
    .summary = "Make a VM's LXD the first member of a cluster",
    .help = "Its containers stay. Those that run lose their network card for a moment, and get "
            "another address only if they ask for one anew.\n\n"
            "The VM needs a network in which other VMs reach it (nat); its address in there stays "
            "its own from start to start. Where that is not the address that others shall use, "
            "--address says which.",
    .params = create_params,
    .run = cluster_create,
};

static const struct crosh_command join_command = {
    CROSH_COMMAND_HEADER,
    .name = "join",
    .summary = "Make a VM's LXD one more member of a cluster",
    .help = "Its LXD must have no containers: what it has would be lost. Its images go.\n\n"
            "A member of the same host is named. For one of another host, a token is made there "
            "(vmc cluster token) and given here. Every member speaks with every other, so each host "
            "needs routes to the other's VMs and to their containers: the two networks that \"net "
            "routes\" shows there for each VM (ip route add NETWORK via OTHER-HOST). README has an "
            "example.",
    .examples = "vmc cluster join second first\tboth run on this host\n"
                "vmc cluster join second --token \"$TOKEN\"\tthe other runs elsewhere\n",
    .params = join_params,
    .run = cluster_join,
};

static const struct crosh_command token_command = {
    CROSH_COMMAND_HEADER,
    .name = "token",
    .summary = "Print what lets a VM of another host join",
    .help = "It lets one new member of that name join, within three hours, and is to be kept "
            "secret. It is LXD's own kind of token, with the cluster's certificate in it.",
    .examples = "vmc cluster token first second\ton the host of the member \"first\"\n",
    .params = token_params,
    .run = cluster_token,
};

static const struct crosh_command list_command = {
    CROSH_COMMAND_HEADER,
    .name = "list",
    .summary = "List a cluster's members and how they are",
    .help = "A member that is not heard of for 20 seconds is offline. With --json, \"cluster\" "
            "tells clusters apart, and \"message\" is LXD's word on the state.",
    .params = list_params,
    .run = cluster_list,
};

static const struct crosh_command leave_command = {
    CROSH_COMMAND_HEADER,
    .name = "leave",
    .summary = "Have a VM leave its cluster",
    .help = "No containers may be on it: move them to another member first (vmc container move). "
            "Then it is as a new VM. Also ends what an interrupted \"create\" or \"join\" left "
            "half done.",
    .params = leave_params,
    .run = cluster_leave,
};

static const struct crosh_command remove_command = {
    CROSH_COMMAND_HEADER,
    .name = "remove",
    .summary = "Forget a member that is dead and will not come back",
    .help = "What it had of containers is lost to the cluster. Asks first, unless -y is given. The "
            "VM, if it is still there, must not be started again: destroy it (vmc destroy).",
    .params = remove_params,
    .run = cluster_remove,
};

static const struct crosh_command *const subcommands[] = {
    &create_command, &join_command,   &token_command, &list_command,
    &leave_command,  &remove_command, NULL,
};

const struct crosh_command vmc_cluster_command = {
    CROSH_COMMAND_HEADER,
    .name = "cluster",
    .summary = "Join VMs to one cluster of LXD's",
    .help = "The containers of several VMs, on one host or several, are looked after as one: any "
            "member lists and changes them all. LXD does the work; these commands prepare the VMs "
            "for it.\n\n"
            "Three members go on when one of them dies, and so do more, as long as most of those "
            "with the role \"database\" live. Two do not: with one of them gone the other waits.",
    .examples = "vmc cluster create one\tthe first\n"
                "vmc cluster join two one\tand more\n"
                "vmc cluster join three one\n"
                "vmc container one web --target three\ta container on one of them\n"
                "vmc cluster list one\tall of them\n",
    .subcommands = subcommands,
};
/* clang-format on */
