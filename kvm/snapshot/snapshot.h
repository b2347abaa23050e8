/* SPDX-License-Identifier: MIT */
/* A snapshot to begin from: read from its directory, checked against the VM, its memory mapped. */
#ifndef KVM_SNAPSHOT_SNAPSHOT_H
#define KVM_SNAPSHOT_SNAPSHOT_H

#include <stdint.h>

#include <crosh/error.h>

#include "kvm/guest-memory.h"
#include "lib/wire/snapshot.pb-c.h"

struct machine_config;

/* The files' names in a snapshot's directory. */
#define SNAPSHOT_STATE_FILE  "state"
#define SNAPSHOT_MEMORY_FILE "memory"

struct snapshot {
    const char *path; /* of its directory, as long as the launcher's arguments */
    Snapshot__Machine *state;
    int memory_fd;
};

/*
 * Before confinement: opens the files of the directory path and keeps them
 * (kept-files.h). Nothing of them is read yet.
 */
int snapshot_keep(const char *path, struct crosh_error *err);

/*
 * Reads and checks a snapshot for a VM of that configuration. The errors name the
 * directory: the codes of snapshot_decode(), and -EINVAL when it is of a VM with
 * other vcpus, memory or disks, or when a disk was written to since.
 */
int snapshot_load(struct snapshot *snapshot, const char *path, const struct machine_config *config,
                  struct crosh_error *err);
void snapshot_unload(struct snapshot *snapshot);

/*
 * Where on the PCI bus the disk of that name was, attached to the VM as it ran; 0: nowhere, or
 * snapshot is NULL.
 */
unsigned int snapshot_disk_slot(const struct snapshot *snapshot, const char *name);
/* The same of a shared directory. */
unsigned int snapshot_share_slot(const struct snapshot *snapshot, const char *tag);

/*
 * Maps the memory privately over [host, host + bytes), which is mapped already and
 * becomes the caller's to unmap as before: pages come from the file when they are
 * touched, and what is written stays here. The file must not change meanwhile.
 */
int snapshot_map_memory(const struct snapshot *snapshot, void *host, uint64_t bytes,
                        struct crosh_error *err);

/* The same where memory must be shared with other processes: copies it, which takes its time. */
int snapshot_copy_memory(const struct snapshot *snapshot, uint8_t *host, uint64_t bytes,
                         struct crosh_error *err);

/* The configuration as a message, for a new snapshot; NULL with err filled. */
Snapshot__Config *snapshot_config(const struct machine_config *config, struct crosh_error *err);

/*
 * Reads all of a snapshot, on which restoring spends no time, and compares its memory with the
 * checksums that its state has: 0, or the codes of snapshot_decode() with -EBADMSG for memory that
 * is not what was saved. The errors name the directory. For any thread.
 */
int snapshot_verify(const char *path, struct crosh_error *err);

/* Where the memory's writer is. */
struct snapshot_writer {
    const struct guest_memory *memory;
    int fd;
    unsigned int region;
    uint64_t offset; /* in the region */
    uint64_t at;     /* in the file */
    uint32_t *sum;   /* of each chunk; NULL before the first page */
    size_t sum_count;
};

/*
 * Writes the next 16 MiB or so, of a memory that does not change, into an empty
 * file. 1 when there is more to do, 0 when all is written but the last page, or
 * negative.
 */
int snapshot_write_memory(struct snapshot_writer *writer, struct crosh_error *err);
/* The last page, which says that the memory is whole, and whose: state's, which gets the checksums.
   Makes the file durable. */
int snapshot_finish_memory(struct snapshot_writer *writer, Snapshot__Machine *state,
                           struct crosh_error *err);
/* For a writer that comes to no end, too. */
void snapshot_writer_fini(struct snapshot_writer *writer);
/* Writes the state into an empty file, and makes it durable. */
int snapshot_write_state(int fd, const Snapshot__Machine *state, struct crosh_error *err);

#endif
