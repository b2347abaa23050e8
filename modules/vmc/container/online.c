/* SPDX-License-Identifier: MIT */
/* Waiting until a container that was started has its network, as the agent in it tells. */

/*
 * LXD knows a container's addresses, but nobody can wait for them there, and whether names can be
 * resolved in it is no matter of LXD's. The agent that every container has knows both, and is
 * told by the kernel when an address comes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "modules/vmc/container/container.h"

#define AGENT      "/opt/crosh/agent"
#define AGENT_SAYS "crosh-agent: "
/* A shell's, and LXD's, for a program that is not there or cannot be run. */
#define CANNOT_RUN_MIN 126

int container_wait_online(struct container_work *work, const char *name, int64_t seconds,
                          struct crosh_error *err)
{
    char text[24], told[256];
    const char *const argv[] = {AGENT, "--wait-for-network", text, NULL};
    const char *reason = told;
    json_t *environment;
    int r;

    if (seconds == 0)
        return 0;
    environment = json_object();
    if (environment == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)snprintf(text, sizeof(text), "%lld", (long long)seconds);
    r = container_run_in(work, "network", name, argv, environment, told, sizeof(told), err);
    json_decref(environment);
    if (r == -ETIMEDOUT)
        return container_still_busy(work, name, "getting its network");
    if (r <= 0)
        return r;
    if (strncmp(told, AGENT_SAYS, strlen(AGENT_SAYS)) == 0)
        reason += strlen(AGENT_SAYS);
    if (r >= CANNOT_RUN_MIN)
        reason = "there is no agent in it that knows";
    crosh_warn(work->ctx, "container %s runs, its network may not be ready: %s", name,
               *reason != '\0' ? reason : "it ended before it had one");
    return 0;
}
