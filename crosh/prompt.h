/* SPDX-License-Identifier: MIT */
/* The prompt's text, from the settings "prompt" and "prompt.vms". */
#ifndef CROSH_PROMPT_H
#define CROSH_PROMPT_H

#include <stdbool.h>

#include "crosh/shell.h"
#include "crosh/vm-watch.h"

/*
 * The prompt as edit_read() takes it; heap, NULL for lack of memory. In the
 * setting, \v is the VMs that run, \V their number, \? the last status, \u the
 * user, \h the host, \w the directory, \t the time, \\ a backslash; \{NAME}
 * begins a colour (red, green, yellow, blue, magenta, cyan, grey, bold, or
 * status: red after a failure) and \{} ends it. The default prompt has the
 * colour of the status.
 */
char *prompt_render(const struct shell *shell, const struct vm_watch *vms);

/* Whether the terminal and the user want colour. */
bool prompt_has_colour(const struct shell *shell);

#endif
