/* SPDX-License-Identifier: MIT */
/* Executables called crosh-NAME as commands: their table entry, and running them. */
#ifndef CROSH_EXTERNAL_H
#define CROSH_EXTERNAL_H

#include <crosh/command.h>

/* What the file's name begins with; the command is called like the rest. */
#define EXTERNAL_PREFIX "crosh-"

/* The entry of a command that takes any words. The strings are not copied. */
struct crosh_command external_command(const char *name, const char *summary);

#endif
