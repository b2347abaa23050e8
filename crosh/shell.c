/* SPDX-License-Identifier: MIT */
/* Sets the shell up, finds commands and runs single ones. */
#include "crosh/shell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crosh/complete-line.h"
#include "crosh/config.h"
#include "crosh/pager.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"
#include "lib/command/args.h"
#include "lib/command/help.h"
#include "lib/command/suggest.h"
#include "lib/command/text.h"

static void args_free_p(struct crosh_args **args)
{
    crosh_priv_args_free(*args);
}

void shell_warn(const char *message, const char *hint)
{
    (void)fflush(stdout);
    (void)fputs("crosh: warning: ", stderr);
    crosh_priv_text_print(stderr, message);
    if (hint != NULL) {
        (void)fputs(" (", stderr);
        crosh_priv_text_print(stderr, hint);
        (void)fputc(')', stderr);
    }
    (void)fputc('\n', stderr);
}

void shell_report_to(FILE *out, const struct source *source, unsigned int line,
                     const struct crosh_error *err)
{
    if (source->name != NULL)
        (void)fprintf(out, "%s:%u: ", source->name, line);
    /* Messages may quote what a guest or a file said. */
    crosh_priv_text_print(out, err->message);
    (void)fputc('\n', out);
    if (err->hint[0] != '\0') {
        (void)fputs("hint: ", out);
        crosh_priv_text_print(out, err->hint);
        (void)fputc('\n', out);
    }
    (void)fflush(out);
}

void shell_report(const struct source *source, unsigned int line, const struct crosh_error *err)
{
    (void)fflush(stdout);
    shell_report_to(stderr, source, line, err);
}

int shell_status(int result)
{
    if (result == SHELL_ENOCOMMAND)
        return CROSH_EXIT_NO_COMMAND;
    if (result < 0)
        return crosh_error_exit_status(result);
    return result > 255 ? 255 : result;
}

static int run_words(struct crosh_context *ctx, const char *const *argv, struct crosh_error *err)
{
    const struct command *command;
    int r = shell_dispatch(ctx, argv, &command, err);

    return r < 0 ? r : shell_status(r);
}

static void complete(struct crosh_context *ctx, const char *const *words,
                     struct crosh_matches *matches)
{
    complete_words(ctx->shell, words, matches);
}

static void load_config(struct shell *shell)
{
    cleanup_free char *path = config_path("config");

    config_load(&shell->settings, path, shell_warn);
}

static int colour_set(struct crosh_context *ctx)
{
    const struct shell *shell = ctx->shell;
    const char *value = settings_get(&shell->settings, "colour");

    if (strcmp(value, "always") == 0)
        return 1;
    return strcmp(value, "never") == 0 ? 0 : -1;
}

static const char *setting(struct crosh_context *ctx, const char *name)
{
    const struct shell *shell = ctx->shell;

    return settings_find(name) != NULL ? settings_get(&shell->settings, name) : NULL;
}

int shell_init(struct shell *shell, const char *const *module_dirs, struct crosh_error *err)
{
    const struct crosh_command *const *builtin;

    memset(shell, 0, sizeof(*shell));
    jobs_init(&shell->jobs);
    shell->context = (struct crosh_context){
        .out = stdout,
        .err = stderr,
        .in_fd = STDIN_FILENO,
        .interrupt_fd = signals_interrupt_fd(),
        .run_words = run_words,
        .complete = complete,
        .page = pager_begin,
        .colour = colour_set,
        .setting = setting,
        .shell = shell,
    };
    for (builtin = builtin_commands(); *builtin != NULL; builtin++) {
        struct command *command = crosh_priv_command_new(*builtin, err);
        int r = command == NULL ? -EINVAL : registry_add(&shell->registry, command, NULL, err);

        if (r < 0)
            return r;
    }
    load_config(shell);
    loader_init(&shell->loader, &shell->registry, module_dirs, shell_warn);
    return 0;
}

void shell_fini(struct shell *shell)
{
    jobs_fini(&shell->jobs);
    registry_clear(&shell->registry);
    loader_fini(&shell->loader);
    settings_clear(&shell->settings);
    aliases_clear(&shell->aliases);
}

const struct registry_entry *shell_find(struct shell *shell, const char *name)
{
    const struct registry_entry *entry = registry_find(&shell->registry, name);

    if (entry == NULL) {
        loader_load_named(&shell->loader, name);
        entry = registry_find(&shell->registry, name);
    }
    if (entry == NULL) {
        loader_load_all(&shell->loader);
        entry = registry_find(&shell->registry, name);
    }
    return entry;
}

static int unknown_command(struct shell *shell, const char *name, struct crosh_error *err)
{
    struct suggestion suggestion;
    char quoted[128];

    (void)crosh_priv_text_quote(name, quoted, sizeof(quoted));
    crosh_priv_suggestion_init(&suggestion, name);
    for (size_t i = 0; i < shell->registry.count; i++)
        crosh_priv_suggestion_consider(&suggestion, shell->registry.entries[i].command->entry.name);
    for (size_t i = 0; i < shell->aliases.count; i++) {
        /* One that stands for itself is no help. */
        if (strcmp(shell->aliases.items[i].name, name) != 0)
            crosh_priv_suggestion_consider(&suggestion, shell->aliases.items[i].name);
    }
    if (suggestion.best != NULL)
        return crosh_error_set(err, SHELL_ENOCOMMAND, "unknown command %s (did you mean \"%s\"?)",
                               quoted, suggestion.best);
    (void)crosh_error_set(err, SHELL_ENOCOMMAND, "unknown command %s", quoted);
    (void)crosh_error_hint(err, "\"help\" lists the commands");
    return SHELL_ENOCOMMAND;
}

/* A program gets even "--help" and "--" as they stand: an inserted "--" ends our own options. */
static struct crosh_args *parse_verbatim(const struct command *command, const char *const *words,
                                         struct crosh_error *err)
{
    cleanup_free const char **marked = NULL;
    size_t count = 0;

    while (words[count] != NULL)
        count++;
    marked = calloc(count + 2, sizeof(*marked));
    if (marked == NULL) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    marked[0] = "--";
    memcpy(marked + 1, words, count * sizeof(*marked));
    return crosh_priv_args_parse(command, marked, err);
}

int shell_dispatch(struct crosh_context *ctx, const char *const *argv,
                   const struct command **command, struct crosh_error *err)
{
    const struct registry_entry *entry = shell_find(ctx->shell, argv[0]);
    cleanup(args_free_p) struct crosh_args *args = NULL;
    const char *const *rest;
    bool is_paged;
    int r;

    *command = NULL;
    if (entry == NULL)
        return unknown_command(ctx->shell, argv[0], err);
    *command = entry->command;
    r = crosh_priv_command_resolve(command, argv, &rest, err);
    if (r < 0)
        return r;
    args = entry->program != NULL ? parse_verbatim(*command, rest, err)
                                  : crosh_priv_args_parse(*command, rest, err);
    if (args == NULL)
        return err != NULL && err->code < 0 ? err->code : CROSH_EUSAGE;
    is_paged = ctx->pager != NULL;
    if (args->wants_help)
        crosh_priv_help_print(ctx, *command);
    else
        r = (*command)->entry.run(ctx, args, err);
    /* What an outer command has begun is that one's to end. */
    if (!is_paged)
        pager_end(ctx);
    return r;
}
