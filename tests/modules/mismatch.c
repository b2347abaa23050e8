/* SPDX-License-Identifier: MIT */
/* Test module: the note is right, the descriptor's API version is not. */
#include "bad.h"

CROSH_MODULE(mismatch) = {
    .struct_size = sizeof(struct crosh_module),
    .api_version = 7,
    .name = "mismatch",
    .commands = (const struct crosh_command *const[]){&bad_command, NULL},
};
