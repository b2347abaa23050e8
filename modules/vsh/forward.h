/* SPDX-License-Identifier: MIT */
/* "vsh forward", "vsh proxy", "vsh ports" and "vsh ssh-config". */
#ifndef VSH_FORWARD_H
#define VSH_FORWARD_H

#include <crosh/command.h>

extern const struct crosh_command vsh_forward_command;
extern const struct crosh_command vsh_ports_command;
extern const struct crosh_command vsh_proxy_command;
extern const struct crosh_command vsh_ssh_config_command;

#endif
