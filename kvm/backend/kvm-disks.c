/* SPDX-License-Identifier: MIT */
/* The machine's disks: made with it, and attached, detached and changed while it runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"
#include "kvm/virtio/blk.h"

static void on_full(void *opaque, bool is_full)
{
    struct kvm_disk *disk = opaque;
    struct machine *machine = disk->machine;

    if (machine->host.disk_full != NULL)
        machine->host.disk_full(machine->host.opaque, disk->name, is_full);
}

/* A disk without its place on the bus. fd: as in struct virtio_blk_setup. NULL with err filled. */
static struct kvm_disk *make(struct machine *machine, const struct machine_disk *config, int fd,
                             struct crosh_error *err)
{
    struct kvm_disk *disk = NULL;

    for (unsigned int i = 0; i < MACHINE_MAX_DISKS && disk == NULL; i++)
        if (machine->disk[i].dev == NULL)
            disk = &machine->disk[i];
    if (disk == NULL) {
        if (fd >= 0)
            (void)close(fd);
        crosh_error_set(err, -ENOSPC, "a VM has at most %d disks", MACHINE_MAX_DISKS);
        return NULL;
    }
    *disk = (struct kvm_disk){.machine = machine};
    (void)snprintf(disk->name, sizeof(disk->name), "%s", config->name);
    disk->dev = virtio_blk_new(machine->host.loop,
                               &(struct virtio_blk_setup){.path = config->path,
                                                          .fd = fd,
                                                          .read_only = config->read_only,
                                                          .queues = machine->vcpu_count,
                                                          .limits = config->limits,
                                                          .full = on_full,
                                                          .opaque = disk},
                               err);
    return disk->dev != NULL ? disk : NULL;
}

/* A descriptor of the caller's own for a disk that has one; -1: it is opened by its path. */
static int own_fd(const struct machine_disk *config)
{
    return config->fd > 0 ? fcntl(config->fd, F_DUPFD_CLOEXEC, 0) : -1;
}

struct virtio_device *kvm_disk_new(struct machine *machine, const struct machine_disk *config,
                                   struct crosh_error *err)
{
    struct kvm_disk *disk = make(machine, config, own_fd(config), err);

    return disk != NULL ? disk->dev : NULL;
}

static struct kvm_disk *find(struct machine *machine, const char *name)
{
    for (unsigned int i = 0; i < MACHINE_MAX_DISKS; i++)
        if (machine->disk[i].dev != NULL && strcmp(machine->disk[i].name, name) == 0)
            return &machine->disk[i];
    return NULL;
}

void kvm_disks_fini(struct machine *machine)
{
    for (unsigned int i = 0; i < MACHINE_MAX_DISKS; i++)
        virtio_blk_free(machine->disk[i].dev);
}

/* ---- What the common part asks for ---- */

static void on_gone(struct kvm_hot *hot)
{
    struct kvm_disk *disk = (struct kvm_disk *)(void *)hot;
    const struct machine_host *host = &disk->machine->host;
    char name[sizeof(disk->name)];

    memcpy(name, disk->name, sizeof(name));
    virtio_blk_free(disk->dev);
    *disk = (struct kvm_disk){.dev = NULL};
    if (host->disk_gone != NULL)
        host->disk_gone(host->opaque, name);
}

/* slot: where it was in a snapshot; 0: it is new, and the guest is told. */
static int attach(struct machine *machine, const struct machine_disk *config, unsigned int slot,
                  struct crosh_error *err)
{
    struct kvm_disk *disk = make(machine, config, own_fd(config), err);
    int code;

    if (disk == NULL)
        return err->code;
    disk->hot.dev = disk->dev;
    disk->hot.gone = on_gone;
    code = slot == 0 ? kvm_hot_add(machine, &disk->hot, err)
                     : kvm_hot_restore(machine, &disk->hot, slot, err);
    if (code < 0) {
        virtio_blk_free(disk->dev);
        *disk = (struct kvm_disk){.dev = NULL};
        return err->code;
    }
    return 0;
}

static int detach(struct machine *machine, struct kvm_disk *disk, machine_done_fn *done,
                  void *opaque, struct crosh_error *err)
{
    char what[MACHINE_DISK_NAME + 8];

    (void)snprintf(what, sizeof(what), "disk %s", disk->name);
    return kvm_hot_ask_back(machine, &disk->hot, what, done, opaque, err);
}

void kvm_disk_change(struct machine *machine, const struct machine_disk_change *change,
                     machine_done_fn *done, void *opaque)
{
    struct kvm_disk *disk = find(machine, change->disk->name);
    struct crosh_error err = {0};
    int code = 0;

    if (change->what == MACHINE_DISK_ATTACH) {
        code = disk != NULL ? crosh_error_set(&err, -EEXIST, "there is a disk %s already",
                                              change->disk->name)
                            : attach(machine, change->disk, 0, &err);
    } else if (disk == NULL) {
        code = crosh_error_set(&err, -ENOENT, "there is no disk %s", change->disk->name);
    } else if (change->what == MACHINE_DISK_DETACH) {
        code = detach(machine, disk, done, opaque, &err);
        if (code == 0)
            return; /* the guest has the word */
    } else if (change->what == MACHINE_DISK_RESIZE) {
        code = virtio_blk_resize(disk->dev, change->bytes, &err);
    } else {
        virtio_blk_set_limits(disk->dev, &change->disk->limits);
    }
    done(opaque, code < 0 ? code : 0, &err);
}

bool kvm_disk_info(struct machine *machine, const char *name, struct machine_disk_info *info)
{
    struct kvm_disk *disk = find(machine, name);
    struct virtio_blk_stats stats;

    if (disk == NULL)
        return false;
    stats = virtio_blk_stats(disk->dev);
    *info = (struct machine_disk_info){
        .bytes = virtio_blk_bytes(disk->dev),
        .is_detachable = disk->hot.transport != NULL,
        .is_full = virtio_blk_is_full(disk->dev),
        .has_counters = true,
        .reads = stats.reads,
        .writes = stats.writes,
        .flushes = stats.flushes,
        .discards = stats.discards,
        .read_bytes = stats.read_bytes,
        .written_bytes = stats.written_bytes,
        .errors = stats.errors,
        .throttled_ns = stats.throttled_ns,
    };
    return true;
}

void kvm_disk_retry(struct machine *machine)
{
    for (unsigned int i = 0; i < MACHINE_MAX_DISKS; i++)
        if (machine->disk[i].dev != NULL)
            virtio_blk_retry(machine->disk[i].dev);
}

/* ---- Snapshots ---- */

int kvm_disks_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err)
{
    for (size_t i = 0; i < state->config->n_disks; i++) {
        Snapshot__Disk *saved = state->config->disks[i];
        const struct kvm_disk *disk = find(machine, saved->name);

        if (disk == NULL)
            return crosh_error_set(err, -ENOENT, "the VM has no disk %s", saved->name);
        saved->slot = disk->hot.slot;
    }
    return 0;
}

int kvm_disk_restore(struct machine *machine, const struct machine_disk *config, unsigned int slot,
                     struct crosh_error *err)
{
    return attach(machine, config, slot, err);
}
