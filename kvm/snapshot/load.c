/* SPDX-License-Identifier: MIT */
/* Reads a snapshot back: its files, whether they fit the VM, its memory. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/kept-files.h"
#include "kvm/machine.h"
#include "kvm/snapshot/format.h"
#include "kvm/snapshot/load.h"
#include "kvm/snapshot/snapshot.h"
#include "lib/base/cleanup.h"

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* Where the file is; to be freed. */
static char *file_path(const char *path, const char *name)
{
    char *file;

    return asprintf(&file, "%s/%s", path, name) < 0 ? NULL : file;
}

static int keep(const char *path, const char *name, struct crosh_error *err)
{
    char *file = file_path(path, name); /* kept as long as the process */
    int fd;

    if (file == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    fd = open(file, OPEN_FLAGS);
    if (fd < 0) {
        int code = errno == ENOENT
                       ? crosh_error_set(err, -ENOENT, "snapshot %s: it has no file %s", path, name)
                       : crosh_error_errno(err, "snapshot %s", file);

        free(file);
        return code;
    }
    return kept_files_add(file, fd) < 0 ? crosh_error_set(err, -ENOSPC, "too many files") : 0;
}

int snapshot_keep(const char *path, struct crosh_error *err)
{
    int code = keep(path, SNAPSHOT_STATE_FILE, err);

    return code < 0 ? code : keep(path, SNAPSHOT_MEMORY_FILE, err);
}

static int open_file(const char *path, const char *name, struct stat *st, struct crosh_error *err)
{
    cleanup_free char *file = file_path(path, name);
    cleanup_close int fd = -1;

    if (file == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    fd = kept_files_open(file, OPEN_FLAGS);
    if (fd < 0 && errno == ENOENT)
        return crosh_error_set(err, -ENOENT, "it has no file %s", name);
    if (fd < 0 || fstat(fd, st) < 0)
        return crosh_error_errno(err, "%s", name);
    if (!S_ISREG(st->st_mode))
        return crosh_error_set(err, -EINVAL, "%s is not a file", name);
    return move_fd(fd);
}

int snapshot_read_at(int fd, void *data, size_t size, off_t at)
{
    uint8_t *bytes = data;

    while (size > 0) {
        ssize_t n = pread(fd, bytes, size, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        bytes += n;
        size -= (size_t)n;
        at += n;
    }
    return 0;
}

static int load_state(const char *path, Snapshot__Machine **state, struct crosh_error *err)
{
    struct stat st;
    cleanup_close int fd = open_file(path, SNAPSHOT_STATE_FILE, &st, err);
    cleanup_free uint8_t *data = NULL;

    if (fd < 0)
        return fd;
    if (st.st_size <= 0 || (uint64_t)st.st_size > SNAPSHOT_STATE_MAX)
        return crosh_error_set(err, -EINVAL, "it is no snapshot of a VM");
    data = malloc((size_t)st.st_size);
    if (data == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (snapshot_read_at(fd, data, (size_t)st.st_size, 0) < 0)
        return crosh_error_errno(err, SNAPSHOT_STATE_FILE);
    return snapshot_decode(data, (size_t)st.st_size, state, err);
}

static int open_memory(const char *path, const Snapshot__Machine *state, struct crosh_error *err)
{
    struct stat st;
    cleanup_close int fd = open_file(path, SNAPSHOT_MEMORY_FILE, &st, err);
    uint8_t last[2 * SNAPSHOT_ID_BYTES];
    uint64_t bytes = state->config->memory_bytes;

    if (fd < 0)
        return fd;
    if ((uint64_t)st.st_size != bytes + SNAPSHOT_PAGE)
        return crosh_error_set(err, -EBADMSG, "its memory is incomplete");
    if (snapshot_read_at(fd, last, sizeof(last), (off_t)bytes) < 0 ||
        memcmp(last, SNAPSHOT_MEMORY_MAGIC, SNAPSHOT_ID_BYTES) != 0)
        return crosh_error_set(err, -EBADMSG, "its memory is incomplete");
    if (memcmp(last + SNAPSHOT_ID_BYTES, state->id.data, SNAPSHOT_ID_BYTES) != 0)
        return crosh_error_set(err, -EBADMSG,
                               "its memory and its state are of different snapshots");
    return move_fd(fd);
}

/* ---- The configuration ---- */

static int describe_disk(const struct machine_disk *disk, Snapshot__Disk *description,
                         struct crosh_error *err)
{
    cleanup_close int fd = disk->fd > 0
                               ? fcntl(disk->fd, F_DUPFD_CLOEXEC, 0)
                               : kept_files_open(disk->path, (disk->read_only ? O_RDONLY : O_RDWR) |
                                                                 O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    off_t size;

    if (fd < 0 || fstat(fd, &st) < 0)
        return crosh_error_errno(err, "disk %s", disk->path);
    size = lseek(fd, 0, SEEK_END); /* of block devices, too */
    if (size < 0)
        return crosh_error_errno(err, "disk %s", disk->path);
    description->name = strdup(disk->name);
    description->path = strdup(disk->path);
    if (description->name == NULL || description->path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    description->read_only = disk->read_only;
    description->bytes = (uint64_t)size;
    if (S_ISREG(st.st_mode))
        description->changed_at_us =
            (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    return 0;
}

Snapshot__Config *snapshot_config(const struct machine_config *config, struct crosh_error *err)
{
    Snapshot__Config *description = SNAPSHOT_NEW(Snapshot__Config, snapshot__config__init);

    if (description == NULL)
        goto no_memory;
    description->vcpus = config->vcpus;
    description->memory_bytes = config->memory_bytes;
    description->disks = calloc(config->disk_count + 1, sizeof(*description->disks));
    if (description->disks == NULL)
        goto no_memory;
    for (unsigned int i = 0; i < config->disk_count; i++) {
        Snapshot__Disk *disk = SNAPSHOT_NEW(Snapshot__Disk, snapshot__disk__init);

        if (disk == NULL)
            goto no_memory;
        description->disks[description->n_disks++] = disk;
        if (describe_disk(&config->disk[i], disk, err) < 0)
            goto fail;
    }
    description->shares = calloc(config->share_count + 1, sizeof(*description->shares));
    if (description->shares == NULL)
        goto no_memory;
    for (unsigned int i = 0; i < config->share_count; i++) {
        Snapshot__Share *share = SNAPSHOT_NEW(Snapshot__Share, snapshot__share__init);

        if (share == NULL)
            goto no_memory;
        description->shares[description->n_shares++] = share;
        share->tag = strdup(config->share[i].tag);
        if (share->tag == NULL)
            goto no_memory;
    }
    return description;
no_memory:
    crosh_error_set(err, -ENOMEM, "out of memory");
fail:
    if (description != NULL)
        snapshot__config__free_unpacked(description, NULL);
    return NULL;
}

static unsigned int slot_of(const Snapshot__Config *config, const char *name)
{
    for (size_t i = 0; i < config->n_disks; i++)
        if (strcmp(config->disks[i]->name, name) == 0)
            return config->disks[i]->slot;
    return 0;
}

unsigned int snapshot_disk_slot(const struct snapshot *snapshot, const char *name)
{
    return snapshot != NULL ? slot_of(snapshot->state->config, name) : 0;
}

static const Snapshot__Share *share_of(const Snapshot__Config *config, const char *tag)
{
    for (size_t i = 0; i < config->n_shares; i++)
        if (strcmp(config->shares[i]->tag, tag) == 0)
            return config->shares[i];
    return NULL;
}

unsigned int snapshot_share_slot(const struct snapshot *snapshot, const char *tag)
{
    const Snapshot__Share *share = snapshot != NULL ? share_of(snapshot->state->config, tag) : NULL;

    return share != NULL ? share->slot : 0;
}

static int check_disk(const Snapshot__Disk *then, const Snapshot__Disk *now,
                      struct crosh_error *err)
{
    const char *path = now->path;

    if (then->read_only != now->read_only)
        return crosh_error_set(err, -EINVAL, "disk %s was %s when it was taken", path,
                               then->read_only ? "read-only" : "writable");
    if (then->bytes != now->bytes)
        return crosh_error_set(err, -EINVAL,
                               "disk %s had %" PRIu64 " bytes when it was taken, it has %" PRIu64,
                               path, then->bytes, now->bytes);
    if (then->changed_at_us != now->changed_at_us) {
        crosh_error_set(err, -EINVAL, "disk %s was written to since it was taken", path);
        crosh_error_hint(err, "put back the disk of that time (cp -p keeps what is compared)");
        return -EINVAL;
    }
    return 0;
}

/* It is known by its name. */
static int check_attached(const Snapshot__Disk *then, const Snapshot__Config *now,
                          struct crosh_error *err)
{
    for (size_t i = 0; i < now->n_disks; i++)
        if (strcmp(now->disks[i]->name, then->name) == 0)
            return check_disk(then, now->disks[i], err);
    crosh_error_set(err, -EINVAL, "the VM had the disk %s attached, of the file %s", then->name,
                    then->path);
    return crosh_error_hint(err, "give it as well: --disk FILE,name=%s%s", then->name,
                            then->read_only ? ",ro" : "");
}

/*
 * Disks that the VM was started with are told apart by their order, in which the guest has them;
 * those that were attached later by their names, whatever their place on the command line.
 */
static int check_disks(const Snapshot__Config *then, const Snapshot__Config *now,
                       struct crosh_error *err)
{
    size_t at = 0, then_count = 0, now_count = 0;
    int code = 0;

    for (size_t i = 0; i < then->n_disks; i++)
        then_count += then->disks[i]->slot == 0;
    for (size_t i = 0; i < now->n_disks; i++)
        now_count += slot_of(then, now->disks[i]->name) == 0;
    for (size_t i = 0; i < then->n_disks && code == 0; i++)
        if (then->disks[i]->slot != 0)
            code = check_attached(then->disks[i], now, err);
    if (code < 0)
        return code;
    if (then_count != now_count)
        return crosh_error_set(err, -EINVAL, "it is of a VM with %zu disks, not %zu", then_count,
                               now_count);
    for (size_t i = 0; i < then->n_disks && code == 0; i++) {
        if (then->disks[i]->slot != 0)
            continue;
        while (slot_of(then, now->disks[at]->name) != 0)
            at++;
        code = check_disk(then->disks[i], now->disks[at++], err);
    }
    return code;
}

/* Their order tells apart those of the start, as with disks. */
static int check_shares(const Snapshot__Config *then, const Snapshot__Config *now,
                        struct crosh_error *err)
{
    size_t at = 0;

    for (size_t i = 0; i < then->n_shares; i++) {
        const char *tag = then->shares[i]->tag;

        if (share_of(now, tag) == NULL) {
            crosh_error_set(err, -EINVAL, "the VM had the shared directory %s", tag);
            return crosh_error_hint(err, "give it as well: --fs tag=%s,socket=PATH,mount", tag);
        }
    }
    for (size_t i = 0; i < now->n_shares; i++)
        if (share_of(then, now->shares[i]->tag) == NULL)
            return crosh_error_set(err, -EINVAL, "the VM had no shared directory %s",
                                   now->shares[i]->tag);
    for (size_t i = 0; i < then->n_shares; i++) {
        if (then->shares[i]->slot != 0)
            continue;
        while (at < now->n_shares && share_of(then, now->shares[at]->tag)->slot != 0)
            at++;
        if (at == now->n_shares || strcmp(then->shares[i]->tag, now->shares[at++]->tag) != 0)
            return crosh_error_set(err, -EINVAL,
                                   "the VM had its shared directories in another order");
    }
    return 0;
}

static int check_config(const Snapshot__Config *then, const struct machine_config *config,
                        struct crosh_error *err)
{
    Snapshot__Config *now;
    int code = 0;

    if (then->vcpus != config->vcpus)
        return crosh_error_set(err, -EINVAL, "it is of a VM with %u vcpus, not %u", then->vcpus,
                               config->vcpus);
    if (then->memory_bytes != config->memory_bytes)
        return crosh_error_set(err, -EINVAL,
                               "it is of a VM with %" PRIu64 " MiB of memory, not %" PRIu64,
                               then->memory_bytes >> 20, config->memory_bytes >> 20);
    now = snapshot_config(config, err);
    if (now == NULL)
        return err->code;
    code = check_disks(then, now, err);
    if (code == 0)
        code = check_shares(then, now, err);
    snapshot__config__free_unpacked(now, NULL);
    return code;
}

int snapshot_open(struct snapshot *snapshot, const char *path, struct crosh_error *err)
{
    int code = load_state(path, &snapshot->state, err);

    if (code == 0)
        code = snapshot->memory_fd = open_memory(path, snapshot->state, err);
    return code < 0 ? code : 0;
}

int snapshot_load(struct snapshot *snapshot, const char *path, const struct machine_config *config,
                  struct crosh_error *err)
{
    int code;

    *snapshot = (struct snapshot){.path = path, .memory_fd = -1};
    code = load_state(path, &snapshot->state, err);
    if (code == 0)
        code = check_config(snapshot->state->config, config, err);
    if (code == 0)
        code = snapshot->memory_fd = open_memory(path, snapshot->state, err);
    if (code < 0) {
        snapshot_unload(snapshot);
        return crosh_error_wrap(err, "snapshot %s", path);
    }
    return 0;
}

void snapshot_unload(struct snapshot *snapshot)
{
    if (snapshot->state != NULL)
        snapshot__machine__free_unpacked(snapshot->state, NULL);
    if (snapshot->memory_fd >= 0)
        (void)close(snapshot->memory_fd);
    snapshot->state = NULL;
    snapshot->memory_fd = -1;
}

int snapshot_map_memory(const struct snapshot *snapshot, void *host, uint64_t bytes,
                        struct crosh_error *err)
{
    if (mmap(host, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, snapshot->memory_fd,
             0) == MAP_FAILED)
        return crosh_error_errno(err, "mapping the snapshot's memory");
    (void)madvise(host, bytes, MADV_DONTDUMP);
    return 0;
}

int snapshot_copy_memory(const struct snapshot *snapshot, uint8_t *host, uint64_t bytes,
                         struct crosh_error *err)
{
    const off_t size = (off_t)bytes;
    off_t end = 0;

    /* The memory is new: where the file has holes it has zeroes already. */
    while (end < size) {
        off_t start = lseek(snapshot->memory_fd, end, SEEK_DATA);

        if (start < 0 && errno == ENXIO)
            return 0;
        end = start < 0 ? start : lseek(snapshot->memory_fd, start, SEEK_HOLE);
        if (end < 0)
            return crosh_error_errno(err, "reading the snapshot's memory");
        if (end > size)
            end = size;
        if (start < end &&
            snapshot_read_at(snapshot->memory_fd, host + start, (size_t)(end - start), start) < 0)
            return crosh_error_set(err, -EIO, "the snapshot's memory cannot be read");
    }
    return 0;
}
