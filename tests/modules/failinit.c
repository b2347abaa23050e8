/* SPDX-License-Identifier: MIT */
/* Test module: its init fails with a reason. */
#include <errno.h>

#include "bad.h"

static int init(struct crosh_error *err)
{
    return crosh_error_set(err, -ENODEV, "the frobnicator is missing");
}

CROSH_MODULE(failinit) = {
    CROSH_MODULE_HEADER,
    .name = "failinit",
    .commands = (const struct crosh_command *const[]){&bad_command, NULL},
    .init = init,
};
