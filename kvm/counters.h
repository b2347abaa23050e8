/* SPDX-License-Identifier: MIT */
/* Named figures in a control message, of which the reader need not know each. */
#ifndef KVM_COUNTERS_H
#define KVM_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/wire/control.pb-c.h"

/* Appends one to a message's list; 0, or -ENOMEM. It is freed with the message. */
int counters_add(Control__Counter ***list, size_t *count, const char *name, uint64_t value);

#endif
