/* SPDX-License-Identifier: MIT */
/* The control protocol's request for a stream to the guest's console, from the client's end. */
#ifndef CROSH_VM_CONTROL_CONSOLE_H
#define CROSH_VM_CONTROL_CONSOLE_H

#include "lib/vm/control-client.h"

/* A stream to the console, or to the port of that name (NULL: the console): a descriptor, or the
   launcher's error (a negative code) with err filled. Waits at most timeout_ms. */
int crosh_priv_control_console(struct crosh_control *control, const char *port, int timeout_ms,
                               struct crosh_error *err);

#endif
