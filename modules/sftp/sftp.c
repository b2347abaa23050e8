/* SPDX-License-Identifier: MIT */
/* The sftp module: its descriptor and its table of commands. */
#include <crosh/module.h>
#include <crosh/vm.h>

#include "lib/vm/complete-container.h"
#include "modules/sftp/commands.h"

#define TARGET_HELP                                                                                \
    "TARGET is VM or VM/CONTAINER, which are reached without a network, or USER@HOST[:PORT] or a " \
    "host of sftp://[USER@]HOST[:PORT]/PATH, reached by ssh as ssh_config(5) says. A PATH that "   \
    "does not begin with \"/\" begins in the home directory."

#define TARGET                                                                                     \
    {                                                                                              \
        .name = "target", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,                    \
        .type = CROSH_TYPE_STRING, .value_name = "TARGET[:PATH]",                                  \
        .summary = "Where the files are", .complete = crosh_priv_complete_guest,                   \
    }

#define TIMEOUT                                                                                    \
    {                                                                                              \
        .name = "timeout", .type = CROSH_TYPE_SECONDS, .default_value = "15", .min = 1,            \
        .max = 3600, .summary = "How long to wait for a server that does not answer",              \
    }

static const struct crosh_param mount_params[] = {
    TARGET,
    {.name = "directory",
     .flags = CROSH_PARAM_ARGUMENT,
     .type = CROSH_TYPE_PATH,
     .value_name = "DIR",
     .summary = "Where to show them; ~/crosh/NAME without it"},
    {.name = "read-only", .short_name = 'r', .type = CROSH_TYPE_FLAG, .summary = "Change nothing"},
    {.name = "cache",
     .type = CROSH_TYPE_SECONDS,
     .default_value = "10",
     .max = 86400,
     .summary = "How long names and attributes are believed"},
    {.name = "allow-other",
     .type = CROSH_TYPE_FLAG,
     .summary = "Let other users of this host in (user_allow_other in /etc/fuse.conf)"},
    TIMEOUT,
    {.name = NULL},
};

static const struct crosh_command mount_command = {
    CROSH_COMMAND_HEADER,
    .name = "mount",
    .summary = "Show the files of a guest or a host in a directory",
    .help = TARGET_HELP
    "\n\nThe mount stays when crosh ends. When the connection is lost it is made again; programs "
    "wait for that as long as --timeout says, and then get an error. What was written and could "
    "not be sent is told by close and fsync, and by \"sftp list\".",
    .examples = "sftp mount termina\tthe VM's files at ~/crosh/termina\n"
                "sftp mount termina/penguin:/etc /mnt\ta container's\n"
                "sftp mount jane@host.example:work ~/work\tover ssh\n",
    .params = mount_params,
    .run = sftp_run_mount,
};

static const struct crosh_param umount_params[] = {
    {.name = "target",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_PATH,
     .value_name = "DIR|TARGET",
     .summary = "What is mounted"},
    {.name = NULL},
};

static const struct crosh_command umount_command = {
    CROSH_COMMAND_HEADER,
    .name = "umount",
    .summary = "End a mount",
    .help = "Waits until all that was written has been sent. Programs that are busy in it keep "
            "the files that they have open.",
    .params = umount_params,
    .run = sftp_run_umount,
};

static const struct crosh_param list_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    {.name = NULL},
};

static const struct crosh_command list_command = {
    CROSH_COMMAND_HEADER,  .name = "list",       .summary = "List the mounts, and how they are",
    .params = list_params, .run = sftp_run_list,
};

static const struct crosh_param ls_params[] = {
    TARGET,
    {.name = "long",
     .short_name = 'l',
     .type = CROSH_TYPE_FLAG,
     .summary = "Show all there is to know"},
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    TIMEOUT,
    {.name = NULL},
};

static const struct crosh_command ls_command = {
    CROSH_COMMAND_HEADER, .name = "ls",        .summary = "List a directory of a guest or a host",
    .help = TARGET_HELP,  .params = ls_params, .run = sftp_run_ls,
};

static const struct crosh_command *const subcommands[] = {
    &mount_command, &umount_command, &list_command, &ls_command, NULL,
};

static const struct crosh_command sftp_command = {
    CROSH_COMMAND_HEADER,
    .name = "sftp",
    .summary = "Use the files of guests and hosts",
    .subcommands = subcommands,
};

static const struct crosh_command *const commands[] = {&sftp_command, NULL};

CROSH_MODULE(sftp) = {
    CROSH_MODULE_HEADER,          .name = "sftp",       .version = PACKAGE_VERSION,
    .summary = "Files over SFTP", .commands = commands,
};
