/* SPDX-License-Identifier: MIT */
/* The control protocol's requests about shared directories, from the client's end. */
#ifndef CROSH_VM_CONTROL_SHARE_H
#define CROSH_VM_CONTROL_SHARE_H

#include "lib/vm/control-client.h"

/*
 * Each waits for the response, at most timeout_ms: 0, or the launcher's error (a
 * negative code) with err filled.
 */

/* The list is (*response)->shares; freed by crosh_priv_control_response_free(). */
int crosh_priv_control_share_list(struct crosh_control *control, int timeout_ms,
                                  Control__Response **response, struct crosh_error *err);
/* Its virtiofsd listens at "fs.sock_NAME" in the runtime directory. Returns when the guest's agent
   has mounted it. */
int crosh_priv_control_share_attach(struct crosh_control *control, const char *name, bool read_only,
                                    int timeout_ms, struct crosh_error *err);
int crosh_priv_control_share_detach(struct crosh_control *control, const char *name, int timeout_ms,
                                    struct crosh_error *err);

#endif
