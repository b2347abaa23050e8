/* SPDX-License-Identifier: MIT */
/* The built-in command "module": what became of every file in the module directories. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "crosh/builtins.h"
#include "crosh/shell.h"

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static int print_json(FILE *out, const struct loader *loader, struct crosh_error *err)
{
    json_t *array = json_array();
    int r = array == NULL ? -1 : 0;

    for (size_t i = 0; r == 0 && i < loader->count; i++) {
        const struct module *module = loader->modules[i];

        r = json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?}", "name", module->name, "state",
                             module_state_name(module->state), "path", module->path, "version",
                             module->descriptor.version, "summary", module->descriptor.summary,
                             "reason", module->reason));
    }
    if (r == 0) {
        r = json_dumpf(array, out, JSON_INDENT(2));
        (void)fputc('\n', out);
    }
    json_decref(array);
    /* A path that is not UTF-8 cannot be packed. */
    return r == 0 ? 0 : crosh_error_set(err, -EILSEQ, "cannot write the list as JSON");
}

static int run_list(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct shell *shell = ctx->shell;
    struct loader *loader = &shell->loader;
    struct crosh_table *table;

    loader_load_all(loader);
    if (crosh_args_has(args, "json"))
        return print_json(crosh_stdout(ctx), loader, err);
    table = crosh_table_new((const char *const[]){"NAME", "STATE", "VERSION", "DETAIL", NULL});
    for (size_t i = 0; i < loader->count; i++) {
        const struct module *module = loader->modules[i];

        crosh_table_row(table, (const char *const[]){module->name, module_state_name(module->state),
                                                     or_empty(module->descriptor.version),
                                                     or_empty(module->reason != NULL
                                                                  ? module->reason
                                                                  : module->descriptor.summary)});
    }
    crosh_table_print(table, ctx);
    crosh_table_free(table);
    return 0;
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

const struct crosh_command builtin_module = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "module",
    .summary = "Look at the loaded command modules",
    .subcommands = (const struct crosh_command *const[]){&list_command, NULL},
};
