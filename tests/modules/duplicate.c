/* SPDX-License-Identifier: MIT */
/* Test module: a fine command, and one that the shell has already. */
#include "bad.h"

static const struct crosh_command help = {CROSH_COMMAND_HEADER, .name = "help",
                                          .summary = "Another help", .run = bad_run};

CROSH_MODULE(duplicate) = {
    CROSH_MODULE_HEADER,
    .name = "duplicate",
    .commands = (const struct crosh_command *const[]){&bad_command, &help, NULL},
};
