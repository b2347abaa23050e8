/* SPDX-License-Identifier: MIT */
/* How the lists of system calls are put together. */
#ifndef KVM_SANDBOX_SECCOMP_INTERNAL_H
#define KVM_SANDBOX_SECCOMP_INTERNAL_H

#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "kvm/sandbox/seccomp.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Whether an int argument has a value; the kernel does not look at its upper half. */
struct scmp_arg_cmp seccomp_equals(unsigned int arg, uint32_t value);
/* Allows calls whatever their arguments. 0 or a negative errno, as all of these. */
int seccomp_add_calls(scmp_filter_ctx ctx, const int *calls, size_t count);
/* Compiles the list into filter, whose program is the caller's to free. */
int seccomp_export(scmp_filter_ctx ctx, struct seccomp_filter *filter);

#endif
