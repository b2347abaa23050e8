/* SPDX-License-Identifier: MIT */
/* The machine's shared directories: made with it, and attached and detached while it runs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kvm/backend/kvm-machine.h"

static struct kvm_share *find(struct machine *machine, const char *tag)
{
    for (unsigned int i = 0; i < MACHINE_MAX_SHARES; i++)
        if (machine->share[i].dev != NULL && strcmp(machine->share[i].tag, tag) == 0)
            return &machine->share[i];
    return NULL;
}

/* One without its place on a bus. NULL with err filled. */
static struct kvm_share *make(struct machine *machine, const struct fs_share *config,
                              struct crosh_error *err)
{
    struct kvm_share *share = NULL;

    for (unsigned int i = 0; i < MACHINE_MAX_SHARES && share == NULL; i++)
        if (machine->share[i].dev == NULL)
            share = &machine->share[i];
    if (share == NULL) {
        crosh_error_set(err, -ENOSPC, "a VM has at most %d shared directories", MACHINE_MAX_SHARES);
        return NULL;
    }
    *share = (struct kvm_share){.machine = machine};
    (void)snprintf(share->tag, sizeof(share->tag), "%s", config->tag);
    share->dev = virtio_fs_new(machine->host.loop, config, err);
    return share->dev != NULL ? share : NULL;
}

struct virtio_device *kvm_share_new(struct machine *machine, const struct fs_share *config,
                                    struct crosh_error *err)
{
    struct kvm_share *share = make(machine, config, err);

    return share != NULL ? share->dev : NULL;
}

void kvm_shares_fini(struct machine *machine)
{
    for (unsigned int i = 0; i < MACHINE_MAX_SHARES; i++)
        virtio_fs_free(machine->share[i].dev);
}

static void on_gone(struct kvm_hot *hot)
{
    struct kvm_share *share = (struct kvm_share *)(void *)hot;
    const struct machine_host *host = &share->machine->host;
    char tag[sizeof(share->tag)];

    memcpy(tag, share->tag, sizeof(tag));
    virtio_fs_free(share->dev);
    *share = (struct kvm_share){.dev = NULL};
    if (host->share_gone != NULL)
        host->share_gone(host->opaque, tag);
}

/* slot: as a disk's. */
static int attach(struct machine *machine, const struct fs_share *config, unsigned int slot,
                  struct crosh_error *err)
{
    struct kvm_share *share = make(machine, config, err);
    int code;

    if (share == NULL)
        return err->code;
    share->hot.dev = share->dev;
    share->hot.gone = on_gone;
    code = slot == 0 ? kvm_hot_add(machine, &share->hot, err)
                     : kvm_hot_restore(machine, &share->hot, slot, err);
    if (code < 0) {
        virtio_fs_free(share->dev);
        *share = (struct kvm_share){.dev = NULL};
        return err->code;
    }
    return 0;
}

void kvm_share_attach(struct machine *machine, const struct fs_share *config, machine_done_fn *done,
                      void *opaque)
{
    struct crosh_error err = {0};
    int code = attach(machine, config, 0, &err);

    done(opaque, code < 0 ? code : 0, &err);
}

void kvm_share_detach(struct machine *machine, const char *tag, machine_done_fn *done, void *opaque)
{
    struct kvm_share *share = find(machine, tag);
    struct crosh_error err = {0};
    char what[FS_TAG_MAX + 32];

    (void)snprintf(what, sizeof(what), "the shared directory %s", tag);
    if (share == NULL)
        crosh_error_set(&err, -ENOENT, "there is no shared directory %s", tag);
    else if (kvm_hot_ask_back(machine, &share->hot, what, done, opaque, &err) == 0)
        return; /* the guest has the word */
    done(opaque, err.code, &err);
}

bool kvm_share_is_detachable(struct machine *machine, const char *tag)
{
    const struct kvm_share *share = find(machine, tag);

    return share != NULL && share->hot.transport != NULL;
}

/* ---- Snapshots ---- */

int kvm_shares_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err)
{
    for (size_t i = 0; i < state->config->n_shares; i++) {
        Snapshot__Share *saved = state->config->shares[i];
        const struct kvm_share *share = find(machine, saved->tag);

        if (share == NULL)
            return crosh_error_set(err, -ENOENT, "the VM has no shared directory %s", saved->tag);
        saved->slot = share->hot.slot;
    }
    return 0;
}

int kvm_share_restore(struct machine *machine, const struct fs_share *config, unsigned int slot,
                      struct crosh_error *err)
{
    return attach(machine, config, slot, err);
}
