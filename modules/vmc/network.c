/* SPDX-License-Identifier: MIT */
/* Implements a VM's network for its start. */
#include "modules/vmc/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/net/client.h"

#define SYSTEM_DEFAULT "/etc/crosh/network"

const char *const network_modes[] = {"auto", "nat", "isolated", "none", NULL};

/* What this session, or else this host, has for "auto". */
static void default_mode(char *mode, size_t size)
{
    const char *chosen = getenv("CROSH_NETWORK");
    cleanup_fclose FILE *f = NULL;

    (void)snprintf(mode, size, "%s", chosen != NULL ? chosen : "auto");
    if (chosen == NULL && (f = fopen(SYSTEM_DEFAULT, "re")) != NULL &&
        fgets(mode, (int)size, f) != NULL)
        mode[strcspn(mode, " \n")] = '\0';
}

static bool is_mode(const char *mode)
{
    for (size_t i = 0; network_modes[i] != NULL; i++)
        if (strcmp(mode, network_modes[i]) == 0)
            return true;
    return false;
}

/* The published ports of the configuration; *published is the caller's to free. The count. */
static int read_published(const struct crosh_vm_config *config, struct crosh_publish **published,
                          struct crosh_error *err)
{
    int count = 0;

    while (config->publish != NULL && config->publish[count] != NULL)
        count++;
    *published = calloc((size_t)count + 1, sizeof(**published));
    if (*published == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (int i = 0; i < count; i++) {
        int code = crosh_priv_publish_parse(config->publish[i], &(*published)[i], err);

        if (code < 0)
            return code;
    }
    return count;
}

static int take(const Net__Attached *attached, struct vm_network *network, struct crosh_error *err)
{
    if (snprintf(network->guest, sizeof(network->guest), "%s", attached->guest) >=
            (int)sizeof(network->guest) ||
        snprintf(network->mac, sizeof(network->mac), "%s", attached->vm->mac) >=
            (int)sizeof(network->mac))
        return crosh_error_set(err, -EBADMSG, "the keeper of the VMs' network talks nonsense");
    network->mtu = attached->vm->mtu;
    return 0;
}

static int ask(struct crosh_context *ctx, struct progress *progress, const char *name,
               const struct crosh_vm_config *config, bool isolated, struct vm_network *network,
               struct crosh_error *err)
{
    cleanup_free struct crosh_publish *published = NULL;
    unsigned int queues = config->cpus < CROSH_NET_FDS_MAX ? config->cpus : CROSH_NET_FDS_MAX;
    Net__Response *response = NULL;
    int count = read_published(config, &published, err);
    int code;

    if (count < 0)
        return count;
    code = crosh_priv_net_attach(name, queues, isolated, published, (size_t)count, &response,
                                 network->fd, &network->fd_count, err);
    if (code < 0)
        return code;
    code = take(response->attached, network, err);
    for (size_t i = 0; code == 0 && i < response->attached->n_warnings; i++) {
        progress_clear(progress);
        crosh_warn(ctx, "%s: %s: it is not published", name, response->attached->warnings[i]);
    }
    crosh_priv_net_response_free(response);
    if (code < 0)
        network_fini(network);
    return code;
}

int network_attach(struct crosh_context *ctx, struct progress *progress, const char *name,
                   const struct crosh_vm_config *config, struct vm_network *network,
                   struct crosh_error *err)
{
    struct crosh_error why = {0};
    char mode[16];
    int code;

    *network = (struct vm_network){.fd_count = 0};
    (void)snprintf(mode, sizeof(mode), "%s", config->network);
    if (strcmp(mode, "auto") == 0)
        default_mode(mode, sizeof(mode));
    if (!is_mode(mode))
        return crosh_error_set(err, CROSH_EUSAGE, "there is no network of the kind '%s'", mode);
    if (strcmp(mode, "none") == 0)
        return 0;
    code = ask(ctx, progress, name, config, strcmp(mode, "isolated") == 0, network, &why);
    if (code == 0)
        return 0;
    if (strcmp(mode, "auto") != 0) {
        *err = why;
        return crosh_error_wrap(err, "no network");
    }
    progress_clear(progress);
    crosh_warn(ctx, "%s has no network: %s%s%s", name, why.message, why.hint[0] != '\0' ? "; " : "",
               why.hint);
    network->fd_count = 0;
    return 0;
}

void network_fini(struct vm_network *network)
{
    while (network->fd_count > 0)
        (void)close(network->fd[--network->fd_count]);
}
