/* SPDX-License-Identifier: MIT */
/* A machine on KVM: what the backend's files share. */
#ifndef KVM_BACKEND_KVM_MACHINE_H
#define KVM_BACKEND_KVM_MACHINE_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "kvm/backend/arch.h"
#include "kvm/guest-memory.h"
#include "kvm/hw/bus.h"
#include "kvm/hw/pci-hotplug.h"
#include "kvm/hw/pci.h"
#include "kvm/hw/serial.h"
#include "kvm/hw/vm-ops.h"
#include "kvm/loop-call.h"
#include "kvm/machine.h"
#include "kvm/virtio/balloon.h"
#include "kvm/virtio/mmio.h"
#include "kvm/virtio/pci.h"

/* vsock, console, rng, balloon and button beside disks, network cards and shared directories */
#define KVM_MAX_DEVICES (MACHINE_MAX_DISKS + MACHINE_MAX_NICS + MACHINE_MAX_SHARES + 5)
/* MSI lines follow the interrupt controller's pins. */
#define KVM_MAX_LINES (LAYOUT_PINS + KVM_MAX_DEVICES * (VIRTIO_DEVICE_MAX_QUEUES + 1))

/* Why a vcpu left the guest for its thread; KVM itself serves most exits. */
enum kvm_exit { KVM_EXIT_KIND_PORT, KVM_EXIT_KIND_MMIO, KVM_EXIT_KIND_KICK, KVM_EXIT_KIND_OTHER };
enum { KVM_EXIT_KINDS = KVM_EXIT_KIND_OTHER + 1 };

/* Written by the vcpu's thread only. */
struct kvm_vcpu_figures {
    uint64_t exits[KVM_EXIT_KINDS];
    uint64_t user_us, system_us; /* of the thread, when it left the guest for a kick last */
};

struct kvm_vcpu {
    struct machine *machine;
    unsigned int index;
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    bool has_thread;
    struct kvm_vcpu_figures figures;
    int counters_fd; /* KVM's own, to be read with kvm_counters_add(); -1: it has none */
};

/* A device that came while the guest ran; transport NULL: it did not. */
struct kvm_hot {
    struct virtio_device *dev;
    struct virtio_pci *transport;
    unsigned int slot;
    /* The guest gave it back, and it has no transport any more; on the loop's thread. */
    void (*gone)(struct kvm_hot *hot);
    struct kvm_hot *next;
    machine_done_fn *done; /* it is asked back, and who is to be told */
    void *done_opaque;
};

/* A disk; dev NULL: this one is free. */
struct kvm_disk {
    struct kvm_hot hot; /* first */
    struct machine *machine;
    char name[MACHINE_DISK_NAME];
    struct virtio_device *dev;
};

/* The same of a shared directory. */
struct kvm_share {
    struct kvm_hot hot; /* first */
    struct machine *machine;
    char tag[FS_TAG_MAX + 1];
    struct virtio_device *dev;
};

struct kvm_hotplug {
    struct pci_hotplug registers;
    struct kvm_hot *devices; /* on the bus, or not freed yet */
    pthread_mutex_t lock;
    unsigned int ejected_count; /* taken off the bus by a vcpu, not freed yet */
    struct pci_device *ejected[KVM_MAX_DEVICES];
    int fd; /* something was ejected */
    struct event_source *source, *timer;
};

/* Bytes on their way from vcpu threads to the loop's. */
struct kvm_output {
    pthread_mutex_t lock;
    pthread_cond_t room;
    uint8_t byte[16384];
    size_t count;
    bool announced; /* fd was written and its reader has not come yet */
    bool closed;    /* nobody reads any more: what does not fit is dropped */
    int fd;
    struct event_source *source, *timer;
};

/* How the machine is made to stand still (kvm-pause.c). */
struct kvm_pause {
    unsigned int reasons; /* enum machine_pause; the loop's thread's, as is_held */
    bool is_held;         /* the devices are */
    pthread_mutex_t lock;
    pthread_cond_t go;
    bool is_wanted;
    unsigned int parked; /* vcpus that wait for go */
    int fd;
    struct event_source *source;
};

struct machine {
    struct machine_host host;
    struct guest_memory memory;
    int kvm_fd, vm_fd;
    size_t run_size;
    int counters_fd; /* as a vcpu's */
    struct bus mmio;
    struct loop_call calls;
    struct kvm_pause pause;
    atomic_bool stopping; /* vcpu threads leave at their next exit */
    bool stopped;         /* they are gone */

    unsigned int vcpu_count;
    struct kvm_vcpu vcpu[MACHINE_MAX_VCPUS];

    struct kvm_output output;
    struct serial serial;
    int serial_irq_fd;
    struct arch_board board; /* what only this architecture has */

    /* The devices are all on the one or all on the other. */
    enum machine_transport transport;
    struct pci_bus pci;
    unsigned int pci_count, mmio_count;
    struct virtio_pci *pci_transport[KVM_MAX_DEVICES];
    struct virtio_mmio *mmio_transport[KVM_MAX_DEVICES];
    unsigned int device_count;
    struct virtio_device *device[KVM_MAX_DEVICES]; /* all that are plugged in, in slot order */
    struct kvm_disk disk[MACHINE_MAX_DISKS];
    struct kvm_hotplug hotplug;
    struct virtio_device *nic[MACHINE_MAX_NICS];
    struct port_socket *port[VIRTIO_CONSOLE_MAX_PORTS];
    struct kvm_share share[MACHINE_MAX_SHARES];
    struct virtio_device *console, *rng, *balloon;
    struct virtio_device *button; /* where the board has none of its own */
    bool is_console_in_use;       /* it spoke last, not the serial port: typing goes there */

    /* Interrupt routing: the interrupt controller's pins, then one entry per MSI line. */
    pthread_mutex_t irq_lock;
    int line_count;
    bool is_line_taken[KVM_MAX_LINES];
    struct kvm_irq_routing_entry route[KVM_MAX_LINES];

    /* How it ended; the first to say so wins. */
    pthread_mutex_t end_lock;
    bool has_ended;
    enum machine_end end;
    char end_detail[768];
    int end_fd;
    struct event_source *end_source;
};

/* kvm.c: notes the machine's end, from any thread. */
void kvm_machine_end(struct machine *machine, enum machine_end end, const char *fmt, ...)
    CROSH_PRINTF(3, 4);

/* kvm-memory.c */
int kvm_memory_init(struct machine *machine, const struct machine_config *config,
                    struct crosh_error *err);
void kvm_memory_fini(struct machine *machine);

/* kvm-irq.c */
int kvm_irq_init(struct machine *machine, struct crosh_error *err);
/* An eventfd that raises a pin of the interrupt controller, edge-triggered. Negative with err
 * filled. */
int kvm_irq_pin(struct machine *machine, unsigned int pin, struct crosh_error *err);
extern const struct vm_ops kvm_vm_ops; /* vm: struct machine */

/* kvm-output.c: the way of the guest's console output to the loop's thread. */
int kvm_output_init(struct machine *machine, struct crosh_error *err);
void kvm_output_fini(struct machine *machine);
/* Adds a byte; waits for room. From vcpu threads. opaque: struct machine. */
void kvm_output_byte(void *opaque, uint8_t byte);
/* Hands over what is there, on the loop's thread. */
void kvm_output_flush(struct machine *machine);
/* Lets waiting vcpu threads go. */
void kvm_output_close(struct machine *machine);

/* kvm-vcpu.c */
int kvm_vcpu_init(struct machine *machine, unsigned int index, struct crosh_error *err);
void kvm_vcpu_fini(struct kvm_vcpu *vcpu);
int kvm_vcpu_start(struct kvm_vcpu *vcpu, struct crosh_error *err);
/* Has the vcpu leave the guest, or not enter it, until kvm_pause_point() lets it. */
void kvm_vcpu_kick(struct kvm_vcpu *vcpu);
/* Ends the thread if there is one, wherever it is; machine->stopping is set. */
void kvm_vcpu_join(struct kvm_vcpu *vcpu);
/* Ends the machine as crashed, with the vcpu's registers; on the vcpu's thread. */
void kvm_vcpu_crash(struct kvm_vcpu *vcpu, const char *what);

/* kvm-pause.c */
int kvm_pause_init(struct machine *machine, struct crosh_error *err);
void kvm_pause_fini(struct machine *machine);
/* machine_backend's pause and resume. */
void kvm_pause(struct machine *machine, enum machine_pause reason);
void kvm_resume(struct machine *machine, enum machine_pause reason);
/* On the vcpu's thread, when KVM_RUN was interrupted: waits here while the machine is paused. */
void kvm_pause_point(struct kvm_vcpu *vcpu);
/* Lets waiting vcpu threads go; machine->stopping is set. */
void kvm_pause_close(struct machine *machine);

/* kvm-snapshot.c: machine_backend's save and memory, and what create does with a snapshot. */
int kvm_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err);
const struct guest_memory *kvm_memory(const struct machine *machine);
int kvm_restore(struct machine *machine, const Snapshot__Machine *state, struct crosh_error *err);
/* Before that: what was attached to the saved machine, in the order of its devices. */
int kvm_restore_attached(struct machine *machine, const struct machine_config *config,
                         struct crosh_error *err);

/* kvm-stats.c: machine_backend's functions of these names, and what the balloon calls. */
extern const struct virtio_balloon_ops kvm_balloon_ops; /* opaque: struct machine */
void kvm_set_balloon(struct machine *machine, uint64_t bytes);
bool kvm_refresh(struct machine *machine);
int kvm_balloon(struct machine *machine, Control__Balloon *balloon);
int kvm_stats(struct machine *machine, Control__StatsReply *stats);

/* kvm-counters.c: the counters that KVM keeps of a VM or a vcpu (KVM_GET_STATS_FD). */
/* Those of the VM's or vcpu's descriptor; -1 where KVM is too old. */
int kvm_counters_open(int fd);
/* Appends them all; 0, or -ENOMEM. What cannot be read is left out. */
int kvm_counters_add(int counters_fd, Control__Counter ***list, size_t *count);

/* kvm-devices.c: the PCI bus and the virtio devices on it. */
int kvm_devices_init(struct machine *machine, const struct machine_config *config,
                     struct crosh_error *err);
void kvm_devices_fini(struct machine *machine);

/* machine_backend's port_connect. */
int kvm_port_connect(struct machine *machine, const char *name, int fd, struct crosh_error *err);
/* Gives a device that comes while the guest runs a transport in a slot for that; slot: as
   pci_bus_plug()'s. NULL with err filled. */
struct virtio_pci *kvm_plug_hot(struct machine *machine, struct virtio_device *dev,
                                unsigned int slot, struct crosh_error *err);
/* Forgets and frees a transport that the guest gave back; its device stays. */
void kvm_unplug_hot(struct machine *machine, struct virtio_pci *transport,
                    struct virtio_device *dev);

/* kvm-hotplug.c: devices that come and go while the guest runs. */
int kvm_hotplug_init(struct machine *machine, struct crosh_error *err);
void kvm_hotplug_fini(struct machine *machine);
/* Frees what the guest gave back; no vcpu runs. */
void kvm_hotplug_settle(struct machine *machine);
/* The slot of one that the machine was not made with; 0: it was. */
unsigned int kvm_hot_slot(const struct machine *machine, const struct virtio_device *dev);
/* Puts hot->dev, with hot->gone set, where the guest finds it, and tells the guest. */
int kvm_hot_add(struct machine *machine, struct kvm_hot *hot, struct crosh_error *err);
/* The same in the slot where the guest, which begins from a snapshot, found it before. */
int kvm_hot_restore(struct machine *machine, struct kvm_hot *hot, unsigned int slot,
                    struct crosh_error *err);
/* Asks the guest for it; done is called when it has given it back. what: "disk NAME". */
int kvm_hot_ask_back(struct machine *machine, struct kvm_hot *hot, const char *what,
                     machine_done_fn *done, void *opaque, struct crosh_error *err);

/* kvm-disks.c: makes a disk, freed with the machine, and what machine_backend asks for. */
struct virtio_device *kvm_disk_new(struct machine *machine, const struct machine_disk *config,
                                   struct crosh_error *err);
void kvm_disks_fini(struct machine *machine);
/* Notes the slots of attached disks in the state's configuration, which has the disks by name. */
int kvm_disks_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err);
/* Attaches one that was attached when the state was saved, in the same slot. */
int kvm_disk_restore(struct machine *machine, const struct machine_disk *config, unsigned int slot,
                     struct crosh_error *err);
void kvm_disk_change(struct machine *machine, const struct machine_disk_change *change,
                     machine_done_fn *done, void *opaque);
bool kvm_disk_info(struct machine *machine, const char *name, struct machine_disk_info *info);
void kvm_disk_retry(struct machine *machine);

/* kvm-shares.c: the same of shared directories. */
struct virtio_device *kvm_share_new(struct machine *machine, const struct fs_share *config,
                                    struct crosh_error *err);
void kvm_shares_fini(struct machine *machine);
int kvm_shares_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err);
int kvm_share_restore(struct machine *machine, const struct fs_share *config, unsigned int slot,
                      struct crosh_error *err);
void kvm_share_attach(struct machine *machine, const struct fs_share *config, machine_done_fn *done,
                      void *opaque);
void kvm_share_detach(struct machine *machine, const char *tag, machine_done_fn *done,
                      void *opaque);
bool kvm_share_is_detachable(struct machine *machine, const char *tag);

/* kvm-report.c: machine_backend's. */
json_t *kvm_report(struct machine *machine);

/* kvm-probe.c: opens /dev/kvm and checks what it can do. The descriptor, or negative. */
int kvm_open(struct crosh_error *err);
int kvm_probe(struct crosh_error *err);

#endif
