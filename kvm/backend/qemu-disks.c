/* SPDX-License-Identifier: MIT */
/* Implements what can be done with the disks of a running QEMU. */

/*
 * QEMU stops its machine when the host has no room for a write (werror=enospc), and
 * tries the write again once it is told to go on. We look for room once a second; the
 * size of the free space has to do, as the file is QEMU's.
 *
 * A disk that comes while the guest runs is given to QEMU by its descriptor (a set of one,
 * named by a number), becomes a node and then a device on the bus that is there for that.
 * To detach one QEMU asks the guest, and tells when the device is gone.
 */
#include "kvm/backend/qemu-disks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kvm/backend/qemu-args.h"
#include "kvm/disk/raw.h"
#include "lib/base/cleanup.h"

#define ROOM_INTERVAL_MS 1000
#define ROOM_BYTES       (4u << 20)
/* Behind those of the command line (qemu-args.c). */
#define FIRST_FD_SET (MACHINE_MAX_DISKS + 1)

static struct qemu_disk *find(struct qemu_disks *disks, const char *name)
{
    for (unsigned int i = 0; i < MACHINE_MAX_DISKS; i++)
        if (disks->disk[i].name[0] != '\0' && strcmp(disks->disk[i].name, name) == 0)
            return &disks->disk[i];
    return NULL;
}

static struct qemu_disk *add(struct qemu_disks *disks, const char *name)
{
    for (unsigned int i = 0; i < MACHINE_MAX_DISKS; i++)
        if (disks->disk[i].name[0] == '\0') {
            disks->disk[i] = (struct qemu_disk){0};
            (void)snprintf(disks->disk[i].name, sizeof(disks->disk[i].name), "%s", name);
            return &disks->disk[i];
        }
    return NULL;
}

/* What the launcher has of a disk; NULL: nothing any more. */
static const struct machine_disk *config_of(const struct qemu_disks *disks, const char *name)
{
    for (unsigned int i = 0; i < disks->config->disk_count; i++)
        if (strcmp(disks->config->disk[i].name, name) == 0)
            return &disks->config->disk[i];
    return NULL;
}

static int stat_of(const struct machine_disk *disk, struct stat *st)
{
    return disk->fd > 0 ? fstat(disk->fd, st) : stat(disk->path, st);
}

static json_t *throttle_arguments(const struct machine_disk *disk)
{
    const struct rate *bytes = &disk->limits.bytes, *operations = &disk->limits.operations;
    json_t *arguments = json_pack(
        "{s:s++, s:I, s:i, s:i, s:I, s:i, s:i}", "id", "/machine/peripheral/" QEMU_DISK_DEVICE,
        disk->name, "/virtio-backend", "bps", (json_int_t)bytes->per_second, "bps_rd", 0, "bps_wr",
        0, "iops", (json_int_t)operations->per_second, "iops_rd", 0, "iops_wr", 0);

    if (bytes->burst > bytes->per_second)
        json_object_set_new(arguments, "bps_max", json_integer((json_int_t)bytes->burst));
    if (operations->burst > operations->per_second)
        json_object_set_new(arguments, "iops_max", json_integer((json_int_t)operations->burst));
    return arguments;
}

/* ---- Room on the host ---- */

static bool has_room(const struct machine_disk *disk)
{
    struct statvfs fs;
    int code = disk->fd > 0 ? fstatvfs(disk->fd, &fs) : statvfs(disk->path, &fs);

    return code < 0 || fs.f_bavail * fs.f_frsize >= ROOM_BYTES;
}

static void look_for_room(void *opaque)
{
    struct qemu_disks *disks = opaque;
    bool is_any_full = false;

    for (unsigned int i = 0; i < MACHINE_MAX_DISKS; i++) {
        struct qemu_disk *disk = &disks->disk[i];
        const struct machine_disk *config = config_of(disks, disk->name);

        if (disk->is_full && config != NULL && has_room(config)) {
            disk->is_full = false;
            if (disks->host->disk_full != NULL)
                disks->host->disk_full(disks->host->opaque, disk->name, false);
        }
        is_any_full |= disk->is_full;
    }
    if (is_any_full)
        event_timer_set(disks->timer, ROOM_INTERVAL_MS);
}

static void on_no_room(struct qemu_disks *disks, const char *node)
{
    const size_t prefix = strlen(QEMU_DISK_NODE);
    struct qemu_disk *disk;

    if (node == NULL || strncmp(node, QEMU_DISK_NODE, prefix) != 0)
        return;
    disk = find(disks, node + prefix);
    if (disk == NULL || disk->is_full)
        return;
    disk->is_full = true;
    event_timer_set(disks->timer, ROOM_INTERVAL_MS);
    if (disks->host->disk_full != NULL)
        disks->host->disk_full(disks->host->opaque, disk->name, true);
}

void qemu_disks_retry(struct qemu_disks *disks)
{
    look_for_room(disks);
}

/* ---- Changes ---- */

struct change {
    struct qemu_disks *disks;
    machine_done_fn *done;
    void *opaque;
    char name[MACHINE_DISK_NAME]; /* of a disk that comes or goes */
};

static void finish(struct change *change, bool is_refused)
{
    struct crosh_error err = {0};

    /* Its reason is on stderr, that is in launcher.log. */
    if (is_refused)
        crosh_error_set(&err, -EIO, "QEMU refused: see the launcher's log");
    change->done(change->opaque, err.code, &err);
    free(change);
}

static void on_result(void *opaque, json_t *result)
{
    finish(opaque, result == NULL);
}

/* NULL: there is no memory, and done was told. */
static struct change *change_new(struct qemu_disks *disks, const char *name, machine_done_fn *done,
                                 void *opaque)
{
    struct change *change = malloc(sizeof(*change));
    struct crosh_error err = {0};

    if (change == NULL) {
        crosh_error_set(&err, -ENOMEM, "out of memory");
        done(opaque, err.code, &err);
        return NULL;
    }
    *change = (struct change){.disks = disks, .done = done, .opaque = opaque};
    (void)snprintf(change->name, sizeof(change->name), "%s", name);
    return change;
}

static void query(struct qemu_disks *disks, const char *command, json_t *arguments,
                  machine_done_fn *done, void *opaque)
{
    struct change *change = change_new(disks, "", done, opaque);

    if (change == NULL)
        json_decref(arguments);
    else if (!qmp_query(disks->qmp, command, arguments, on_result, change))
        finish(change, true);
}

/* ---- Disks that come and go ---- */

/* Takes a disk out of QEMU whose device is gone, or never came. */
static void release(struct qemu_disks *disks, struct qemu_disk *disk)
{
    (void)qmp_query(disks->qmp, "blockdev-del",
                    json_pack("{s:s+}", "node-name", QEMU_DISK_NODE, disk->name), NULL, NULL);
    (void)qmp_query(disks->qmp, "remove-fd", json_pack("{s:i}", "fdset-id", disk->fd_set), NULL,
                    NULL);
    *disk = (struct qemu_disk){0};
}

static void on_attached(void *opaque, json_t *result)
{
    struct change *change = opaque;
    struct qemu_disk *disk = find(change->disks, change->name);
    const struct machine_disk *config = config_of(change->disks, change->name);

    if (result == NULL && disk != NULL)
        release(change->disks, disk);
    else if (config != NULL && rate_limits_any(&config->limits))
        (void)qmp_query(change->disks->qmp, "block_set_io_throttle", throttle_arguments(config),
                        NULL, NULL);
    finish(change, result == NULL);
}

/* Checks and locks the file, as for a machine on KVM; the lock is the descriptor's. */
static int check(const struct machine_disk *disk, struct crosh_error *err)
{
    struct raw_disk raw;
    int fd = fcntl(disk->fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return crosh_error_errno(err, "disk %s", disk->path);
    if (raw_disk_adopt(&raw, fd, disk->path, disk->read_only, err) < 0)
        return err->code;
    raw_disk_close(&raw);
    return 0;
}

static void attach(struct qemu_disks *disks, const struct machine_disk *config,
                   machine_done_fn *done, void *opaque)
{
    struct crosh_error err = {0};
    struct change *change;
    struct qemu_disk *disk = NULL;
    json_t *device;

    if (arch_qemu.hotplug_bus == NULL)
        crosh_error_set(&err, -EOPNOTSUPP,
                        "guests of this emulated machine cannot be told of a disk that comes while "
                        "they run");
    else if (check(config, &err) == 0 && (disk = add(disks, config->name)) == NULL)
        crosh_error_set(&err, -ENOSPC, "a VM has at most %d disks", MACHINE_MAX_DISKS);
    if (disk == NULL) {
        done(opaque, err.code, &err);
        return;
    }
    change = change_new(disks, config->name, done, opaque);
    if (change == NULL) {
        *disk = (struct qemu_disk){0};
        return;
    }
    disk->fd_set = disks->last_fd_set++;
    device = qemu_disk_device(config, config->name);
    (void)json_object_set_new(device, "bus", json_string(QEMU_HOTPLUG_BUS));
    /* QEMU does one after the other; what fails has the last one fail, too. */
    if (!qmp_query_fd(disks->qmp, "add-fd", json_pack("{s:i}", "fdset-id", disk->fd_set),
                      config->fd, NULL, NULL) ||
        !qmp_query(disks->qmp, "blockdev-add", qemu_disk_node(config, disk->fd_set), NULL, NULL)) {
        json_decref(device);
        on_attached(change, NULL);
    } else if (!qmp_query(disks->qmp, "device_add", device, on_attached, change)) {
        on_attached(change, NULL);
    }
}

/* One that the guest gave back, asked or not. */
static void on_device_gone(struct qemu_disks *disks, const char *device)
{
    const size_t prefix = strlen(QEMU_DISK_DEVICE);
    struct qemu_disk *disk, gone;

    if (device == NULL || strncmp(device, QEMU_DISK_DEVICE, prefix) != 0)
        return;
    disk = find(disks, device + prefix);
    if (disk == NULL || disk->fd_set == 0)
        return;
    gone = *disk;
    release(disks, disk);
    if (disks->host->disk_gone != NULL)
        disks->host->disk_gone(disks->host->opaque, gone.name);
    if (gone.done != NULL)
        gone.done(gone.done_opaque, 0, NULL);
}

/* A refusal may come only because the guest was asked before: that one still counts. */
static void on_detach_asked(void *opaque, json_t *result)
{
    struct change *change = opaque;
    struct qemu_disk *disk = find(change->disks, change->name);

    if (result == NULL && change->done != NULL && disk != NULL &&
        disk->done_opaque == change->opaque) {
        disk->done = NULL;
        finish(change, true);
    } else {
        free(change);
    }
}

static void detach(struct qemu_disks *disks, const char *name, machine_done_fn *done, void *opaque)
{
    struct qemu_disk *disk = find(disks, name);
    struct crosh_error err = {0};
    struct change *change;

    if (disk == NULL)
        crosh_error_set(&err, -ENOENT, "there is no disk %s", name);
    else if (disk->fd_set == 0) {
        crosh_error_set(&err, -EBUSY, "disk %s belongs to the VM since its start", name);
        crosh_error_hint(&err, "only disks that were attached later can be detached");
    }
    if (err.code < 0) {
        done(opaque, err.code, &err);
        return;
    }
    change = change_new(disks, name, done, opaque);
    if (change == NULL)
        return;
    if (disk->done != NULL) {
        /* The guest may not have heeded the first request: it is asked anew. */
        crosh_error_set(&err, -ECANCELED, "disk %s was asked back once more", name);
        disk->done(disk->done_opaque, err.code, &err);
        change->done = NULL;
    }
    disk->done = done;
    disk->done_opaque = opaque;
    if (!qmp_query(disks->qmp, "device_del", json_pack("{s:s+}", "id", QEMU_DISK_DEVICE, name),
                   on_detach_asked, change))
        on_detach_asked(change, NULL);
}

void qemu_disks_event(struct qemu_disks *disks, const char *event, json_t *data)
{
    if (strcmp(event, "DEVICE_DELETED") == 0)
        on_device_gone(disks, json_string_value(json_object_get(data, "device")));
    else if (strcmp(event, "BLOCK_IO_ERROR") == 0 && json_is_true(json_object_get(data, "nospace")))
        on_no_room(disks, json_string_value(json_object_get(data, "node-name")));
}

/* ---- Disks that change ---- */

/* The size that a disk is to have; negative with err filled. */
static int64_t new_size(const struct machine_disk *disk, uint64_t bytes, struct crosh_error *err)
{
    struct stat st;

    if (stat_of(disk, &st) < 0)
        return crosh_error_errno(err, "disk %s", disk->path);
    if (!S_ISREG(st.st_mode))
        return crosh_error_set(err, -EOPNOTSUPP,
                               "under emulation only disks that are files can be resized");
    if (bytes == 0)
        return st.st_size / 512 * 512;
    if (bytes % 512 != 0 || bytes > INT64_MAX)
        return crosh_error_set(err, -EINVAL, "a disk's size is a multiple of 512 bytes");
    if (bytes < (uint64_t)st.st_size)
        return crosh_error_set(err, -EINVAL,
                               "a disk in use can only grow: it has %lld bytes already",
                               (long long)st.st_size);
    if (disk->read_only)
        return crosh_error_set(err, -EROFS, "the disk is read-only");
    return (int64_t)bytes;
}

void qemu_disks_change(struct qemu_disks *disks, const struct machine_disk_change *change,
                       machine_done_fn *done, void *opaque)
{
    const struct machine_disk *disk = change->disk;
    struct crosh_error err = {0};
    int64_t size;

    switch (change->what) {
    case MACHINE_DISK_ATTACH:
        attach(disks, disk, done, opaque);
        return;
    case MACHINE_DISK_DETACH:
        detach(disks, disk->name, done, opaque);
        return;
    case MACHINE_DISK_LIMIT:
        query(disks, "block_set_io_throttle", throttle_arguments(disk), done, opaque);
        return;
    case MACHINE_DISK_RESIZE:
        size = new_size(disk, change->bytes, &err);
        if (size < 0)
            break;
        query(disks, "block_resize",
              json_pack("{s:s+, s:I}", "node-name", QEMU_DISK_NODE, disk->name, "size",
                        (json_int_t)size),
              done, opaque);
        return;
    }
    done(opaque, err.code, &err);
}

bool qemu_disks_info(struct qemu_disks *disks, const char *name, struct machine_disk_info *info)
{
    const struct machine_disk *config = config_of(disks, name);
    const struct qemu_disk *disk = find(disks, name);
    struct stat st;

    if (disk == NULL || config == NULL)
        return false;
    *info =
        (struct machine_disk_info){.is_full = disk->is_full, .is_detachable = disk->fd_set != 0};
    if (stat_of(config, &st) == 0 && S_ISREG(st.st_mode))
        info->bytes = (uint64_t)st.st_size;
    return true;
}

int qemu_disks_init(struct qemu_disks *disks, const struct machine_host *host, struct qmp *qmp,
                    const struct machine_config *config, struct crosh_error *err)
{
    *disks = (struct qemu_disks){
        .host = host, .qmp = qmp, .config = config, .last_fd_set = FIRST_FD_SET};
    disks->timer = event_timer_add(host->loop, look_for_room, disks);
    if (disks->timer == NULL)
        return crosh_error_errno(err, "event loop");
    for (unsigned int i = 0; i < config->disk_count; i++) {
        (void)add(disks, config->disk[i].name);
        if (rate_limits_any(&config->disk[i].limits))
            (void)qmp_query(qmp, "block_set_io_throttle", throttle_arguments(&config->disk[i]),
                            NULL, NULL);
    }
    return 0;
}

void qemu_disks_fini(struct qemu_disks *disks)
{
    event_remove(disks->timer);
}
