/* SPDX-License-Identifier: MIT */
/* One-line messages of the agent, to its standard error: the console when it is PID 1. */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

#include <crosh/error.h>

/* Writes "crosh-agent: <message>\n" in one write. */
void agent_log(const char *fmt, ...) CROSH_PRINTF(1, 2);

/* As agent_log, with ": <errno's text>" at the end. */
void agent_log_errno(const char *fmt, ...) CROSH_PRINTF(1, 2);

#endif
