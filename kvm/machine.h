/* SPDX-License-Identifier: MIT */
/* One VM as the launcher's common part sees it: what it shall be, and how a backend runs it. */
#ifndef KVM_MACHINE_H
#define KVM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <crosh/error.h>

#include "kvm/disk/rate-limit.h"
#include "kvm/event-loop.h"
#include "kvm/net/nic.h"
#include "kvm/guest-memory.h"
#include "kvm/snapshot/snapshot.h"
#include "kvm/virtio/console.h"
#include "kvm/virtio/device.h"
#include "kvm/virtio/fs.h"
#include "lib/wire/control.pb-c.h"

#define MACHINE_MAX_DISKS  16
#define MACHINE_MAX_NICS   4
#define MACHINE_MAX_SHARES 4
#define MACHINE_MAX_VCPUS  64

#define MACHINE_DISK_NAME 24 /* bytes, with the terminating one */

struct machine_disk {
    char name[MACHINE_DISK_NAME]; /* by which it is asked for: unique in a VM */
    const char *path;             /* for messages only when there is a descriptor */
    int fd;                       /* open already; 0: it is opened by its path */
    bool read_only;
    struct rate_limits limits;
};

/* How virtio devices are reached. */
enum machine_transport {
    MACHINE_TRANSPORT_PCI,
    MACHINE_TRANSPORT_MMIO, /* described by ACPI; only the KVM backend has it */
    MACHINE_TRANSPORT_AUTO, /* MMIO where the backend has it, for guests that know both */
};

/* What is asked of the disks of a machine that runs. */
struct machine_disk_change {
    enum {
        MACHINE_DISK_ATTACH,
        MACHINE_DISK_DETACH,
        MACHINE_DISK_RESIZE,
        MACHINE_DISK_LIMIT, /* disk->limits hold from now on */
    } what;
    const struct machine_disk *disk; /* the name says which one, except to attach */
    uint64_t bytes; /* to resize: what the file is made to have; 0: what it has now */
};

/* One disk as it is now. */
struct machine_disk_info {
    uint64_t bytes;
    bool is_detachable;
    bool is_full;      /* writes wait for room on the host */
    bool has_counters; /* those that follow, since the machine was made */
    uint64_t reads, writes, flushes, discards;
    uint64_t read_bytes, written_bytes;
    uint64_t errors, throttled_ns;
};

/* How a request that may take time ended: 0, or negative with err. */
typedef void machine_done_fn(void *opaque, int code, const struct crosh_error *err);

/* A stream by name between a program of the guest and one of the host. */
struct machine_port {
    const char *name;
    int listen_fd; /* opened by the launcher, before it is confined */
};

/* Everything the user chose; strings live as long as the launcher. */
struct machine_config {
    const char *name;
    const char *kernel;  /* bzImage or ELF */
    const char *initrd;  /* NULL: none */
    const char *cmdline; /* added after the launcher's own parameters */
    unsigned int vcpus;
    uint64_t memory_bytes; /* a multiple of 2 MiB */
    bool has_huge_pages;   /* memory from those that the host reserved */
    enum machine_transport transport;
    unsigned int disk_count;
    struct machine_disk disk[MACHINE_MAX_DISKS];
    unsigned int port_count;
    struct machine_port port[VIRTIO_CONSOLE_MAX_PORTS];
    unsigned int nic_count;
    struct nic nic[MACHINE_MAX_NICS]; /* opened by the launcher, before it is confined */
    bool shared_memory;               /* other processes can be given the guest's memory */
    unsigned int share_count;
    struct fs_share share[MACHINE_MAX_SHARES]; /* on KVM: opened by the launcher, too */
    /* Instead of a boot: the state and the memory that the machine begins with. NULL: boot. */
    const struct snapshot *restore;
    /* Held open by every process that runs the machine: a lock that is theirs together. 0: none. */
    int lock_fd;
};

enum machine_end {
    MACHINE_END_POWEROFF,
    MACHINE_END_RESET,
    MACHINE_END_CRASH,
};

/* Why a machine stands still; a set. It runs when there is no reason left. */
enum machine_pause {
    MACHINE_PAUSE_USER = 1 << 0,
    MACHINE_PAUSE_DISK_FULL = 1 << 1, /* the host has no room for what the guest writes */
    MACHINE_PAUSE_SNAPSHOT = 1 << 2,
};

/*
 * What the common part offers a backend. The callbacks are for the loop's
 * thread only; a vcpu thread reaches it through an eventfd of its backend's.
 */
struct machine_host {
    struct event_loop *loop;
    struct virtio_device *vsock; /* ours; attached by the backend, freed by the common part */
    void *opaque;
    /* Bytes that the guest wrote to its serial port or console, for the console log. */
    void (*console_output)(void *opaque, const void *data, size_t size);
    /* The machine ended by itself. Called once; the backend still waits for destroy. */
    void (*ended)(void *opaque, enum machine_end end, const char *detail);
    /*
     * The machine stands still, as pause() asked: the guest runs no more, and its
     * devices begin nothing new. Called once for each pause(), and again until is_quiet:
     * no request is under way any more, and guest memory does not change. Neither is
     * called after the last resume(). May be NULL.
     */
    void (*paused)(void *opaque, bool is_quiet);
    /* The figures that refresh() asked for are in; or will not come. May be NULL. */
    void (*refreshed)(void *opaque);
    /* The guest's balloon has another size; a few times a second at most. May be NULL. */
    void (*balloon_changed)(void *opaque);
    /*
     * The host has no room for what the guest wrote to a disk, which waits (true), or has it
     * again. Once for each disk and change. May be NULL.
     */
    void (*disk_full)(void *opaque, const char *name, bool is_full);
    /* The guest gave a disk back, asked or not; its descriptor is closed. May be NULL. */
    void (*disk_gone)(void *opaque, const char *name);
    /* The same of a shared directory, whose link is not used any more. May be NULL. */
    void (*share_gone)(void *opaque, const char *tag);
};

struct machine;

/*
 * A way to run a machine: KVM (kvm/backend/kvm.c) or QEMU's emulation
 * (kvm/backend/qemu.c). All functions are called on the loop's thread.
 */
struct machine_backend {
    const char *name; /* "kvm", "tcg" */
    /*
     * Whether this host can do it. 0; otherwise negative with an error that
     * names the remedy: -ENOENT nothing there, -EACCES no permission,
     * -EOPNOTSUPP there but of no use for a stock kernel.
     */
    int (*probe)(struct crosh_error *err);
    /* Builds the machine up to, but not including, its first instruction. */
    struct machine *(*create)(const struct machine_config *config, const struct machine_host *host,
                              struct crosh_error *err);
    int (*start)(struct machine *machine, struct crosh_error *err);
    /*
     * Adds a reason to stand still, before or after the start; host->paused tells when it
     * does, never from within the call. A reason counts once, however often it is given.
     */
    void (*pause)(struct machine *machine, enum machine_pause reason);
    /* Takes a reason away. */
    void (*resume)(struct machine *machine, enum machine_pause reason);
    /*
     * For snapshots, while the machine stands still and is quiet: adds its state, all but
     * memory, to a message; and that memory. NULL: this way of running machines has none.
     */
    int (*save)(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err);
    const struct guest_memory *(*memory)(const struct machine *machine);
    /* Asks the guest to give up so many bytes of its memory, at most all; it takes its time. */
    void (*set_balloon)(struct machine *machine, uint64_t bytes);
    /*
     * Asks the guest for the figures that only it has. False: there is nothing to wait for;
     * else host->refreshed tells when they are in, never from within the call. A guest
     * that does not answer leaves it untold.
     */
    bool (*refresh)(struct machine *machine);
    /* Fills in what is known now; 0, or -ENOMEM. What it adds is freed with the message. */
    int (*balloon)(struct machine *machine, Control__Balloon *balloon);
    /* The same: vcpus, devices, and the process where it is not the launcher's own. */
    int (*stats)(struct machine *machine, Control__StatsReply *stats);
    /*
     * Of a machine that has ended by a crash: what its processors were at, as a JSON object,
     * which is the caller's. May be NULL.
     */
    json_t *(*report)(struct machine *machine);
    /*
     * Carries out a change; done is called once, maybe from within the call. A disk is detached
     * when the guest gave it back, if ever. The disk's descriptor stays the caller's.
     */
    void (*disk_change)(struct machine *machine, const struct machine_disk_change *change,
                        machine_done_fn *done, void *opaque);
    /* False: there is no disk of that name. */
    bool (*disk_info)(struct machine *machine, const char *name, struct machine_disk_info *info);
    /* Looks for room on the host now, for disks that wait for it. */
    void (*disk_retry)(struct machine *machine);
    /*
     * Shared directories that come to the running machine and go; done is called once, maybe
     * from within the call. One is detached when the guest gave it back, if ever. The share
     * stays the caller's; on KVM its link is open.
     */
    void (*share_attach)(struct machine *machine, const struct fs_share *share,
                         machine_done_fn *done, void *opaque);
    void (*share_detach)(struct machine *machine, const char *tag, machine_done_fn *done,
                         void *opaque);
    bool (*share_is_detachable)(struct machine *machine, const char *tag);
    /* Connects a stream, owned from here on, to a named port. -ENOENT; -EBUSY: another one is. */
    int (*port_connect)(struct machine *machine, const char *name, int fd, struct crosh_error *err);
    /* Presses the ACPI power button. */
    void (*power_button)(struct machine *machine);
    /* Bytes typed into the guest's console; those that do not fit are dropped. */
    void (*console_input)(struct machine *machine, const void *data, size_t size);
    /* Ends it at once, in whatever state it is, and frees everything. */
    void (*destroy)(struct machine *machine);
};

extern const struct machine_backend machine_kvm;
extern const struct machine_backend machine_qemu;

#endif
