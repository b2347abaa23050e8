/* SPDX-License-Identifier: MIT */
/* The first packets of SFTP: which version both speak, and what the server can do beside it. */
#ifndef SFTP_GREETING_H
#define SFTP_GREETING_H

#include <crosh/error.h>

#include "modules/sftp/link.h"

/*
 * Exchanges them (draft-ietf-secsh-filexfer-02, section 4). *can is made of SFTP_CAN_*. timeout_ms:
 * how long that may take in all.
 */
int sftp_greet(struct sftp_link *link, int timeout_ms, unsigned int *can, struct crosh_error *err);

#endif
