/* SPDX-License-Identifier: MIT */
/* The built-in command "module": what became of each file, what is in it, and loading one more. */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "crosh/builtins.h"
#include "crosh/shell.h"
#include "lib/command/text.h"

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static const char *summary_of(const struct module *module)
{
    return module->summary != NULL ? module->summary : module->descriptor.summary;
}

static json_t *module_json(const struct module *module)
{
    return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?}", "name", module->name, "state",
                     module_state_name(module->state), "path", module->path, "version",
                     module->descriptor.version, "summary", summary_of(module), "reason",
                     module->reason);
}

/* Prints and frees it. NULL stands for what could not be packed. */
static int print_json(FILE *out, json_t *json, struct crosh_error *err)
{
    int r = json == NULL ? -1 : json_dumpf(json, out, JSON_INDENT(2));

    if (r == 0)
        (void)fputc('\n', out);
    json_decref(json);
    /* A path that is not UTF-8 cannot be packed. */
    return r == 0 ? 0 : crosh_error_set(err, -EILSEQ, "this cannot be written as JSON");
}

static json_t *list_json(const struct loader *loader)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < loader->count; i++) {
        if (json_array_append_new(array, module_json(loader->modules[i])) < 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static int run_list(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct shell *shell = ctx->shell;
    struct loader *loader = &shell->loader;
    struct crosh_table *table;

    loader_load_all(loader);
    if (crosh_args_has(args, "json"))
        return print_json(crosh_stdout(ctx), list_json(loader), err);
    table = crosh_table_new((const char *const[]){"NAME", "STATE", "VERSION", "DETAIL", NULL});
    for (size_t i = 0; i < loader->count; i++) {
        const struct module *module = loader->modules[i];

        crosh_table_row(
            table, (const char *const[]){
                       module->name, module_state_name(module->state),
                       or_empty(module->descriptor.version),
                       or_empty(module->reason != NULL ? module->reason : summary_of(module))});
    }
    crosh_page_output(ctx);
    crosh_table_print(table, ctx);
    crosh_table_free(table);
    return 0;
}

/* Whether the command came with the module. */
static bool is_from(const struct registry_entry *entry, const struct module *module)
{
    return entry->module != NULL && strcmp(entry->module, module->name) == 0 &&
           (module->state == MODULE_LOADED || module->state == MODULE_PROGRAM);
}

static json_t *info_json(const struct shell *shell, const struct module *module)
{
    json_t *json = module_json(module), *commands = json_array();

    for (size_t i = 0; i < shell->registry.count; i++) {
        const struct registry_entry *entry = &shell->registry.entries[i];

        if (is_from(entry, module))
            (void)json_array_append_new(commands, json_string(entry->command->entry.name));
    }
    if (json == NULL || json_object_set_new(json, "commands", commands) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static void print_line(FILE *out, const char *label, const char *text)
{
    if (text == NULL)
        return;
    (void)fprintf(out, "%-10s", label);
    crosh_priv_text_print(out, text);
    (void)fputc('\n', out);
}

static int show(struct crosh_context *ctx, const struct crosh_args *args,
                const struct module *module, struct crosh_error *err)
{
    struct shell *shell = ctx->shell;
    FILE *out = crosh_stdout(ctx);
    const char *label = "commands";

    if (crosh_args_has(args, "json"))
        return print_json(out, info_json(shell, module), err);
    print_line(out, "name", module->name);
    print_line(out, "state", module_state_name(module->state));
    print_line(out, "file", module->path);
    print_line(out, "reason", module->reason);
    print_line(out, "version", module->descriptor.version);
    print_line(out, "summary", summary_of(module));
    for (size_t i = 0; i < shell->registry.count; i++) {
        const struct registry_entry *entry = &shell->registry.entries[i];

        if (!is_from(entry, module))
            continue;
        (void)fprintf(out, "%-10s%s: ", label, entry->command->entry.name);
        crosh_priv_text_print(out, or_empty(entry->command->entry.summary));
        (void)fputc('\n', out);
        label = "";
    }
    return 0;
}

static int run_info(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct shell *shell = ctx->shell;
    const char *name = crosh_args_string(args, "name");
    const struct module *module;
    char quoted[128];

    loader_load_named(&shell->loader, name);
    module = loader_find(&shell->loader, name);
    if (module == NULL) {
        loader_load_all(&shell->loader);
        module = loader_find(&shell->loader, name);
    }
    if (module != NULL)
        return show(ctx, args, module, err);
    (void)crosh_error_set(err, -ENOENT, "there is no file of the name %s in a module directory",
                          crosh_priv_text_quote(name, quoted, sizeof(quoted)));
    return crosh_error_hint(err, "\"module list\" shows all");
}

static int run_load(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct shell *shell = ctx->shell;
    const char *path = crosh_args_string(args, "file");
    const struct module *module;
    int r = loader_load_file(&shell->loader, path, &module, err);

    if (r < 0)
        return crosh_error_wrap(err, "%s", path);
    return crosh_args_has(args, "json") ? show(ctx, args, module, err) : 0;
}

static void complete_name(struct crosh_context *ctx, const struct crosh_args *args,
                          const char *prefix, struct crosh_matches *matches)
{
    struct shell *shell = ctx->shell;

    (void)args;
    (void)prefix;
    loader_load_all(&shell->loader);
    for (size_t i = 0; i < shell->loader.count; i++)
        crosh_match_add(matches, shell->loader.modules[i]->name,
                        module_state_name(shell->loader.modules[i]->state));
}

static const struct crosh_param list_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON"},
    {0},
};

static const struct crosh_command list_command = {
    CROSH_COMMAND_HEADER,
    .name = "list",
    .summary = "Show every file of the module directories, its state and why",
    .params = list_params,
    .run = run_list,
};

static const struct crosh_param info_params[] = {
    {
        .name = "name",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
        .type = CROSH_TYPE_STRING,
        .summary = "As \"module list\" shows it",
        .complete = complete_name,
    },
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON"},
    {0},
};

static const struct crosh_command info_command = {
    CROSH_COMMAND_HEADER,
    .name = "info",
    .summary = "Show one file of the module directories and its commands",
    .params = info_params,
    .run = run_info,
};

static const struct crosh_param load_params[] = {
    {
        .name = "file",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
        .type = CROSH_TYPE_PATH,
        .summary = "A module, NAME.so, or a program, crosh-NAME",
    },
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON about it"},
    {0},
};

static const struct crosh_command load_command = {
    CROSH_COMMAND_HEADER,
    .name = "load",
    .summary = "Load a module from elsewhere, until this shell ends",
    .help = "The file is held to the same rules as one in a module directory: nobody but you and "
            "root may be able to write to it or to any directory above it.",
    .examples = "module load ./hello.so\tadds the command \"hello\"\n",
    .params = load_params,
    .run = run_load,
};

const struct crosh_command builtin_module = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "module",
    .summary = "Look at the command modules, and load one",
    .subcommands =
        (const struct crosh_command *const[]){&list_command, &info_command, &load_command, NULL},
};
