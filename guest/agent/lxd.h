/* SPDX-License-Identifier: MIT */
/* What the agent asks of LXD: where a container's processes are. */
#ifndef AGENT_LXD_H
#define AGENT_LXD_H

#include <sys/types.h>

#include <crosh/error.h>

/*
 * The process that is the container's first. -ENOENT when there is no such container, -ENOTCONN
 * when it does not run or there is no LXD, -ETIMEDOUT.
 */
pid_t lxd_container_init(const char *name, struct crosh_error *err);

/* For it: what LXD's answer of size bytes, ended by NUL, says. */
pid_t lxd_parse_state(const char *name, const char *answer, struct crosh_error *err);

#endif
