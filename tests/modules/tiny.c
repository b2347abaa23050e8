/* SPDX-License-Identifier: MIT */
/* Test module: a descriptor too small to hold commands. */
#include "bad.h"

CROSH_MODULE(tiny) = {
    .struct_size = offsetof(struct crosh_module, commands),
    .api_version = CROSH_API_VERSION,
    .name = "tiny",
    .commands = (const struct crosh_command *const[]){&bad_command, NULL},
};
