/* SPDX-License-Identifier: MIT */
/* The machine's disks: made with it, and attached, detached and changed while it runs. */

/*
 * A disk comes as a PCI device in one of the slots for hot-plugging, and the guest is
 * told to look there. To detach one the guest is asked to give the slot back. When
 * its driver has let go it writes to the eject register: the vcpu takes the device
 * off the bus and passes it on (ejected); the loop's thread frees it once no other
 * vcpu is in the middle of an access to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"
#include "kvm/virtio/blk.h"

/* How soon to look again for accesses that are still under way. */
#define REAP_INTERVAL_MS 10

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

/* ---- Hot-plugging ---- */

/* On the vcpu's thread. */
static void on_ejected(void *opaque, struct pci_device *device)
{
    struct machine *machine = opaque;
    struct kvm_hotplug *hotplug = &machine->hotplug;

    pthread_mutex_lock(&hotplug->lock);
    /* As many as there are slots: one that is not freed yet has left its slot, though. */
    if (hotplug->ejected_count < MACHINE_MAX_DISKS)
        hotplug->ejected[hotplug->ejected_count++] = device;
    pthread_mutex_unlock(&hotplug->lock);
    (void)eventfd_write(hotplug->fd, 1);
}

static void forget(struct machine *machine, struct kvm_disk *disk)
{
    machine_done_fn *done = disk->done;
    void *opaque = disk->done_opaque;
    char name[sizeof(disk->name)];

    memcpy(name, disk->name, sizeof(name));
    kvm_unplug(machine, disk->transport, disk->dev);
    virtio_blk_free(disk->dev);
    *disk = (struct kvm_disk){.dev = NULL};
    if (machine->host.disk_gone != NULL)
        machine->host.disk_gone(machine->host.opaque, name);
    if (done != NULL)
        done(opaque, 0, NULL);
}

/* Frees what was ejected, unless a vcpu is still busy with it: true when nothing is left. */
static bool reap(struct machine *machine)
{
    struct kvm_hotplug *hotplug = &machine->hotplug;
    struct pci_device *ejected[MACHINE_MAX_DISKS];
    unsigned int count = 0, left;

    pthread_mutex_lock(&hotplug->lock);
    for (unsigned int i = 0; i < hotplug->ejected_count; i++)
        if (atomic_load(&hotplug->ejected[i]->users) == 0)
            ejected[count++] = hotplug->ejected[i];
    for (unsigned int i = left = 0; i < hotplug->ejected_count; i++) {
        bool is_taken = false;

        for (unsigned int k = 0; k < count; k++)
            is_taken |= ejected[k] == hotplug->ejected[i];
        if (!is_taken)
            hotplug->ejected[left++] = hotplug->ejected[i];
    }
    hotplug->ejected_count = left;
    pthread_mutex_unlock(&hotplug->lock);
    for (unsigned int i = 0; i < count; i++)
        for (unsigned int k = 0; k < MACHINE_MAX_DISKS; k++)
            if (machine->disk[k].dev != NULL && machine->disk[k].transport != NULL &&
                virtio_pci_device(machine->disk[k].transport) == ejected[i])
                forget(machine, &machine->disk[k]);
    return left == 0;
}

static void on_reap_timer(void *opaque)
{
    struct machine *machine = opaque;

    if (!reap(machine))
        event_timer_set(machine->hotplug.timer, REAP_INTERVAL_MS);
}

static void on_eject_event(void *opaque, uint32_t events)
{
    struct machine *machine = opaque;
    eventfd_t count;

    (void)events;
    (void)eventfd_read(machine->hotplug.fd, &count);
    on_reap_timer(machine);
}

int kvm_hotplug_init(struct machine *machine, struct crosh_error *err)
{
    struct kvm_hotplug *hotplug = &machine->hotplug;

    hotplug->registers =
        (struct pci_hotplug){.bus = &machine->pci, .ejected = on_ejected, .opaque = machine};
    hotplug->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hotplug->fd < 0)
        return crosh_error_errno(err, "eventfd");
    hotplug->source = event_add(machine->host.loop, hotplug->fd, EPOLLIN, on_eject_event, machine);
    hotplug->timer = event_timer_add(machine->host.loop, on_reap_timer, machine);
    return hotplug->source != NULL && hotplug->timer != NULL ? 0
                                                             : crosh_error_errno(err, "event loop");
}

void kvm_hotplug_fini(struct machine *machine)
{
    struct kvm_hotplug *hotplug = &machine->hotplug;

    event_remove(hotplug->source);
    event_remove(hotplug->timer);
    if (hotplug->fd >= 0)
        (void)close(hotplug->fd);
    for (unsigned int i = 0; i < MACHINE_MAX_DISKS; i++)
        virtio_blk_free(machine->disk[i].dev);
    pthread_mutex_destroy(&hotplug->lock);
}

bool kvm_is_hotplugged(const struct machine *machine)
{
    for (unsigned int i = 0; i < MACHINE_MAX_DISKS; i++)
        if (machine->disk[i].dev != NULL && machine->disk[i].transport != NULL)
            return true;
    return false;
}

/* ---- What the common part asks for ---- */

static int attach(struct machine *machine, const struct machine_disk *config,
                  struct crosh_error *err)
{
    struct kvm_disk *disk;

    if (!arch_can_hotplug)
        return crosh_error_set(err, -EOPNOTSUPP,
                               "this machine's guests cannot be told of a disk "
                               "that comes while they run");
    disk = make(machine, config, own_fd(config), err);
    if (disk == NULL)
        return err->code;
    disk->transport = kvm_hotplug(machine, disk->dev, err);
    if (disk->transport == NULL) {
        virtio_blk_free(disk->dev);
        *disk = (struct kvm_disk){.dev = NULL};
        return err->code;
    }
    disk->slot = virtio_pci_device(disk->transport)->requester >> 3;
    pci_hotplug_add(&machine->hotplug.registers, disk->slot);
    arch_tell_hotplug(machine);
    return 0;
}

static int detach(struct machine *machine, struct kvm_disk *disk, machine_done_fn *done,
                  void *opaque, struct crosh_error *err)
{
    if (disk->transport == NULL) {
        crosh_error_set(err, -EBUSY, "disk %s belongs to the VM since its start", disk->name);
        return crosh_error_hint(err, "only disks that were attached later can be detached");
    }
    /* The guest may not have heeded the first request: it is asked anew. */
    if (disk->done != NULL) {
        struct crosh_error again = {0};

        crosh_error_set(&again, -ECANCELED, "disk %s was asked back once more", disk->name);
        disk->done(disk->done_opaque, again.code, &again);
    }
    disk->done = done;
    disk->done_opaque = opaque;
    pci_hotplug_want(&machine->hotplug.registers, disk->slot);
    arch_tell_hotplug(machine);
    return 0;
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
                            : attach(machine, change->disk, &err);
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
        .is_detachable = disk->transport != NULL,
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
