/* SPDX-License-Identifier: MIT */
/* The table of "vmc container": what its commands are called, take and say of themselves. */
#include <crosh/module.h>
#include <crosh/vm.h>

#include "modules/vmc/container/container.h"
#include "modules/vmc/vmc.h"

/* clang-format off */
#define VM_PARAM                                                                                   \
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,                           \
     .type = CROSH_TYPE_STRING, .value_name = "VM", .summary = "The VM",                           \
     .complete = crosh_complete_vm_running}
#define CONTAINER_PARAM                                                                            \
    {.name = "container", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,                    \
     .type = CROSH_TYPE_STRING, .value_name = "CONTAINER", .summary = "The container",             \
     .complete = container_complete}
#define CONTAINERS_PARAM(completer)                                                                \
    {.name = "container",                                                                          \
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED,                  \
     .type = CROSH_TYPE_STRING, .value_name = "CONTAINER", .summary = "The containers",            \
     .complete = (completer)}
#define JSON_PARAM                                                                                 \
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"}
#define TIMEOUT_PARAM(seconds, text)                                                               \
    {.name = "timeout", .type = CROSH_TYPE_SECONDS, .min = 1, .max = 86400,                        \
     .default_value = (seconds), .value_name = "SECONDS", .summary = (text)}
#define NETWORK_TIMEOUT_PARAM                                                                      \
    {.name = "network-timeout", .type = CROSH_TYPE_SECONDS, .min = 0, .max = 3600,                 \
     .default_value = "60", .value_name = "SECONDS",                                               \
     .summary = "Wait so long for its network, then go on without (0: do not wait)"}

static const char *const booleans[] = {"true", "false", NULL};

static const struct crosh_param create_params[] = {
    {.name = "privileged", .type = CROSH_TYPE_CHOICE, .choices = booleans,
     .value_name = "true|false",
     .summary = "Let its root be the VM's root (false; only when it is made)"},
    TIMEOUT_PARAM("900", "Stop waiting then; what is under way goes on"),
    NETWORK_TIMEOUT_PARAM,
    {.name = "user", .type = CROSH_TYPE_STRING, .value_name = "USER",
     .summary = "Have this user in it instead of one named as you are"},
    {.name = "shell", .type = CROSH_TYPE_FLAG, .summary = "Open a shell in it as that user"},
    {.name = "target", .type = CROSH_TYPE_STRING, .value_name = "MEMBER",
     .summary = "Make it on this member of the VM's cluster"},
    {.name = "certificate", .type = CROSH_TYPE_PATH, .value_name = "FILE",
     .summary = "Trust the server if this (PEM) is its certificate"},
    {.name = "container_name", .flags = CROSH_PARAM_HIDDEN, .type = CROSH_TYPE_STRING,
     .value_name = "NAME", .summary = "The container's name, once more"},
    VM_PARAM,
    CONTAINER_PARAM,
    {.name = "source", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_PATH,
     .value_name = "SERVER|ROOTFS", .summary = "A server of images (https://...), or a file"},
    {.name = "image", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_PATH,
     .value_name = "ALIAS|METADATA", .summary = "The image's name there, or its metadata's file"},
    {.name = NULL},
};

static const struct crosh_param list_params[] = {JSON_PARAM, VM_PARAM, {.name = NULL}};
static const struct crosh_param info_params[] = {
    JSON_PARAM, VM_PARAM, CONTAINER_PARAM, {.name = NULL}};
static const struct crosh_param start_params[] = {
    TIMEOUT_PARAM("300", "Stop waiting then; what is under way goes on"), NETWORK_TIMEOUT_PARAM,
    VM_PARAM,
    CONTAINERS_PARAM(container_complete_stopped), {.name = NULL}};
static const struct crosh_param stop_params[] = {
    {.name = "force", .short_name = 'f', .type = CROSH_TYPE_FLAG,
     .summary = "End its processes at once"},
    TIMEOUT_PARAM("60", "How long the container may take"), VM_PARAM,
    CONTAINERS_PARAM(container_complete_running), {.name = NULL}};
static const struct crosh_param restart_params[] = {
    {.name = "force", .short_name = 'f', .type = CROSH_TYPE_FLAG,
     .summary = "End its processes at once"},
    TIMEOUT_PARAM("60", "How long the container may take"), NETWORK_TIMEOUT_PARAM, VM_PARAM,
    CONTAINERS_PARAM(container_complete_running), {.name = NULL}};
static const struct crosh_param delete_params[] = {
    {.name = "yes", .short_name = 'y', .type = CROSH_TYPE_FLAG, .summary = "Do not ask"},
    {.name = "force", .short_name = 'f', .type = CROSH_TYPE_FLAG,
     .summary = "Also those that run, which end at once"},
    VM_PARAM, CONTAINERS_PARAM(container_complete), {.name = NULL}};
static const struct crosh_param logs_params[] = {
    {.name = "console", .type = CROSH_TYPE_FLAG,
     .summary = "What the container wrote to its console instead"},
    VM_PARAM, CONTAINER_PARAM, {.name = NULL}};
static const struct crosh_param exec_params[] = {
    {.name = "user", .short_name = 'u', .type = CROSH_TYPE_STRING, .value_name = "USER",
     .summary = "Be this user of the container (root)"},
    {.name = "cwd", .type = CROSH_TYPE_STRING, .value_name = "DIR",
     .summary = "Start in this directory of the container"},
    {.name = "env", .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_STRING,
     .value_name = "NAME=VALUE", .summary = "Set a variable of the environment"},
    VM_PARAM,
    {.name = "container", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "CONTAINER", .summary = "The container",
     .complete = container_complete_running},
    {.name = "command",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED |
              CROSH_PARAM_VERBATIM,
     .type = CROSH_TYPE_STRING, .value_name = "COMMAND", .summary = "What to run, behind \"--\""},
    {.name = NULL}};
static const struct crosh_param snapshot_params[] = {
    {.name = "delete", .type = CROSH_TYPE_FLAG, .summary = "Remove the snapshot instead"},
    VM_PARAM, CONTAINER_PARAM,
    {.name = "snapshot", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_STRING,
     .value_name = "SNAPSHOT", .summary = "Its name (snap0, snap1, ...)"},
    {.name = NULL}};
static const struct crosh_param restore_params[] = {
    VM_PARAM, CONTAINER_PARAM,
    {.name = "snapshot", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "SNAPSHOT", .summary = "The snapshot"},
    {.name = NULL}};
static const struct crosh_param copy_params[] = {
    TIMEOUT_PARAM("900", "Stop waiting then; what is under way goes on"), VM_PARAM,
    {.name = "container", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "CONTAINER[/SNAPSHOT]",
     .summary = "The container, or how it was then", .complete = container_complete},
    {.name = "new", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "NEW", .summary = "The copy's name"},
    {.name = NULL}};
static const struct crosh_param rename_params[] = {
    VM_PARAM, CONTAINER_PARAM,
    {.name = "new", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "NEW", .summary = "Its new name"},
    {.name = NULL}};
static const struct crosh_param export_params[] = {
    TIMEOUT_PARAM("3600", "Give up then"), VM_PARAM, CONTAINER_PARAM,
    {.name = "file", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED, .type = CROSH_TYPE_PATH,
     .value_name = "FILE", .summary = "A new file"},
    {.name = NULL}};
static const struct crosh_param import_params[] = {
    TIMEOUT_PARAM("3600", "Give up then"), VM_PARAM,
    {.name = "file", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED, .type = CROSH_TYPE_PATH,
     .value_name = "FILE", .summary = "What \"export\" wrote"},
    {.name = "container", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_STRING,
     .value_name = "CONTAINER", .summary = "Its name, if not that of then"},
    {.name = NULL}};
static const struct crosh_param move_params[] = {
    TIMEOUT_PARAM("900", "Stop waiting then; what is under way goes on"), VM_PARAM, CONTAINER_PARAM,
    {.name = "member", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "MEMBER", .summary = "The cluster's member"},
    {.name = NULL}};
static const char *const top_keys[] = {
    "cpu", "memory", "swap", "disk", "network", "processes", "name", NULL};
static const struct crosh_param top_params[] = {
    {.name = "once", .type = CROSH_TYPE_FLAG, .summary = "Print it once instead"},
    JSON_PARAM,
    {.name = "sort", .type = CROSH_TYPE_CHOICE, .choices = top_keys, .default_value = "cpu",
     .value_name = "COLUMN", .summary = "What stands first: the most of this"},
    {.name = "interval", .type = CROSH_TYPE_SECONDS, .min = 1, .max = 3600, .default_value = "2",
     .value_name = "SECONDS", .summary = "The time between two looks"},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_STRING, .value_name = "VM",
     .summary = "The VM; without it, all that run", .complete = crosh_complete_vm_running},
    {.name = NULL}};
static const struct crosh_param limits_params[] = {
    {.name = "memory", .type = CROSH_TYPE_STRING, .value_name = "SIZE|none",
     .summary = "At most so much memory, such as 512M"},
    {.name = "cpus", .type = CROSH_TYPE_STRING, .value_name = "N|none",
     .summary = "At most so many processors' time"},
    {.name = "processes", .type = CROSH_TYPE_STRING, .value_name = "N|none",
     .summary = "At most so many processes and threads"},
    {.name = "disk", .type = CROSH_TYPE_STRING, .value_name = "SIZE|none",
     .summary = "At most so much room on the VM's disk"},
    JSON_PARAM, VM_PARAM, CONTAINER_PARAM, {.name = NULL}};

static const struct crosh_command list_command = {
    CROSH_COMMAND_HEADER,
    .name = "list",
    .summary = "List the containers of a running VM",
    .help = "With --json sizes are in bytes. A container that is still being made has the state "
            "\"making\".",
    .examples = "vmc container list termina\tfor people\n"
                "vmc container list --json termina\tfor programs\n",
    .params = list_params,
    .run = container_list,
};

static const struct crosh_command info_command = {
    CROSH_COMMAND_HEADER,
    .name = "info",
    .summary = "Show all about one container",
    .params = info_params,
    .run = container_info,
};

static const struct crosh_command start_command = {
    CROSH_COMMAND_HEADER,
    .name = "start",
    .summary = "Start containers",
    .help = "Waits until each of them has an address and its name server answers.",
    .params = start_params,
    .run = container_start,
};

static const struct crosh_command stop_command = {
    CROSH_COMMAND_HEADER,
    .name = "stop",
    .summary = "Stop containers",
    .help = "Asks the container's init to shut down. One that does not in time goes on running.",
    .examples = "vmc container stop termina penguin\tshut it down\n"
                "vmc container stop --force termina penguin\tend one that hangs\n",
    .params = stop_params,
    .run = container_stop,
};

static const struct crosh_command restart_command = {
    CROSH_COMMAND_HEADER,
    .name = "restart",
    .summary = "Stop containers and start them again",
    .help = "Waits as \"start\" does.",
    .params = restart_params,
    .run = container_restart,
};

static const struct crosh_command delete_command = {
    CROSH_COMMAND_HEADER,
    .name = "delete",
    .summary = "Remove containers with their snapshots and all their data",
    .help = "Asks first, unless -y is given; where nobody can be asked (no terminal, or "
            "VMC_NONINTERACTIVE is set) -y is needed.",
    .params = delete_params,
    .run = container_delete,
};

static const struct crosh_command logs_command = {
    CROSH_COMMAND_HEADER,
    .name = "logs",
    .summary = "Show what LXD logged of a container's last start",
    .help = "On a terminal, control characters are left out.",
    .params = logs_params,
    .run = container_logs,
};

static const struct crosh_command exec_command = {
    CROSH_COMMAND_HEADER,
    .name = "exec",
    .summary = "Run a command in a running container",
    .help = "The same as \"vsh VM CONTAINER -- COMMAND\", with its options and exit statuses.",
    .examples = "vmc container exec termina penguin -- apt-get update\tas root\n",
    .params = exec_params,
    .run = container_exec,
};

static const struct crosh_command snapshot_command = {
    CROSH_COMMAND_HEADER,
    .name = "snapshot",
    .summary = "Keep a container's files as they are now",
    .help = "\"vmc container info\" lists the snapshots.",
    .examples = "vmc container snapshot termina penguin before\ttake one\n"
                "vmc container restore termina penguin before\tgo back to it\n"
                "vmc container snapshot --delete termina penguin before\tremove it\n",
    .params = snapshot_params,
    .run = container_snapshot,
};

static const struct crosh_command restore_command = {
    CROSH_COMMAND_HEADER,
    .name = "restore",
    .summary = "Take a container back to a snapshot",
    .help = "One that runs is stopped for it and started again. What was changed since the "
            "snapshot is lost.",
    .params = restore_params,
    .run = container_restore,
};

static const struct crosh_command copy_command = {
    CROSH_COMMAND_HEADER,
    .name = "copy",
    .summary = "Make a container that is a copy of another",
    .examples = "vmc container copy termina penguin second\tas it is now\n"
                "vmc container copy termina penguin/before old\tas it was in a snapshot\n",
    .params = copy_params,
    .run = container_copy,
};

static const struct crosh_command rename_command = {
    CROSH_COMMAND_HEADER,
    .name = "rename",
    .summary = "Give a stopped container another name",
    .params = rename_params,
    .run = container_rename,
};

static const struct crosh_command export_command = {
    CROSH_COMMAND_HEADER,
    .name = "export",
    .summary = "Write a container with its snapshots to a file",
    .help = "The file is what \"lxc export\" writes, a tar archive, compressed with zstd. FILE must "
            "not exist and is readable by its owner only.",
    .params = export_params,
    .run = container_export,
};

static const struct crosh_command import_command = {
    CROSH_COMMAND_HEADER,
    .name = "import",
    .summary = "Make a container from a file that \"export\" wrote",
    .help = "Files of \"lxc export\" are taken as well.",
    .params = import_params,
    .run = container_import,
};

static const struct crosh_command limits_command = {
    CROSH_COMMAND_HEADER,
    .name = "limits",
    .summary = "Show or set what a container may use at most",
    .help = "Limits hold at once, also for one that runs; the disk's may need another start. "
            "\"none\" takes a limit away.",
    .examples = "vmc container limits --memory 1G --cpus 2 termina penguin\tset two\n"
                "vmc container limits termina penguin\tshow them\n",
    .params = limits_params,
    .run = container_limits,
};

static const struct crosh_command move_command = {
    CROSH_COMMAND_HEADER,
    .name = "move",
    .summary = "Move a stopped container to another member of the cluster",
    .help = "See \"help vmc cluster\".",
    .examples = "vmc container move one web three\tthe member called three\n",
    .params = move_params,
    .run = container_move,
};

static const struct crosh_command top_command = {
    CROSH_COMMAND_HEADER,
    .name = "top",
    .summary = "Show what running containers use at this moment",
    .help = "On a terminal it goes on until Ctrl-C; else, and with --once or --json, what a second "
            "came to is printed. CPU% is of one processor; IN/S and OUT/S are bytes a second over "
            "all network cards; MEMORY has the files in it that the container's processes read. "
            "DISK is what is the container's alone.",
    .examples = "vmc container top\tthe containers of all VMs\n"
                "vmc container top --sort memory termina\tof one, the largest first\n"
                "vmc container top --json\tonce, for programs\n",
    .params = top_params,
    .run = container_top,
};

static const struct crosh_command *const container_subcommands[] = {
    &list_command,   &info_command,     &start_command,   &stop_command,  &restart_command,
    &delete_command, &logs_command,     &exec_command,    &copy_command,  &rename_command,
    &limits_command, &snapshot_command, &restore_command, &export_command, &import_command,
    &move_command,   &top_command,      NULL,
};

const struct crosh_command vmc_container_command = {
    CROSH_COMMAND_HEADER,
    .name = "container",
    .summary = "Make, start and look after containers in a VM",
    .help = "Makes the container if it is not there, starts it if it does not run, and gives it a "
            "user named as you are, with sudo. The VM is started when it does not run. What was "
            "started has its network, an address and a name server that answers, when the command "
            "is over; one that has none in time is told, and is no failure.\n\n"
            "Without a source, a new container is made from the default image, Debian, which is "
            "built on this host the first time. A server is one of the simplestreams kind, such as "
            "https://images.lxd.canonical.com, and gives its images by name; it is the VM that "
            "fetches them. ROOTFS (squashfs or tar) and METADATA (tar) are an image's two files on "
            "this host.\n\n"
            "A container appears under its name when it is whole. If this command is interrupted "
            "or stops waiting, the same command goes on where that was. Exit status 124 says that "
            "the time was over and the VM still works on it.",
    .examples = "vmc container termina penguin\tthe default container\n"
                "vmc container termina penguin --shell\tand a shell in it\n"
                "vmc container termina web https://images.example.net debian/bookworm\tfrom a server\n"
                "vmc container termina own rootfs.squashfs metadata.tar.xz\tfrom files\n"
                "vmc container one web --target three\ton one member of a cluster\n",
    .params = create_params,
    .subcommands = container_subcommands,
    .run = container_create,
};
/* clang-format on */
