/* SPDX-License-Identifier: MIT */
/* Implements shared directories that come to a running QEMU: it dials their virtiofsd itself. */
#include "kvm/backend/qemu-shares.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kvm/backend/qemu-args.h"

/* What QEMU calls the stream and the device. */
#define STREAM "share-stream-"
#define DEVICE "share-"

void qemu_shares_init(struct qemu_shares *shares, const struct machine_host *host, struct qmp *qmp)
{
    *shares = (struct qemu_shares){.host = host, .qmp = qmp};
    for (unsigned int i = 0; i < MACHINE_MAX_SHARES; i++)
        shares->share[i].shares = shares;
}

static struct qemu_share *find(struct qemu_shares *shares, const char *tag)
{
    for (unsigned int i = 0; i < MACHINE_MAX_SHARES; i++)
        if (strcmp(shares->share[i].tag, tag) == 0)
            return &shares->share[i];
    return NULL;
}

static void tell(struct qemu_share *share, int code, const struct crosh_error *err)
{
    machine_done_fn *done = share->done;

    share->done = NULL;
    if (done != NULL)
        done(share->opaque, code, err);
}

static void tell_refusal(struct qemu_share *share)
{
    struct crosh_error err = {0};

    /* Its reason is on stderr, that is in launcher.log. */
    crosh_error_set(&err, -EIO, "QEMU refused: see the launcher's log");
    tell(share, err.code, &err);
}

static void release(struct qemu_share *share)
{
    (void)qmp_query(share->shares->qmp, "chardev-remove",
                    json_pack("{s:s+}", "id", STREAM, share->tag), NULL, NULL);
    share->tag[0] = '\0';
}

static void on_attached(void *opaque, json_t *result)
{
    struct qemu_share *share = opaque;

    if (result != NULL) {
        tell(share, 0, NULL);
        return;
    }
    release(share);
    tell_refusal(share);
}

void qemu_shares_attach(struct qemu_shares *shares, const struct fs_share *config,
                        machine_done_fn *done, void *opaque)
{
    struct qemu_share *share = find(shares, "");
    struct crosh_error err = {0};

    if (arch_qemu.hotplug_bus == NULL)
        crosh_error_set(&err, -EOPNOTSUPP,
                        "guests of this emulated machine cannot be told of a device that comes "
                        "while they run");
    else if (share == NULL)
        crosh_error_set(&err, -ENOSPC, "a VM has at most %d shared directories",
                        MACHINE_MAX_SHARES);
    if (err.code < 0) {
        done(opaque, err.code, &err);
        return;
    }
    (void)snprintf(share->tag, sizeof(share->tag), "%s", config->tag);
    share->done = done;
    share->opaque = opaque;
    /* QEMU does one after the other; without the stream the device fails, too. */
    if (!qmp_query(shares->qmp, "chardev-add",
                   json_pack("{s:s+, s:{s:s, s:{s:{s:s, s:{s:s}}, s:b}}}", "id", STREAM, share->tag,
                             "backend", "type", "socket", "data", "addr", "type", "unix", "data",
                             "path", config->socket, "server", 0),
                   NULL, NULL) ||
        !qmp_query(shares->qmp, "device_add",
                   json_pack("{s:s, s:s+, s:s+, s:s, s:s}", "driver", "vhost-user-fs-pci", "id",
                             DEVICE, share->tag, "chardev", STREAM, share->tag, "tag", share->tag,
                             "bus", QEMU_HOTPLUG_BUS),
                   on_attached, share))
        on_attached(share, NULL);
}

/* A refusal of QEMU's to ask the guest once more is none: it was asked. */
static void on_asked(void *opaque, json_t *result)
{
    (void)opaque;
    (void)result;
}

static void on_first_asked(void *opaque, json_t *result)
{
    if (result == NULL)
        tell_refusal(opaque);
}

void qemu_shares_detach(struct qemu_shares *shares, const char *tag, machine_done_fn *done,
                        void *opaque)
{
    struct qemu_share *share = find(shares, tag);
    struct crosh_error err = {0};
    bool is_first;

    if (share == NULL || tag[0] == '\0') {
        crosh_error_set(&err, -ENOENT, "there is no shared directory %s", tag);
        done(opaque, err.code, &err);
        return;
    }
    is_first = share->done == NULL;
    if (!is_first) {
        crosh_error_set(&err, -ECANCELED, "the shared directory %s was asked back once more", tag);
        tell(share, err.code, &err);
    }
    share->done = done;
    share->opaque = opaque;
    if (!qmp_query(shares->qmp, "device_del", json_pack("{s:s+}", "id", DEVICE, tag),
                   is_first ? on_first_asked : on_asked, share))
        tell_refusal(share);
}

/* One that the guest gave back, asked or not. */
void qemu_shares_event(struct qemu_shares *shares, const char *event, json_t *data)
{
    const char *device = json_string_value(json_object_get(data, "device"));
    const size_t prefix = strlen(DEVICE);
    struct qemu_share *share;
    char tag[FS_TAG_MAX + 1];

    if (strcmp(event, "DEVICE_DELETED") != 0 || device == NULL ||
        strncmp(device, DEVICE, prefix) != 0 || device[prefix] == '\0')
        return;
    share = find(shares, device + prefix);
    if (share == NULL)
        return;
    memcpy(tag, share->tag, sizeof(tag));
    release(share);
    if (shares->host->share_gone != NULL)
        shares->host->share_gone(shares->host->opaque, tag);
    tell(share, 0, NULL);
}

bool qemu_shares_has(struct qemu_shares *shares, const char *tag)
{
    return tag[0] != '\0' && find(shares, tag) != NULL;
}
