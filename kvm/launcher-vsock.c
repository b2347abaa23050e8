/* SPDX-License-Identifier: MIT */
/* Makes the vsock device as it was asked for. */
#include "kvm/launcher-vsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kvm/launcher-internal.h"
#include "kvm/virtio/vhost-vsock.h"
#include "kvm/virtio/vsock.h"
#include "kvm/vsock-bridge.h"
#include "lib/base/cleanup.h"
#include "lib/wire/ports.h"

/* The bridge stays while guest links come and go with the boots. */
static bool accept_link(void *opaque, int fd)
{
    struct launcher *l = opaque;

    if (l->link != NULL)
        return guest_link_accept(l->link, fd);
    (void)close(fd);
    return false;
}

static void on_driver(void *opaque, bool is_there)
{
    const struct launcher *l = opaque;

    vsock_bridge_set_driver(l->bridge, is_there);
}

static int open_bridge(struct launcher *l, struct crosh_error *err)
{
    cleanup_free char *socket = launcher_path(l, "vsock.sock");
    struct vsock_config config = {.guest_cid = l->config->cid, .socket_path = socket};
    uint32_t port = PORT_GUEST_LINK;

    if (socket == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    l->bridge = vsock_bridge_new(l->loop, &config, err);
    if (l->bridge == NULL || vsock_bridge_listen(l->bridge, &port, accept_link, l, err) < 0)
        return err->code;
    if (port == PORT_GUEST_LINK)
        return 0;
    /* Another VM has the agents' usual port: the host's ports are one for all of them. */
    if (asprintf(&l->bridge_cmdline, "crosh.link=%u %s", port, l->machine_config.cmdline) < 0) {
        l->bridge_cmdline = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    l->machine_config.cmdline = l->bridge_cmdline;
    return 0;
}

int launcher_vsock_init(struct launcher *l, struct crosh_error *err)
{
    if (!l->config->has_kernel_vsock)
        return 0;
    if (l->backend != &machine_kvm) {
        crosh_error_set(err, -EOPNOTSUPP, "--vsock=kernel needs KVM, and this VM runs without");
        return crosh_error_hint(err, "leave it out: the launcher has a vsock device of its own");
    }
    l->vhost_fd = vhost_vsock_open(l->config->cid, err);
    if (l->vhost_fd < 0)
        return err->code;
    return open_bridge(l, err);
}

void launcher_vsock_fini(struct launcher *l)
{
    vsock_bridge_free(l->bridge);
    if (l->vhost_fd >= 0)
        (void)close(l->vhost_fd);
    free(l->bridge_cmdline);
}

static int up_own(struct launcher *l, struct crosh_error *err)
{
    cleanup_free char *socket = launcher_path(l, "vsock.sock");
    struct vsock_config config = {.guest_cid = l->config->cid, .socket_path = socket};

    if (socket == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    l->vsock = vsock_new(l->loop, &config, err);
    if (l->vsock == NULL)
        return err->code;
    if (vsock_listen(l->vsock, PORT_GUEST_LINK, guest_link_accept, l->link) < 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

int launcher_vsock_up(struct launcher *l, struct crosh_error *err)
{
    const struct vhost_vsock_config config = {
        .fd = l->vhost_fd, .guest_cid = l->config->cid, .driver = on_driver, .opaque = l};

    if (l->bridge == NULL)
        return up_own(l, err);
    l->vsock = vhost_vsock_new(l->loop, &config, err);
    return l->vsock != NULL ? 0 : err->code;
}

void launcher_vsock_down(struct launcher *l)
{
    if (l->bridge == NULL)
        vsock_free(l->vsock);
    else
        vhost_vsock_free(l->vsock);
    l->vsock = NULL;
}
