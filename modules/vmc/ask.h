/* SPDX-License-Identifier: MIT */
/* The control socket of a VM that runs, or why it cannot be asked anything. */
#ifndef VMC_ASK_H
#define VMC_ASK_H

#include "lib/vm/control-client.h"

/* How long a launcher may take for an answer. */
#define ASK_TIMEOUT_MS 5000

/* To be closed by crosh_priv_control_close(). NULL with err filled: no such VM, or it does not
   run. */
struct crosh_control *ask_open(const char *name, struct crosh_error *err);

#endif
