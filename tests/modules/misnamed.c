/* SPDX-License-Identifier: MIT */
/* Test module: calls itself something else than its file. */
#include "bad.h"

CROSH_MODULE(misnamed) = {
    CROSH_MODULE_HEADER,
    .name = "other",
    .commands = (const struct crosh_command *const[]){&bad_command, NULL},
};
