/* SPDX-License-Identifier: MIT */
/* The built-in command "version": of the shell, and of all that it is made of. */
#include <errno.h>
#include <jansson.h>

#include "crosh/builtins.h"
#include "crosh/shell.h"

#ifdef WITH_EDITLINE
#define LINE_EDITING "editline"
#else
#define LINE_EDITING "readline"
#endif

static int print_json(struct crosh_context *ctx, struct crosh_error *err)
{
    struct shell *shell = ctx->shell;
    json_t *modules = json_array();
    json_t *all;
    int r;

    loader_load_all(&shell->loader);
    for (size_t i = 0; i < shell->loader.count; i++) {
        const struct crosh_module *module = &shell->loader.modules[i]->descriptor;

        if (shell->loader.modules[i]->state == MODULE_LOADED && module->name != NULL)
            (void)json_array_append_new(modules, json_pack("{s:s, s:s?}", "name", module->name,
                                                           "version", module->version));
    }
    all = json_pack("{s:s, s:i, s:s, s:o}", "crosh", PACKAGE_VERSION, "module_api",
                    (int)CROSH_API_VERSION, "line_editing", LINE_EDITING, "modules", modules);
    r = json_dumpf(all, crosh_stdout(ctx), JSON_INDENT(2));
    json_decref(all);
    (void)fputc('\n', crosh_stdout(ctx));
    return r == 0 ? 0 : crosh_error_set(err, -EILSEQ, "cannot write the versions as JSON");
}

static int run_version(struct crosh_context *ctx, const struct crosh_args *args,
                       struct crosh_error *err)
{
    if (crosh_args_has(args, "json"))
        return print_json(ctx, err);
    (void)fprintf(crosh_stdout(ctx), "crosh %s\n", PACKAGE_VERSION);
    return 0;
}

static const struct crosh_param version_params[] = {
    {
        .name = "json",
        .type = CROSH_TYPE_FLAG,
        .summary = "Print JSON, with the modules and the line editing library",
    },
    {0},
};

const struct crosh_command builtin_version = {
    CROSH_COMMAND_HEADER,     .name = "version",  .summary = "Show the version of crosh",
    .params = version_params, .run = run_version,
};
