/* SPDX-License-Identifier: MIT */
/* Test module: its note states an API version of the future. Its constructor must not run. */
#include "bad.h"

BAD_CONSTRUCTOR;
BAD_NOTE(2);

extern const struct crosh_module future_LTX_crosh_module;
BAD_EXPORT const struct crosh_module future_LTX_crosh_module = {
    CROSH_MODULE_HEADER,
    .name = "future",
    .commands = (const struct crosh_command *const[]){&bad_command, NULL},
};
