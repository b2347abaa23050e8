/* SPDX-License-Identifier: MIT */
/* The commands of "sftp shell": one table for running, help and completion. */
#include "lib/command/command.h"
#include "lib/command/help.h"
#include "modules/sftp/shell-internal.h"

static int run_quit(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_open();

    (void)ctx, (void)args, (void)err;
    if (shell == NULL)
        shell = sftp_shell_session(err);
    if (shell != NULL)
        shell->is_over = true;
    return 0;
}

static int run_help(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const char *word = crosh_args_string(args, "command");
    struct command *all = crosh_priv_command_new(&sftp_shell_commands, err);
    const struct command *one;

    if (all == NULL)
        return err->code;
    one = word != NULL ? crosh_priv_command_sub(all, word) : all;
    if (one != NULL)
        crosh_priv_help_print(ctx, one);
    crosh_priv_command_free(all);
    return one != NULL ? 0 : crosh_error_set(err, CROSH_EUSAGE, "there is no command '%s'", word);
}

/* ---- The table ---- */

#define ARGUMENT(the_name, the_flags, value, text, completer)                                      \
    {                                                                                              \
        .name = (the_name), .flags = CROSH_PARAM_ARGUMENT | (the_flags),                           \
        .type = CROSH_TYPE_STRING, .value_name = (value), .summary = (text),                       \
        .complete = (completer),                                                                   \
    }
#define FLAG(the_name, letter, text)                                                               \
    {                                                                                              \
        .name = (the_name), .short_name = (letter), .type = CROSH_TYPE_FLAG, .summary = (text)     \
    }
/* What fingers type that know OpenSSH's. */
#define ALWAYS(the_name, letter)                                                                   \
    {                                                                                              \
        .name = (the_name), .short_name = (letter), .flags = CROSH_PARAM_HIDDEN,                   \
        .type = CROSH_TYPE_FLAG, .summary = "Always so"                                            \
    }
#define ID(value)                                                                                  \
    {                                                                                              \
        .name = "id", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,                        \
        .type = CROSH_TYPE_INT, .max = UINT32_MAX - 1, .value_name = (value),                      \
        .summary = "Its number at the server"                                                      \
    }
#define PATHS                                                                                      \
    ARGUMENT("path", CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED, "PATH",                          \
             "At the server; * and ? in its last part match names", shell_complete_remote)

static const struct crosh_param directory_params[] = {
    ARGUMENT("directory", 0, "DIR", "At the server; the home directory without it",
             shell_complete_remote),
    {.name = NULL},
};

static const struct crosh_param local_directory_params[] = {
    {.name = "directory",
     .flags = CROSH_PARAM_ARGUMENT,
     .type = CROSH_TYPE_PATH,
     .value_name = "DIR",
     .summary = "Of this host; the home directory without it"},
    {.name = NULL},
};

static const struct crosh_param ls_params[] = {
    FLAG("long", 'l', "Show all there is to know"),
    FLAG("all", 'a', "Show what begins with a dot, too"),
    ARGUMENT("path", CROSH_PARAM_REPEATED, "PATH", "At the server", shell_complete_remote),
    {.name = NULL},
};

static const struct crosh_param get_params[] = {
    FLAG("verify", 0, "Compare each copy with its source"),
    ALWAYS("recursive", 'r'),
    ALWAYS("preserve", 'p'),
    ARGUMENT("path", CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED, "REMOTE... [LOCAL]",
             "What to copy; the last of several words is where to", shell_complete_remote),
    {.name = NULL},
};

static const struct crosh_param put_params[] = {
    FLAG("verify", 0, "Compare each copy with its source"),
    ALWAYS("recursive", 'r'),
    ALWAYS("preserve", 'p'),
    {.name = "path",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_PATH,
     .value_name = "LOCAL... [REMOTE]",
     .summary = "What to copy; the last of several words is where to"},
    {.name = NULL},
};

static const struct crosh_param paths_params[] = {PATHS, {.name = NULL}};

static const struct crosh_param rm_params[] = {
    FLAG("recursive", 'r', "Directories with all that is in them, too; links are not followed"),
    PATHS,
    {.name = NULL},
};

static const struct crosh_param rename_params[] = {
    ARGUMENT("old", CROSH_PARAM_REQUIRED, "OLD", "What it is called", shell_complete_remote),
    ARGUMENT("new", CROSH_PARAM_REQUIRED, "NEW", "What it is to be called, or a directory",
             shell_complete_remote),
    {.name = NULL},
};

static const struct crosh_param ln_params[] = {
    FLAG("symbolic", 's', "A symbolic link"),
    ARGUMENT("old", CROSH_PARAM_REQUIRED, "TARGET", "What it leads to", shell_complete_remote),
    ARGUMENT("new", CROSH_PARAM_REQUIRED, "LINK", "The link", shell_complete_remote),
    {.name = NULL},
};

static const struct crosh_param chmod_params[] = {
    ARGUMENT("mode", CROSH_PARAM_REQUIRED, "MODE", "An octal number", NULL),
    PATHS,
    {.name = NULL},
};

static const struct crosh_param chown_params[] = {ID("UID"), PATHS, {.name = NULL}};
static const struct crosh_param chgrp_params[] = {ID("GID"), PATHS, {.name = NULL}};

static const struct crosh_param df_params[] = {
    ARGUMENT("path", 0, "PATH", "At the server", shell_complete_remote),
    {.name = NULL},
};

static const struct crosh_param help_params[] = {
    ARGUMENT("command", 0, "COMMAND", "What to tell of", NULL),
    {.name = NULL},
};

#define COMMAND(id, the_name, text, the_params, function)                                          \
    static const struct crosh_command id = {                                                       \
        CROSH_COMMAND_HEADER,   .name = (the_name), .summary = (text),                             \
        .params = (the_params), .run = (function),                                                 \
    }

COMMAND(cd_command, "cd", "Go to a directory at the server", directory_params, shell_run_cd);
COMMAND(lcd_command, "lcd", "Go to a directory of this host", local_directory_params,
        shell_run_lcd);
COMMAND(pwd_command, "pwd", "Print the directory at the server", NULL, shell_run_pwd);
COMMAND(lpwd_command, "lpwd", "Print the directory of this host", NULL, shell_run_lpwd);
COMMAND(ls_command, "ls", "List a directory", ls_params, shell_run_ls);
COMMAND(get_command, "get", "Copy from the server, trees too", get_params, shell_run_get);
COMMAND(put_command, "put", "Copy to the server, trees too", put_params, shell_run_put);
COMMAND(mkdir_command, "mkdir", "Make directories", paths_params, shell_run_mkdir);
COMMAND(rm_command, "rm", "Remove files, or trees", rm_params, shell_run_rm);
COMMAND(rmdir_command, "rmdir", "Remove empty directories", paths_params, shell_run_rmdir);
COMMAND(rename_command, "rename", "Give another name", rename_params, shell_run_rename);
COMMAND(mv_command, "mv", "The same as rename", rename_params, shell_run_rename);
COMMAND(ln_command, "ln", "Make a link", ln_params, shell_run_ln);
COMMAND(chmod_command, "chmod", "Change permissions", chmod_params, shell_run_chmod);
COMMAND(chown_command, "chown", "Change the owner", chown_params, shell_run_chown);
COMMAND(chgrp_command, "chgrp", "Change the group", chgrp_params, shell_run_chgrp);
COMMAND(stat_command, "stat", "Show all there is to know of files", paths_params, shell_run_stat);
COMMAND(df_command, "df", "Show how much room there is", df_params, shell_run_df);
COMMAND(help_command, "help", "List the commands, or tell of one", help_params, run_help);
COMMAND(quit_command, "quit", "Leave", NULL, run_quit);
COMMAND(exit_command, "exit", "The same as quit", NULL, run_quit);
COMMAND(bye_command, "bye", "The same as quit", NULL, run_quit);

static const struct crosh_command *const commands[] = {
    &cd_command,     &lcd_command,  &pwd_command,   &lpwd_command,  &ls_command,
    &get_command,    &put_command,  &mkdir_command, &rm_command,    &rmdir_command,
    &rename_command, &mv_command,   &ln_command,    &chmod_command, &chown_command,
    &chgrp_command,  &stat_command, &df_command,    &help_command,  &quit_command,
    &exit_command,   &bye_command,  NULL,
};

const struct crosh_command sftp_shell_commands = {
    CROSH_COMMAND_HEADER,
    .name = "sftp",
    .summary = "Use the files of a server",
    .subcommands = commands,
};
