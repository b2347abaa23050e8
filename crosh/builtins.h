/* SPDX-License-Identifier: MIT */
/* The table entries of built-in commands that have files of their own. */
#ifndef CROSH_BUILTINS_H
#define CROSH_BUILTINS_H

#include <crosh/command.h>

extern const struct crosh_command builtin_module; /* "module" */

#endif
