/* SPDX-License-Identifier: MIT */
/* Named figures in a control message, of which the reader need not know each. */
#ifndef KVM_COUNTERS_H
#define KVM_COUNTERS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/wire/control.pb-c.h"

/* Appends one to a message's list; 0, or -ENOMEM. It is freed with the message. */
int counters_add(Control__Counter ***list, size_t *count, const char *name, uint64_t value);

/* For those who fill messages: a new element at the end of a message's list of them; a macro, as
 * each has a type of its own. */
#define COUNTERS_APPEND(list, count, type, init)                                                   \
    ({                                                                                             \
        type **grown_ = realloc((list), ((count) + 1) * sizeof(*grown_));                          \
        type *new_ = malloc(sizeof(*new_));                                                        \
        if (grown_ != NULL)                                                                        \
            (list) = grown_;                                                                       \
        if (grown_ != NULL && new_ != NULL) {                                                      \
            init(new_);                                                                            \
            grown_[(count)++] = new_;                                                              \
        } else {                                                                                   \
            free(new_);                                                                            \
            new_ = NULL;                                                                           \
        }                                                                                          \
        new_;                                                                                      \
    })

#endif
