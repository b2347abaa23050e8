/* SPDX-License-Identifier: MIT */
/* Implements what can be done with the disks of a running QEMU. */

/*
 * QEMU stops its machine when the host has no room for a write (werror=enospc), and
 * tries the write again once it is told to go on. We look for room once a second; the
 * size of the free space has to do, as the file is QEMU's.
 */
#include "kvm/backend/qemu-disks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define ROOM_INTERVAL_MS 1000
#define ROOM_BYTES       (4u << 20)

static int find(const struct qemu_disks *disks, const char *name)
{
    for (unsigned int i = 0; i < disks->config->disk_count; i++)
        if (strcmp(disks->config->disk[i].name, name) == 0)
            return (int)i;
    return -ENOENT;
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

static bool has_room(const char *path)
{
    struct statvfs fs;

    return statvfs(path, &fs) < 0 || fs.f_bavail * fs.f_frsize >= ROOM_BYTES;
}

static void look_for_room(void *opaque)
{
    struct qemu_disks *disks = opaque;
    bool is_any_full = false;

    for (unsigned int i = 0; i < disks->config->disk_count; i++) {
        const struct machine_disk *disk = &disks->config->disk[i];

        if (disks->is_full[i] && has_room(disk->path)) {
            disks->is_full[i] = false;
            if (disks->host->disk_full != NULL)
                disks->host->disk_full(disks->host->opaque, disk->name, false);
        }
        is_any_full |= disks->is_full[i];
    }
    if (is_any_full)
        event_timer_set(disks->timer, ROOM_INTERVAL_MS);
}

void qemu_disks_event(struct qemu_disks *disks, const char *event, json_t *data)
{
    const char *node = json_string_value(json_object_get(data, "node-name"));
    size_t prefix = strlen(QEMU_DISK_NODE);
    int index;

    if (strcmp(event, "BLOCK_IO_ERROR") != 0 || !json_is_true(json_object_get(data, "nospace")) ||
        node == NULL || strncmp(node, QEMU_DISK_NODE, prefix) != 0)
        return;
    index = find(disks, node + prefix);
    if (index < 0 || disks->is_full[index])
        return;
    disks->is_full[index] = true;
    event_timer_set(disks->timer, ROOM_INTERVAL_MS);
    if (disks->host->disk_full != NULL)
        disks->host->disk_full(disks->host->opaque, disks->config->disk[index].name, true);
}

void qemu_disks_retry(struct qemu_disks *disks)
{
    look_for_room(disks);
}

/* ---- Changes ---- */

struct change {
    machine_done_fn *done;
    void *opaque;
};

static void on_result(void *opaque, json_t *result)
{
    struct change *change = opaque;
    struct crosh_error err = {0};

    /* Its reason is on stderr, that is in launcher.log. */
    if (result == NULL)
        crosh_error_set(&err, -EIO, "QEMU refused: see the launcher's log");
    change->done(change->opaque, err.code, &err);
    free(change);
}

static void query(struct qemu_disks *disks, const char *command, json_t *arguments,
                  machine_done_fn *done, void *opaque)
{
    struct change *change = malloc(sizeof(*change));
    struct crosh_error err = {0};

    if (change != NULL) {
        *change = (struct change){.done = done, .opaque = opaque};
        if (qmp_query(disks->qmp, command, arguments, on_result, change))
            return;
        free(change);
        crosh_error_set(&err, -EIO, "QEMU does not take commands");
    } else {
        json_decref(arguments);
        crosh_error_set(&err, -ENOMEM, "out of memory");
    }
    done(opaque, err.code, &err);
}

/* The size that a disk is to have; negative with err filled. */
static int64_t new_size(const struct machine_disk *disk, uint64_t bytes, struct crosh_error *err)
{
    struct stat st;

    if (stat(disk->path, &st) < 0)
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
    case MACHINE_DISK_RESIZE:
        size = new_size(disk, change->bytes, &err);
        if (size < 0)
            break;
        query(disks, "block_resize",
              json_pack("{s:s+, s:I}", "node-name", QEMU_DISK_NODE, disk->name, "size",
                        (json_int_t)size),
              done, opaque);
        return;
    case MACHINE_DISK_LIMIT:
        query(disks, "block_set_io_throttle", throttle_arguments(disk), done, opaque);
        return;
    default:
        crosh_error_set(&err, -EOPNOTSUPP,
                        "disks are attached and detached on KVM only, and this VM is emulated");
        crosh_error_hint(&err, "stop it and start it with --extra-disk");
    }
    done(opaque, err.code, &err);
}

bool qemu_disks_info(struct qemu_disks *disks, const char *name, struct machine_disk_info *info)
{
    int index = find(disks, name);
    struct stat st;

    if (index < 0)
        return false;
    *info = (struct machine_disk_info){.is_full = disks->is_full[index]};
    if (stat(disks->config->disk[index].path, &st) == 0 && S_ISREG(st.st_mode))
        info->bytes = (uint64_t)st.st_size;
    return true;
}

int qemu_disks_init(struct qemu_disks *disks, const struct machine_host *host, struct qmp *qmp,
                    const struct machine_config *config, struct crosh_error *err)
{
    *disks = (struct qemu_disks){.host = host, .qmp = qmp, .config = config};
    disks->timer = event_timer_add(host->loop, look_for_room, disks);
    if (disks->timer == NULL)
        return crosh_error_errno(err, "event loop");
    for (unsigned int i = 0; i < config->disk_count; i++)
        if (rate_limits_any(&config->disk[i].limits))
            (void)qmp_query(qmp, "block_set_io_throttle", throttle_arguments(&config->disk[i]),
                            NULL, NULL);
    return 0;
}

void qemu_disks_fini(struct qemu_disks *disks)
{
    event_remove(disks->timer);
}
