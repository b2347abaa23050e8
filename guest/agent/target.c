/* SPDX-License-Identifier: MIT */
/* The table of targets. */
#include "guest/agent/target.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/wire/ports.h"

static const struct target targets[] = {
    {.name = VSH_TARGET_VM},
};

const struct target *target_find(const char *name, struct crosh_error *err)
{
    if (*name == '\0')
        name = VSH_TARGET_VM;
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        if (strcmp(targets[i].name, name) == 0)
            return &targets[i];
    }
    (void)crosh_error_set(err, -ENOENT, "no such container '%s'", name);
    return NULL;
}
