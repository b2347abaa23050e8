/* SPDX-License-Identifier: MIT */
/* The KVM backend: builds a machine, starts it, notes its end, takes it apart. */

/*
 * Threads: all but the vcpu threads' part (kvm-vcpu.c) and the disks' workers
 * (virtio/blk-worker.c) runs on the event loop's thread. From a vcpu thread three ways lead
 * there: output bytes (kvm-output.c), a virtio device's start and stop, which are
 * waited for (loop-call.c), and the machine's end (end_fd). Each of them lets go
 * when the machine is stopped, so that the vcpu threads can always be joined.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/virtio/console.h"
#include "lib/base/cleanup.h"

void kvm_machine_end(struct machine *machine, enum machine_end end, const char *fmt, ...)
{
    va_list ap;

    pthread_mutex_lock(&machine->end_lock);
    if (!machine->has_ended) {
        machine->has_ended = true;
        machine->end = end;
        va_start(ap, fmt);
        (void)vsnprintf(machine->end_detail, sizeof(machine->end_detail), fmt, ap);
        va_end(ap);
        (void)eventfd_write(machine->end_fd, 1);
    }
    pthread_mutex_unlock(&machine->end_lock);
    atomic_store(&machine->stopping, true);
}

/* Ends the vcpu threads, wherever they are. */
static void stop_vcpus(struct machine *machine)
{
    if (machine->stopped)
        return;
    machine->stopped = true;
    atomic_store(&machine->stopping, true);
    loop_call_close(&machine->calls);
    kvm_output_close(machine);
    kvm_pause_close(machine);
    for (unsigned int i = 0; i < machine->vcpu_count; i++)
        kvm_vcpu_join(&machine->vcpu[i]);
}

static void on_end(void *opaque, uint32_t events)
{
    struct machine *machine = opaque;
    eventfd_t count;

    (void)events;
    (void)eventfd_read(machine->end_fd, &count);
    stop_vcpus(machine);
    kvm_output_flush(machine);
    machine->host.ended(machine->host.opaque, machine->end, machine->end_detail);
}

static int create_vm(struct machine *machine, struct crosh_error *err)
{
    int run_size;

    machine->kvm_fd = kvm_open(err);
    if (machine->kvm_fd < 0)
        return machine->kvm_fd;
    do
        machine->vm_fd = ioctl(machine->kvm_fd, KVM_CREATE_VM, 0);
    while (machine->vm_fd < 0 && errno == EINTR);
    if (machine->vm_fd < 0)
        return crosh_error_errno(err, "KVM_CREATE_VM");
    machine->counters_fd = kvm_counters_open(machine->vm_fd);
    run_size = ioctl(machine->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_size < (int)sizeof(struct kvm_run))
        return crosh_error_errno(err, "KVM_GET_VCPU_MMAP_SIZE");
    machine->run_size = (size_t)run_size;
    return arch_vm_init(machine, err);
}

static int create_vcpus(struct machine *machine, struct crosh_error *err)
{
    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        int code = kvm_vcpu_init(machine, i, err);

        if (code < 0)
            return code;
    }
    return arch_vcpus_init(machine, err);
}

static int load(struct machine *machine, const struct machine_config *config,
                struct crosh_error *err)
{
    cleanup_free char *cmdline = NULL;
    const char *more = config->cmdline != NULL ? config->cmdline : "";

    if (asprintf(&cmdline, "%s%s%s", arch_cmdline, *more != '\0' ? " " : "", more) < 0) {
        cmdline = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    return arch_load(machine, config, cmdline, err);
}

static int restore(struct machine *machine, const struct snapshot *snapshot,
                   struct crosh_error *err)
{
    int code = kvm_restore(machine, snapshot->state, err);

    return code < 0 ? crosh_error_wrap(err, "snapshot %s", snapshot->path) : 0;
}

static int build(struct machine *machine, const struct machine_config *config,
                 struct crosh_error *err)
{
    int code;

    if (config->vcpus < 1 || config->vcpus > MACHINE_MAX_VCPUS)
        return crosh_error_set(err, -EINVAL, "a VM has 1 to %d vcpus", MACHINE_MAX_VCPUS);
    machine->vcpu_count = config->vcpus;
    machine->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (machine->end_fd < 0)
        return crosh_error_errno(err, "eventfd");
    machine->end_source = event_add(machine->host.loop, machine->end_fd, EPOLLIN, on_end, machine);
    if (machine->end_source == NULL)
        return crosh_error_errno(err, "event loop");
    code = loop_call_init(&machine->calls, machine->host.loop, err);
    if (code == 0)
        code = kvm_output_init(machine, err);
    if (code == 0)
        code = kvm_pause_init(machine, err);
    if (code == 0)
        code = create_vm(machine, err);
    if (code == 0)
        code = kvm_memory_init(machine, config, err);
    if (code == 0)
        code = create_vcpus(machine, err);
    if (code == 0)
        code = arch_irqchip_init(machine, err);
    if (code == 0)
        code = kvm_irq_init(machine, err);
    if (code == 0)
        code = arch_board_init(machine, err);
    if (code == 0)
        code = kvm_devices_init(machine, config, err);
    if (code == 0)
        code = config->restore != NULL ? restore(machine, config->restore, err)
                                       : load(machine, config, err);
    return code;
}

static void kvm_destroy(struct machine *machine)
{
    stop_vcpus(machine);
    kvm_devices_fini(machine);
    for (unsigned int i = 0; i < machine->vcpu_count; i++)
        kvm_vcpu_fini(&machine->vcpu[i]);
    event_remove(machine->end_source);
    kvm_output_fini(machine);
    kvm_pause_fini(machine);
    serial_fini(&machine->serial);
    arch_board_fini(machine);
    loop_call_fini(&machine->calls);
    if (machine->counters_fd >= 0)
        (void)close(machine->counters_fd);
    if (machine->vm_fd >= 0)
        (void)close(machine->vm_fd);
    kvm_memory_fini(machine);
    if (machine->kvm_fd >= 0)
        (void)close(machine->kvm_fd);
    if (machine->serial_irq_fd >= 0)
        (void)close(machine->serial_irq_fd);
    if (machine->end_fd >= 0)
        (void)close(machine->end_fd);
    pthread_mutex_destroy(&machine->irq_lock);
    pthread_mutex_destroy(&machine->end_lock);
    free(machine);
}

static struct machine *kvm_create(const struct machine_config *config,
                                  const struct machine_host *host, struct crosh_error *err)
{
    struct machine *machine = calloc(1, sizeof(*machine));

    if (machine == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    machine->host = *host;
    machine->kvm_fd = machine->vm_fd = machine->end_fd = machine->counters_fd = -1;
    machine->serial_irq_fd = -1;
    machine->board = (struct arch_board)ARCH_BOARD_INIT;
    machine->output.fd = machine->calls.fd = machine->pause.fd = -1;
    for (unsigned int i = 0; i < MACHINE_MAX_VCPUS; i++)
        machine->vcpu[i].fd = machine->vcpu[i].counters_fd = -1;
    /* Here, not where each part is built: the machine is taken apart as a whole. */
    machine->irq_lock = machine->end_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    machine->calls.lock = machine->output.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    machine->pause.lock = machine->hotplug.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    machine->hotplug.fd = -1;
    machine->pause.go = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    machine->output.room = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    serial_init(&machine->serial, -1, kvm_output_byte, machine);
    if (build(machine, config, err) < 0) {
        kvm_destroy(machine);
        return NULL;
    }
    return machine;
}

static int kvm_start(struct machine *machine, struct crosh_error *err)
{
    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        int code = kvm_vcpu_start(&machine->vcpu[i], err);

        if (code < 0)
            return code;
    }
    return 0;
}

static void kvm_power_button(struct machine *machine)
{
    arch_press_power_button(machine);
}

static void kvm_console_input(struct machine *machine, const void *data, size_t size)
{
    if (machine->is_console_in_use)
        (void)virtio_console_input(machine->console, data, size);
    else
        (void)serial_input(&machine->serial, data, size);
}

const struct machine_backend machine_kvm = {
    .name = "kvm",
    .probe = kvm_probe,
    .create = kvm_create,
    .start = kvm_start,
    .pause = kvm_pause,
    .resume = kvm_resume,
    .save = kvm_save,
    .memory = kvm_memory,
    .set_balloon = kvm_set_balloon,
    .refresh = kvm_refresh,
    .balloon = kvm_balloon,
    .stats = kvm_stats,
    .report = kvm_report,
    .disk_change = kvm_disk_change,
    .disk_info = kvm_disk_info,
    .disk_retry = kvm_disk_retry,
    .share_attach = kvm_share_attach,
    .share_detach = kvm_share_detach,
    .share_is_detachable = kvm_share_is_detachable,
    .port_connect = kvm_port_connect,
    .power_button = kvm_power_button,
    .console_input = kvm_console_input,
    .destroy = kvm_destroy,
};
