/* SPDX-License-Identifier: MIT */
/* The sftp module: its descriptor and its table of commands. */
#include <string.h>

#include <crosh/module.h>
#include <crosh/vm.h>

#include "modules/sftp/commands.h"

#define TARGET_HELP                                                                                \
    "TARGET is VM, VM/CONTAINER, or CONTAINER of the VM termina, reached without a network (in a " \
    "container as the user called as you are, if there is one), or USER@HOST[:PORT] or a "         \
    "host of sftp://[USER@]HOST[:PORT]/PATH, reached by ssh as ssh_config(5) says. A PATH that "   \
    "does not begin with \"/\" begins in the home directory.\n\nA guest is talked to without "     \
    "encryption, as nothing leaves this machine, and needs nothing to be installed. With --ssh, "  \
    "or "                                                                                          \
    "after \"set sftp.transport ssh\", it is an OpenSSH server of its own that is started for "    \
    "the "                                                                                         \
    "session, with keys that are made for it."

#define TARGET                                                                                     \
    {                                                                                              \
        .name = "target", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,                    \
        .type = CROSH_TYPE_STRING, .value_name = "TARGET[:PATH]",                                  \
        .summary = "Where the files are", .complete = sftp_complete_target,                        \
    }

#define TIMEOUT                                                                                    \
    {                                                                                              \
        .name = "timeout", .type = CROSH_TYPE_SECONDS, .default_value = "15", .min = 1,            \
        .max = 3600, .summary = "How long to wait for a server that does not answer",              \
    }

#define SSH                                                                                        \
    {                                                                                              \
        .name = "ssh", .type = CROSH_TYPE_FLAG, .summary = "Reach a guest by SSH, too"             \
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
    {.name = "auto",
     .type = CROSH_TYPE_FLAG,
     .summary = "Wait for a guest that comes up; end the mount when \"vmc stop\" ends its VM"},
    SSH,
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
    "not be sent is told by close and fsync, and by \"sftp list\". A file that is open is then "
    "opened again by its name, if it is the same one by its size, times, owners and mode (SFTP "
    "tells no more); if it is not, or another host has changed it meanwhile, programs get "
    "ESTALE, and nothing is written to it. A mount at ~/crosh/NAME has a "
    "bookmark in GTK's and KDE's file managers while it is there, and crosh's icon. NAME is VM, "
    "CONTAINER (of termina) or CONTAINER.VM (of others), or USER@HOST.\n\n"
    "After \"set sftp.automount on\" (in the configuration file: for every shell) each \"vmc "
    "start\" does this by itself with --auto, in the background: for the VM, or, if its image is "
    "termina's, for its container penguin, as soon as that runs. \"vmc container\" does it when "
    "it has started penguin. The VM is started in any case, whatever becomes of the mount; "
    "\"sftp list\" shows whether it is there, and the same command by hand, such as \"sftp mount "
    "--auto termina/penguin\", tells why it is not. \"vmc stop\" unmounts what was mounted with "
    "--auto, and no other mount: those find their VM again when it is back. So does \"vmc "
    "container "
    "stop\" with penguin's.",
    .examples = "sftp mount termina\tthe VM's files at ~/crosh/termina\n"
                "sftp mount penguin\tyour home in the container, at ~/crosh/penguin\n"
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
    {.name = "auto",
     .type = CROSH_TYPE_FLAG,
     .summary =
         "All mounts made with --auto of the VM, or VM/CONTAINER, TARGET; there may be none"},
    {.name = "timeout",
     .type = CROSH_TYPE_SECONDS,
     .min = 1,
     .max = 3600,
     .summary = "Wait no longer for what is still to be sent; that goes on"},
    {.name = NULL},
};

static const struct crosh_command umount_command = {
    CROSH_COMMAND_HEADER,
    .name = "umount",
    .summary = "End a mount",
    .help = "Waits until all that was written has been sent. Programs that are busy in it keep "
            "the files that they have open. A directory ~/crosh/NAME that was made for the mount "
            "goes with it.",
    .params = umount_params,
    .run = sftp_run_umount,
};

static const struct crosh_param list_params[] = {
    {.name = "verbose",
     .short_name = 'v',
     .type = CROSH_TYPE_FLAG,
     .summary = "Show the figures of the caches, too"},
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    {.name = NULL},
};

static const struct crosh_command list_command = {
    CROSH_COMMAND_HEADER,
    .name = "list",
    .summary = "List the mounts, and how they are",
    .help = "READ and SENT are bytes from and to the server since the mount was made, READ/S and "
            "SENT/S those a second, over the last five. With --verbose: how often it was "
            "connected; the names, directory listings and (before they are opened) small files "
            "that it knows; and KNOWN, how many of the names, attributes and listings that the "
            "kernel asked for were known without asking the server. A mount whose process does "
            "not answer is \"silent\".",
    .examples = "sftp list --verbose\tall figures\n"
                "sftp list --json\tthe same for programs\n",
    .params = list_params,
    .run = sftp_run_list,
};

static const struct crosh_param ls_params[] = {
    TARGET,
    {.name = "long",
     .short_name = 'l',
     .type = CROSH_TYPE_FLAG,
     .summary = "Show all there is to know"},
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    SSH,
    TIMEOUT,
    {.name = NULL},
};

static const struct crosh_command ls_command = {
    CROSH_COMMAND_HEADER, .name = "ls",        .summary = "List a directory of a guest or a host",
    .help = TARGET_HELP,  .params = ls_params, .run = sftp_run_ls,
};

#define COPY_HELP                                                                                  \
    "\n\nDirectories are copied with all that is in them; permissions and times (in seconds) are " \
    "kept, holes stay holes, symbolic links stay links. What is neither file, directory nor link " \
    "is left out with a warning, and the exit status is then 1. A file appears under its name "    \
    "when it is complete; until then it is .NAME.crosh-part beside it, and a copy of 1 MiB or "    \
    "more that was interrupted goes on from there when the same command is given again. What is "  \
    "there is compared first: by checksums, if the server runs sha256sum and nobody need be "      \
    "asked for a password, else, and only if the source has the size and time that it had, by "    \
    "contents at its beginning and before its end. A source that changes while it is read is "     \
    "copied with a warning, and the exit status is then 1. Where permissions or times cannot be "  \
    "set, as in a FAT file system, a warning tells, and the exit status is 0.\n\n"                 \
    "--verify compares each copy with its source before it gets its name, in the same way or by "  \
    "reading it again.\n\nThe exit status is 0 when all was copied, 1 when something was left "    \
    "out, 3 when the source or "                                                                   \
    "the target is not there, 123 when the connection was lost, 124 when the server did not "      \
    "answer in time, 130 after Ctrl-C."

#define VERIFY                                                                                     \
    {                                                                                              \
        .name = "verify", .type = CROSH_TYPE_FLAG, .summary = "Compare each copy with its source"  \
    }

#define INTO                                                                                       \
    {                                                                                              \
        .name = "into", .short_name = 't', .type = CROSH_TYPE_FLAG,                                \
        .summary = "Fail unless the target is a directory"                                         \
    }

#define RECURSIVE                                                                                  \
    {                                                                                              \
        .name = "recursive", .short_name = 'r', .flags = CROSH_PARAM_HIDDEN,                       \
        .type = CROSH_TYPE_FLAG, .summary = "Always so"                                            \
    }

static const struct crosh_param get_params[] = {
    TARGET,
    {.name = "local",
     .flags = CROSH_PARAM_ARGUMENT,
     .type = CROSH_TYPE_PATH,
     .summary = "Where to: a directory, or a new name; here without it"},
    VERIFY,
    INTO,
    RECURSIVE,
    SSH,
    TIMEOUT,
    {.name = NULL},
};

static const struct crosh_command get_command = {
    CROSH_COMMAND_HEADER,
    .name = "get",
    .summary = "Copy a file or directory from a guest or a host",
    .help = TARGET_HELP COPY_HELP,
    .examples = "sftp get termina:/var/log/messages\tto the directory here\n"
                "sftp get termina/penguin:project ~/backup\ta whole directory of a container\n"
                "sftp get jane@host.example:data.img other.img\tunder another name\n",
    .params = get_params,
    .run = sftp_run_get,
};

static const struct crosh_param put_params[] = {
    {.name = "path",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_PATH,
     .value_name = "LOCAL... TARGET:[PATH]",
     .summary = "What to copy, and last where to",
     .complete = sftp_complete_either},
    VERIFY,
    INTO,
    RECURSIVE,
    SSH,
    TIMEOUT,
    {.name = NULL},
};

static const struct crosh_command put_command = {
    CROSH_COMMAND_HEADER,
    .name = "put",
    .summary = "Copy files or directories to a guest or a host",
    .help = TARGET_HELP COPY_HELP,
    .examples = "sftp put notes.txt termina:\tto the home directory there\n"
                "sftp put project jane@host.example:work\tover ssh\n",
    .params = put_params,
    .run = sftp_run_put,
};

static const struct crosh_param sync_params[] = {
    {.name = "source",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_PATH,
     .value_name = "SOURCE",
     .summary = "A directory: TARGET:[PATH] or one of this host",
     .complete = sftp_complete_either},
    {.name = "destination",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_PATH,
     .value_name = "DESTINATION",
     .summary = "What is to be like it; made when it is not there",
     .complete = sftp_complete_either},
    {.name = "delete", .type = CROSH_TYPE_FLAG, .summary = "Remove what the source does not have"},
    {.name = "checksum",
     .short_name = 'c',
     .type = CROSH_TYPE_FLAG,
     .summary = "Compare contents, not times"},
    {.name = "dry-run",
     .short_name = 'n',
     .type = CROSH_TYPE_FLAG,
     .summary = "Change nothing, tell what would be done"},
    {.name = "verbose",
     .short_name = 'v',
     .type = CROSH_TYPE_FLAG,
     .summary = "Tell each thing that is done"},
    VERIFY,
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    SSH,
    TIMEOUT,
    {.name = NULL},
};

static const struct crosh_command sync_command = {
    CROSH_COMMAND_HEADER,
    .name = "sync",
    .summary = "Make a directory like another, one way",
    .help = "One of the two is TARGET:[PATH], as the other commands have it; write ./a:b for a "
            "directory of this host that looks like it. Files of the same size and time (in "
            "seconds) are left alone, others are copied as \"sftp get\" and \"put\" do. With "
            "--delete what only the destination has is removed, and so is what is of another kind "
            "there; parts of interrupted copies stay. A directory that cannot be read loses "
            "nothing.\n\nThe last line tells how many files and links were copied, directories "
            "made, things deleted, left unchanged, and left out with a warning; the exit status is "
            "1 when anything was left out.",
    .examples = "sftp sync ~/project termina:project\tto a guest\n"
                "sftp sync --delete --dry-run termina/penguin:site ./site\tsee first\n",
    .params = sync_params,
    .run = sftp_run_sync,
};

static const struct crosh_param shell_params[] = {
    TARGET,
    SSH,
    TIMEOUT,
    {.name = NULL},
};

static const struct crosh_command shell_command = {
    CROSH_COMMAND_HEADER,
    .name = "shell",
    .summary = "Type commands for the files of a guest or a host",
    .help = TARGET_HELP
    "\n\nThe commands are cd, lcd, pwd, lpwd, ls, get, put, mkdir, rm, rmdir, rename, mv, ln, "
    "chmod, "
    "stat, df, help and quit; \"help\" there tells of each. Words are quoted as in crosh, TAB "
    "completes commands and the paths at the server, and a line that begins with \"!\" is for "
    "the shell of this host. When standard input is no terminal its lines are a script, which "
    "ends at the first command that fails, unless a \"-\" stands before that; the exit status is "
    "that of the last command.",
    .examples = "sftp shell termina/penguin\tof a container\n"
                "echo 'put site.tar /srv/' | sftp shell jane@host.example\ta script\n",
    .params = shell_params,
    .run = sftp_run_shell,
};

int sftp_where_find(struct sftp_where *where, struct crosh_context *ctx,
                    const struct crosh_args *args, const char *text, struct crosh_error *err)
{
    const char *transport = crosh_setting(ctx, "sftp.transport");
    int r = sftp_where_parse(where, text, err);

    where->is_by_ssh =
        crosh_args_has(args, "ssh") != 0 || (transport != NULL && strcmp(transport, "ssh") == 0);
    return r;
}

static const struct crosh_command *const subcommands[] = {
    &mount_command, &umount_command, &list_command,  &ls_command, &get_command,
    &put_command,   &sync_command,   &shell_command, NULL,
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
