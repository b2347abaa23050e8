/* SPDX-License-Identifier: MIT */
/* The built-in commands "set" and "unset": settings of the shell, and variables. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/builtins.h"
#include "crosh/shell.h"
#include "lib/command/text.h"

static const char *const type_names[] = {
    [CROSH_TYPE_FLAG] = "flag",
    [CROSH_TYPE_STRING] = "text",
    [CROSH_TYPE_INT] = "number",
    [CROSH_TYPE_CHOICE] = "choice",
};

static struct settings *settings_of(struct crosh_context *ctx)
{
    struct shell *shell = ctx->shell;

    return &shell->settings;
}

static void complete_name(struct crosh_context *ctx, const struct crosh_args *args,
                          const char *prefix, struct crosh_matches *matches)
{
    (void)ctx;
    (void)args;
    (void)prefix;
    for (const struct setting *setting = settings_table(); setting->name != NULL; setting++)
        crosh_match_add(matches, setting->name, setting->summary);
}

static void complete_value(struct crosh_context *ctx, const struct crosh_args *args,
                           const char *prefix, struct crosh_matches *matches)
{
    const char *name = crosh_args_string(args, "name");
    const struct setting *setting = name != NULL ? settings_find(name) : NULL;

    (void)prefix;
    if (setting == NULL)
        return;
    for (size_t i = 0; setting->choices != NULL && setting->choices[i] != NULL; i++)
        crosh_match_add(matches, setting->choices[i], NULL);
    if (setting->choices == NULL)
        crosh_match_add(matches, settings_get(settings_of(ctx), name), "the value now");
}

static int print_json(struct crosh_context *ctx, const struct settings *settings,
                      struct crosh_error *err)
{
    json_t *array = json_array();
    int r = array == NULL ? -1 : 0;

    for (const struct setting *setting = settings_table(); r == 0 && setting->name != NULL;
         setting++)
        r = json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "name", setting->name, "value",
                             settings_get(settings, setting->name), "default",
                             setting->default_value, "type", type_names[setting->type],
                             "config_only", setting->is_config_only, "summary", setting->summary));
    if (r == 0) {
        r = json_dumpf(array, crosh_stdout(ctx), JSON_INDENT(2));
        (void)fputc('\n', crosh_stdout(ctx));
    }
    json_decref(array);
    /* A value that is not UTF-8 cannot be packed. */
    return r == 0 ? 0 : crosh_error_set(err, -EILSEQ, "cannot write the list as JSON");
}

/* Quotes what would not be one word as it stands. */
static const char *shown(const char *value, char *buf, size_t size)
{
    if (value[0] != '\0' && strpbrk(value, " \t\"\\") == NULL)
        return value;
    return crosh_priv_text_quote(value, buf, size);
}

static void print_table(struct crosh_context *ctx, const struct settings *settings)
{
    struct crosh_table *table =
        crosh_table_new((const char *const[]){"NAME", "VALUE", "MEANING", NULL});
    char quoted[256];

    for (const struct setting *setting = settings_table(); setting->name != NULL; setting++)
        crosh_table_row(table, (const char *const[]){setting->name,
                                                     shown(settings_get(settings, setting->name),
                                                           quoted, sizeof(quoted)),
                                                     setting->summary});
    crosh_page_output(ctx);
    crosh_table_print(table, ctx);
    crosh_table_free(table);
}

static int run_set(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    struct settings *settings = settings_of(ctx);
    const char *name = crosh_args_string(args, "name");
    const char *value = crosh_args_string(args, "value");

    if (name == NULL && crosh_args_has(args, "default"))
        return crosh_error_set(err, CROSH_EUSAGE, "--default needs the name of a setting");
    if (name == NULL && crosh_args_has(args, "json"))
        return print_json(ctx, settings, err);
    if (name == NULL) {
        print_table(ctx, settings);
        return 0;
    }
    if (crosh_args_has(args, "default") && value != NULL)
        return crosh_error_set(err, CROSH_EUSAGE, "either --default or a value");
    if (crosh_args_has(args, "default") || value != NULL)
        return settings_set(settings, name, value, false, err);
    if (settings_find(name) == NULL)
        return settings_set(settings, name, NULL, false, err); /* says what is wrong with it */
    (void)fprintf(crosh_stdout(ctx), "%s\n", settings_get(settings, name));
    return 0;
}

static const struct crosh_param set_params[] = {
    {
        .name = "json",
        .type = CROSH_TYPE_FLAG,
        .summary = "List as JSON",
    },
    {
        .name = "default",
        .short_name = 'd',
        .type = CROSH_TYPE_FLAG,
        .summary = "Set back to the default",
    },
    {
        .name = "name",
        .flags = CROSH_PARAM_ARGUMENT,
        .type = CROSH_TYPE_STRING,
        .summary = "Which setting; without it all are listed",
        .complete = complete_name,
    },
    {
        .name = "value",
        .flags = CROSH_PARAM_ARGUMENT,
        .type = CROSH_TYPE_STRING,
        .summary = "What to set it to; without it the value is printed",
        .complete = complete_value,
    },
    {0},
};

const struct crosh_command builtin_set = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "set",
    .summary = "Show or change the settings of the shell",
    .help = "What is set here holds for this shell. Lines \"set NAME VALUE\" in "
            "$XDG_CONFIG_HOME/crosh/config (~/.config/crosh/config) hold for every shell.",
    .examples = "set\tlists all settings\n"
                "set errexit off\tlets scripts go on after errors\n"
                "set --default prompt\tbrings the usual prompt back\n",
    .params = set_params,
    .run = run_set,
};

/* Environment variables are the shell's only variables. */
static void complete_variable(struct crosh_context *ctx, const struct crosh_args *args,
                              const char *prefix, struct crosh_matches *matches)
{
    extern char **environ;

    (void)ctx;
    (void)args;
    (void)prefix;
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
        char name[256];

        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(*variable, "="), *variable);
        crosh_match_add(matches, name, NULL);
    }
}

static int run_unset(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *const *names = crosh_args_all(args, "name");
    char quoted[128];

    (void)ctx;
    for (; *names != NULL; names++) {
        if (unsetenv(*names) < 0)
            return crosh_error_set(err, CROSH_EUSAGE, "%s cannot be a variable's name",
                                   crosh_priv_text_quote(*names, quoted, sizeof(quoted)));
    }
    return 0;
}

static const struct crosh_param unset_params[] = {
    {
        .name = "name",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED,
        .type = CROSH_TYPE_STRING,
        .summary = "The variables",
        .complete = complete_variable,
    },
    {0},
};

const struct crosh_command builtin_unset = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "unset",
    .summary = "Remove environment variables",
    .help = "NAME=VALUE sets a variable for the shell and all that it runs.",
    .params = unset_params,
    .run = run_unset,
};
