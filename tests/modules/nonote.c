/* SPDX-License-Identifier: MIT */
/* Test module: everything but the ABI note. Its constructor must not run. */
#include "bad.h"

BAD_CONSTRUCTOR;

extern const struct crosh_module nonote_LTX_crosh_module;
BAD_EXPORT const struct crosh_module nonote_LTX_crosh_module = {
    CROSH_MODULE_HEADER,
    .name = "nonote",
    .commands = (const struct crosh_command *const[]){&bad_command, NULL},
};
