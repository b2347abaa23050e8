/* SPDX-License-Identifier: MIT */
/* Test module: calls a function that exists nowhere, as a module linked carelessly may. */
#include "bad.h"

int crosh_test_missing_function(void);

static int run(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    (void)bad_run(ctx, args, err);
    return crosh_test_missing_function();
}

static const struct crosh_command command = {CROSH_COMMAND_HEADER, .name = "undefined",
                                             .summary = "Call nothing", .run = run};

CROSH_MODULE(undefined) = {
    CROSH_MODULE_HEADER,
    .name = "undefined",
    .commands = (const struct crosh_command *const[]){&command, NULL},
};
