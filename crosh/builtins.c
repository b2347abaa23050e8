/* SPDX-License-Identifier: MIT */
/* Built-in commands: help, exit and a few small ones. */
#include "crosh/builtins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crosh/shell.h"
#include "crosh/topics.h"
#include "lib/command/help.h"
#include "lib/command/text.h"

static struct shell *shell_of(struct crosh_context *ctx)
{
    return ctx->shell;
}

/* Candidates: all commands, then the sub-commands of what stands before. */
static void complete_help(struct crosh_context *ctx, const struct crosh_args *args,
                          const char *prefix, struct crosh_matches *matches)
{
    struct shell *shell = shell_of(ctx);
    const char *const *words = crosh_args_all(args, "command");
    const struct registry_entry *entry;
    const struct command *command;

    (void)prefix;
    loader_load_all(&shell->loader);
    if (words[0] == NULL) {
        for (size_t i = 0; i < shell->registry.count; i++) {
            command = shell->registry.entries[i].command;
            crosh_match_add(matches, command->entry.name, command->entry.summary);
        }
        for (const struct topic *topic = topics(); topic->name != NULL; topic++)
            crosh_match_add(matches, topic->name, topic->summary);
        return;
    }
    entry = registry_find(&shell->registry, words[0]);
    command = entry != NULL ? entry->command : NULL;
    for (words++; command != NULL && *words != NULL; words++)
        command = crosh_priv_command_sub(command, *words);
    for (size_t i = 0; command != NULL && i < command->subcommand_count; i++)
        crosh_match_add(matches, command->subcommands[i]->entry.name,
                        command->subcommands[i]->entry.summary);
}

static int help_for(struct crosh_context *ctx, const char *const *words, struct crosh_error *err)
{
    const struct registry_entry *entry = shell_find(shell_of(ctx), words[0]);
    const struct command *command = entry != NULL ? entry->command : NULL;
    const struct topic *topic = topic_find(words[0]);
    char quoted[128];

    if (command == NULL && topic != NULL && words[1] == NULL) {
        crosh_page_output(ctx);
        (void)fputs(topic->text, crosh_stdout(ctx));
        return 0;
    }
    if (command == NULL) {
        (void)crosh_error_set(err, -ENOENT, "there is no command %s",
                              crosh_priv_text_quote(words[0], quoted, sizeof(quoted)));
        return crosh_error_hint(err, "\"help_advanced\" lists all commands");
    }
    for (words++; *words != NULL; words++) {
        const struct command *sub = crosh_priv_command_sub(command, *words);
        char path[256];

        if (sub == NULL)
            return crosh_error_set(err, -ENOENT, "%s has no sub-command %s",
                                   crosh_priv_command_path(command, path, sizeof(path)),
                                   crosh_priv_text_quote(*words, quoted, sizeof(quoted)));
        command = sub;
    }
    crosh_priv_help_print(ctx, command);
    return 0;
}

static void list_commands(struct crosh_context *ctx, bool all)
{
    struct shell *shell = shell_of(ctx);
    size_t width = crosh_priv_help_width(ctx);
    size_t column = 0;
    FILE *out;

    crosh_page_output(ctx);
    out = crosh_stdout(ctx);
    loader_load_all(&shell->loader);
    for (size_t i = 0; i < shell->registry.count; i++) {
        size_t length = strlen(shell->registry.entries[i].command->entry.name);

        column = length > column ? length : column;
    }
    column += 4;
    for (size_t i = 0; i < shell->registry.count; i++) {
        const struct crosh_command *entry = &shell->registry.entries[i].command->entry;

        if (!all && (entry->flags & CROSH_COMMAND_ADVANCED) != 0)
            continue;
        (void)fprintf(out, "  %-*s", (int)column - 2, entry->name);
        crosh_priv_text_wrap(out, entry->summary, column, column, width);
    }
    (void)fputs(all ? "\n\"help COMMAND\" tells more about one of them.\n"
                    : "\n\"help COMMAND\" tells more about one of them; "
                      "\"help_advanced\" lists all commands.\n",
                out);
}

static int run_help(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    if (crosh_args_has(args, "command"))
        return help_for(ctx, crosh_args_all(args, "command"), err);
    list_commands(ctx, false);
    return 0;
}

static int run_help_advanced(struct crosh_context *ctx, const struct crosh_args *args,
                             struct crosh_error *err)
{
    (void)args;
    (void)err;
    list_commands(ctx, true);
    return 0;
}

static int run_exit(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct shell *shell = shell_of(ctx);

    (void)err;
    shell->is_exiting = true;
    return (int)crosh_args_number(args, "status", shell->last_status);
}

static int run_echo(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const char *const *words = crosh_args_all(args, "word");

    (void)err;
    for (size_t i = 0; words[i] != NULL; i++)
        (void)fprintf(crosh_stdout(ctx), "%s%s", i > 0 ? " " : "", words[i]);
    (void)fputc('\n', crosh_stdout(ctx));
    return 0;
}

static int run_true(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    return 0;
}

static int run_false(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    return 1;
}

static const struct crosh_param help_params[] = {
    {
        .name = "command",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED,
        .type = CROSH_TYPE_STRING,
        .summary = "The command, and its sub-command",
        .complete = complete_help,
    },
    {0},
};

static const struct crosh_command help_command = {
    CROSH_COMMAND_HEADER,
    .name = "help",
    .summary = "Show the commands, or the help of one",
    .help = "\"help language\" explains quotes, pipes, redirections, variables, jobs and scripts.",
    .examples = "help\tlists the commands\n"
                "help vmc start\texplains \"vmc start\"\n",
    .params = help_params,
    .run = run_help,
};

static const struct crosh_command help_advanced_command = {
    CROSH_COMMAND_HEADER,
    .name = "help_advanced",
    .summary = "Show all commands, the rarely needed ones too",
    .run = run_help_advanced,
};

static const struct crosh_param exit_params[] = {
    {
        .name = "status",
        .flags = CROSH_PARAM_ARGUMENT,
        .type = CROSH_TYPE_INT,
        .summary = "The exit status; without it that of the last command",
        .max = 255,
    },
    {0},
};

static const struct crosh_command exit_command = {
    CROSH_COMMAND_HEADER,  .name = "exit",  .summary = "Leave crosh; VMs keep running",
    .params = exit_params, .run = run_exit,
};

static const struct crosh_command quit_command = {
    CROSH_COMMAND_HEADER,  .flags = CROSH_COMMAND_ADVANCED,
    .name = "quit",        .summary = "Leave crosh (the same as exit)",
    .params = exit_params, .run = run_exit,
};

static const struct crosh_param echo_params[] = {
    {
        .name = "word",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED | CROSH_PARAM_VERBATIM,
        .type = CROSH_TYPE_STRING,
        .summary = "What to print",
    },
    {0},
};

static const struct crosh_command echo_command = {
    CROSH_COMMAND_HEADER,  .flags = CROSH_COMMAND_ADVANCED,
    .name = "echo",        .summary = "Print its arguments",
    .params = echo_params, .run = run_echo,
};

static const struct crosh_command true_command = {
    CROSH_COMMAND_HEADER, .flags = CROSH_COMMAND_ADVANCED,
    .name = "true",       .summary = "Do nothing, successfully",
    .run = run_true,
};

static const struct crosh_command false_command = {
    CROSH_COMMAND_HEADER, .flags = CROSH_COMMAND_ADVANCED,
    .name = "false",      .summary = "Do nothing, unsuccessfully",
    .run = run_false,
};

const struct crosh_command *const *builtin_commands(void)
{
    static const struct crosh_command *const commands[] = {
        &help_command,  &help_advanced_command, &exit_command,
        &quit_command,  &builtin_history,       &builtin_version,
        &builtin_alias, &builtin_jobs,          &builtin_module,
        &builtin_set,   &builtin_dmesg,         &builtin_free,
        &builtin_shell, &builtin_top,           &builtin_tracepath,
        &builtin_uname, &builtin_uptime,        &builtin_unalias,
        &builtin_unset, &builtin_wait,          &builtin_watch,
        &echo_command,  &true_command,          &false_command,
        NULL,
    };

    return commands;
}
