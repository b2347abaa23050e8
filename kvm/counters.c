/* SPDX-License-Identifier: MIT */
/* Implements lists of named figures. */
#include "kvm/counters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int counters_add(Control__Counter ***list, size_t *count, const char *name, uint64_t value)
{
    Control__Counter **grown = realloc(*list, (*count + 1) * sizeof(*grown));
    Control__Counter *counter = malloc(sizeof(*counter));

    if (grown != NULL)
        *list = grown;
    if (grown == NULL || counter == NULL)
        goto fail;
    control__counter__init(counter);
    counter->name = strdup(name);
    if (counter->name == NULL)
        goto fail;
    counter->value = value;
    grown[(*count)++] = counter;
    return 0;
fail:
    free(counter);
    return -ENOMEM;
}
