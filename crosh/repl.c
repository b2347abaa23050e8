/* SPDX-License-Identifier: MIT */
/* The interactive shell. */
#include "crosh/repl.h"
int repl_run(struct shell *shell)
{
    return shell_run_stdin(shell);
}
