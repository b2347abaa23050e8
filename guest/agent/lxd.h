/* SPDX-License-Identifier: MIT */
/* What the agent asks of LXD: to be ready, to clear up, to end, and where a container's processes
 * are. */
#ifndef AGENT_LXD_H
#define AGENT_LXD_H

#include <stdbool.h>
#include <sys/types.h>

#include <crosh/error.h>

#include "lib/lxd/names.h"

/*
 * The process that is the container's first. -ENOENT when there is no such container, -ENOTCONN
 * when it does not run or there is no LXD, -ETIMEDOUT.
 */
pid_t lxd_container_init(const char *name, struct crosh_error *err);

/*
 * Waits until LXD says that it is ready, asking it over and over, which is much less work than
 * starting a client of its own. -ETIMEDOUT.
 */
int lxd_wait_ready(int timeout_ms, struct crosh_error *err);

/* Has LXD stop its containers and its own work, and waits until that is done. -ETIMEDOUT, -EIO. */
int lxd_shut_down(int timeout_ms, struct crosh_error *err);

/*
 * Deletes the containers whose making ended with the VM: at its start, nothing goes on with them.
 * What cannot be deleted stays, until its making is asked for again. -ETIMEDOUT, -EIO.
 */
int lxd_remove_unfinished(int timeout_ms, struct crosh_error *err);

/*
 * For lxd_remove_unfinished(): the next container whose making ended, from *at on, in what LXD's
 * answer says there is. false: there is none any more.
 */
bool lxd_next_unfinished(const char **at, char name[LXD_NAME_MAX + 1]);

/* For lxd_container_init(): what LXD's answer of size bytes, ended by NUL, says. */
pid_t lxd_parse_state(const char *name, const char *answer, struct crosh_error *err);

#endif
