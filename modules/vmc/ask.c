/* SPDX-License-Identifier: MIT */
/* Implements the way to a launcher. */
#include "modules/vmc/ask.h"

#include <stddef.h>

#include "lib/vm/store.h"

struct crosh_control *ask_open(const char *name, struct crosh_error *err)
{
    return crosh_priv_vm_require(name, err) < 0
               ? NULL
               : crosh_priv_control_open(name, ASK_TIMEOUT_MS, err);
}
