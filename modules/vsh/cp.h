/* SPDX-License-Identifier: MIT */
/* "vsh cp": copies of files and trees between host and VMs. */
#ifndef VSH_CP_H
#define VSH_CP_H

#include <crosh/command.h>

extern const struct crosh_command vsh_cp_command;

#endif
