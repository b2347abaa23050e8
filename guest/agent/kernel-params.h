/* SPDX-License-Identifier: MIT */
/* Parameters that the launcher gave on the kernel's command line. */
#ifndef AGENT_KERNEL_PARAMS_H
#define AGENT_KERNEL_PARAMS_H

#include <stddef.h>

/*
 * Finds name=value in a kernel command line (quotes as the kernel reads them);
 * the last one wins. The value's length with value filled, or -ENOENT, or
 * -ENAMETOOLONG when size is too small.
 */
int kernel_param_find(const char *cmdline, const char *name, char *value, size_t size);

/* The same of the running kernel. */
int kernel_param(const char *name, char *value, size_t size);

#endif
