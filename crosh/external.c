/* SPDX-License-Identifier: MIT */
/* Runs executables called crosh-NAME in the foreground, with the words as they were typed. */
#include "crosh/external.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "crosh/foreground.h"
#include "crosh/shell.h"
#include "lib/base/cleanup.h"
#include "lib/command/args.h"

static int run_external(struct crosh_context *ctx, const struct crosh_args *args,
                        struct crosh_error *err)
{
    struct shell *shell = ctx->shell;
    const struct registry_entry *entry = registry_find(&shell->registry, args->command->entry.name);
    const char *const *words = crosh_args_all(args, "argument");
    size_t count = crosh_args_count(args, "argument");
    cleanup_free char **argv = calloc(count + 2, sizeof(*argv));

    if (argv == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    argv[0] = (char *)(uintptr_t)entry->program;
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    return foreground_run(ctx, argv, err);
}

struct crosh_command external_command(const char *name, const char *summary)
{
    static const struct crosh_param params[] = {
        {
            .name = "argument",
            .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED | CROSH_PARAM_VERBATIM,
            .type = CROSH_TYPE_STRING,
            .summary = "Passed on as it stands",
        },
        {0},
    };

    return (struct crosh_command){
        CROSH_COMMAND_HEADER,
        .flags = CROSH_COMMAND_ADVANCED,
        .name = name,
        .summary = summary,
        .help = "A program in a module directory. All that follows its name is its own.",
        .params = params,
        .run = run_external,
    };
}
