/* SPDX-License-Identifier: MIT */
/* The built-in commands "alias" and "unalias". */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/builtins.h"
#include "crosh/shell.h"
#include "lib/base/cleanup.h"
#include "lib/command/text.h"

static struct aliases *aliases_of(struct crosh_context *ctx)
{
    struct shell *shell = ctx->shell;

    return &shell->aliases;
}

static void complete_alias(struct crosh_context *ctx, const struct crosh_args *args,
                           const char *prefix, struct crosh_matches *matches)
{
    const struct aliases *aliases = aliases_of(ctx);

    (void)args;
    (void)prefix;
    for (size_t i = 0; i < aliases->count; i++)
        crosh_match_add(matches, aliases->items[i].name, aliases->items[i].text);
}

/* A line that makes the alias again. */
static void print_alias(FILE *out, const struct alias *alias)
{
    (void)fprintf(out, "alias %s='", alias->name);
    for (const char *p = alias->text; *p != '\0'; p++) {
        if (*p == '\'')
            (void)fputs("'\\''", out);
        else
            (void)fputc(*p, out);
    }
    (void)fputs("'\n", out);
}

static int no_alias(const char *name, struct crosh_error *err)
{
    char quoted[128];

    return crosh_error_set(err, -ENOENT, "there is no alias %s",
                           crosh_priv_text_quote(name, quoted, sizeof(quoted)));
}

static int print_named(struct crosh_context *ctx, const char *name, struct crosh_error *err)
{
    const struct aliases *aliases = aliases_of(ctx);

    for (size_t i = 0; i < aliases->count; i++) {
        if (strcmp(aliases->items[i].name, name) == 0) {
            print_alias(crosh_stdout(ctx), &aliases->items[i]);
            return 0;
        }
    }
    return no_alias(name, err);
}

static int print_json(struct crosh_context *ctx, struct crosh_error *err)
{
    const struct aliases *aliases = aliases_of(ctx);
    json_t *array = json_array();
    int r = array == NULL ? -1 : 0;

    for (size_t i = 0; r == 0 && i < aliases->count; i++)
        r = json_array_append_new(array, json_pack("{s:s, s:s}", "name", aliases->items[i].name,
                                                   "text", aliases->items[i].text));
    if (r == 0) {
        r = json_dumpf(array, crosh_stdout(ctx), JSON_INDENT(2));
        (void)fputc('\n', crosh_stdout(ctx));
    }
    json_decref(array);
    /* A text that is not UTF-8 cannot be packed. */
    return r == 0 ? 0 : crosh_error_set(err, -EILSEQ, "cannot write the list as JSON");
}

static int run_alias(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    struct aliases *aliases = aliases_of(ctx);
    const char *const *words = crosh_args_all(args, "definition");

    if (words[0] == NULL && crosh_args_has(args, "json"))
        return print_json(ctx, err);
    for (size_t i = 0; words[0] == NULL && i < aliases->count; i++)
        print_alias(crosh_stdout(ctx), &aliases->items[i]);
    for (; *words != NULL; words++) {
        const char *equals = strchr(*words, '=');
        cleanup_free char *name = NULL;
        int r;

        if (equals == NULL) {
            r = print_named(ctx, *words, err);
        } else {
            name = strndup(*words, (size_t)(equals - *words));
            r = name != NULL ? aliases_set(aliases, name, equals + 1, err)
                             : crosh_error_set(err, -ENOMEM, "out of memory");
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct crosh_param alias_params[] = {
    {
        .name = "json",
        .type = CROSH_TYPE_FLAG,
        .summary = "List as JSON",
    },
    {
        .name = "definition",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED,
        .type = CROSH_TYPE_STRING,
        .value_name = "NAME[='TEXT']",
        .summary = "What to define, or with NAME alone to show; without it all are listed",
        .complete = complete_alias,
    },
    {0},
};

const struct crosh_command builtin_alias = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "alias",
    .summary = "Show aliases, or give a name to the beginning of a command line",
    .help = "An alias holds for this shell; write it into $XDG_CONFIG_HOME/crosh/croshrc "
            "(~/.config/crosh/croshrc) to have it in every interactive one. A command whose name "
            "is quoted is never an alias, and an alias within itself neither.",
    .examples = "alias up='vmc start termina'\tdefines one\n"
                "up --no-shell\truns \"vmc start termina --no-shell\"\n"
                "alias\tlists all\n",
    .params = alias_params,
    .run = run_alias,
};

static int run_unalias(struct crosh_context *ctx, const struct crosh_args *args,
                       struct crosh_error *err)
{
    const char *const *names = crosh_args_all(args, "name");

    if (crosh_args_has(args, "all") == (names[0] != NULL))
        return crosh_error_set(err, CROSH_EUSAGE, "either --all or the names of aliases");
    if (names[0] == NULL)
        aliases_clear(aliases_of(ctx));
    for (; *names != NULL; names++) {
        if (!aliases_remove(aliases_of(ctx), *names))
            return no_alias(*names, err);
    }
    return 0;
}

static const struct crosh_param unalias_params[] = {
    {
        .name = "all",
        .short_name = 'a',
        .type = CROSH_TYPE_FLAG,
        .summary = "All of them",
    },
    {
        .name = "name",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED,
        .type = CROSH_TYPE_STRING,
        .summary = "The aliases",
        .complete = complete_alias,
    },
    {0},
};

const struct crosh_command builtin_unalias = {
    CROSH_COMMAND_HEADER,        .flags = CROSH_COMMAND_ADVANCED, .name = "unalias",
    .summary = "Remove aliases", .params = unalias_params,        .run = run_unalias,
};
