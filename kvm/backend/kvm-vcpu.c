/* SPDX-License-Identifier: MIT */
/* One virtual CPU: its thread, its exits, and how it is stopped. */

/*
 * A vcpu thread does nothing but KVM_RUN and the device accesses that leave it. To stop one, its
 * kvm_run's immediate_exit is set and a signal sent: the signal leaves KVM_RUN (or the handler runs
 * and the next KVM_RUN returns at once), so there is no moment at which the request is lost.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/sandbox/sandbox.h"
#include "kvm/thread.h"

#define KICK_SIGNAL SIGRTMIN

static void on_kick(int signal)
{
    (void)signal; /* its arrival is all that is wanted */
}

int kvm_vcpu_init(struct machine *machine, unsigned int index, struct crosh_error *err)
{
    struct kvm_vcpu *vcpu = &machine->vcpu[index];
    void *run;

    vcpu->machine = machine;
    vcpu->index = index;
    vcpu->fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, index);
    if (vcpu->fd < 0)
        return crosh_error_errno(err, "vcpu %u: KVM_CREATE_VCPU", index);
    run = mmap(NULL, machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED)
        return crosh_error_errno(err, "vcpu %u: mmap", index);
    vcpu->run = run;
    vcpu->counters_fd = kvm_counters_open(vcpu->fd);
    return 0;
}

void kvm_vcpu_fini(struct kvm_vcpu *vcpu)
{
    if (vcpu->run != NULL)
        (void)munmap(vcpu->run, vcpu->machine->run_size);
    if (vcpu->counters_fd >= 0)
        (void)close(vcpu->counters_fd);
    if (vcpu->fd >= 0)
        (void)close(vcpu->fd);
    vcpu->run = NULL;
    vcpu->fd = vcpu->counters_fd = -1;
}

void kvm_vcpu_crash(struct kvm_vcpu *vcpu, const char *what)
{
    char registers[512];

    arch_describe_registers(vcpu, registers, sizeof(registers));
    kvm_machine_end(vcpu->machine, MACHINE_END_CRASH, "%s on vcpu %u (%s)", what, vcpu->index,
                    registers);
}

static void handle_mmio(struct kvm_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    const struct bus *mmio = &vcpu->machine->mmio;
    uint64_t value = 0;

    if (run->mmio.is_write) {
        memcpy(&value, run->mmio.data, sizeof(value));
        bus_write(mmio, run->mmio.phys_addr, value, run->mmio.len);
    } else {
        value = bus_read(mmio, run->mmio.phys_addr, run->mmio.len);
        memcpy(run->mmio.data, &value, sizeof(value));
    }
}

static void handle_exit(struct kvm_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    char what[96];

    switch (run->exit_reason) {
    case KVM_EXIT_MMIO:
        handle_mmio(vcpu);
        return;
    case KVM_EXIT_INTR:
        return;
    case KVM_EXIT_INTERNAL_ERROR:
        (void)snprintf(what, sizeof(what), "KVM cannot go on (internal error %u)",
                       run->internal.suberror);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        (void)snprintf(what, sizeof(what), "KVM cannot enter the guest (reason %#llx)",
                       (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    default:
        if (arch_handle_exit(vcpu))
            return;
        (void)snprintf(what, sizeof(what), "unexpected exit %u from KVM", run->exit_reason);
        break;
    }
    kvm_vcpu_crash(vcpu, what);
}

static void count_exit(struct kvm_vcpu *vcpu, enum kvm_exit kind)
{
    uint64_t *figure = &vcpu->figures.exits[kind];

    __atomic_store_n(figure, *figure + 1, __ATOMIC_RELAXED);
}

static enum kvm_exit kind_of(const struct kvm_run *run)
{
    return run->exit_reason == KVM_EXIT_IO     ? KVM_EXIT_KIND_PORT
           : run->exit_reason == KVM_EXIT_MMIO ? KVM_EXIT_KIND_MMIO
                                               : KVM_EXIT_KIND_OTHER;
}

static uint64_t microseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

/* Only the thread itself can tell its times apart. */
static void note_times(struct kvm_vcpu *vcpu)
{
    struct rusage usage;

    if (getrusage(RUSAGE_THREAD, &usage) < 0)
        return;
    __atomic_store_n(&vcpu->figures.user_us, microseconds(&usage.ru_utime), __ATOMIC_RELAXED);
    __atomic_store_n(&vcpu->figures.system_us, microseconds(&usage.ru_stime), __ATOMIC_RELAXED);
}

static void *vcpu_thread(void *opaque)
{
    struct kvm_vcpu *vcpu = opaque;
    struct machine *machine = vcpu->machine;
    char name[16];
    sigset_t kick;

    (void)snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
    (void)pthread_setname_np(pthread_self(), name);
    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    (void)pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    if (sandbox_enter_thread(SANDBOX_THREAD_VCPU) < 0)
        kvm_machine_end(machine, MACHINE_END_CRASH, "vcpu %u cannot be confined", vcpu->index);

    while (!atomic_load(&machine->stopping)) {
        if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
            count_exit(vcpu, kind_of(vcpu->run));
            handle_exit(vcpu);
        } else if (errno == EINTR || errno == EAGAIN) {
            count_exit(vcpu, KVM_EXIT_KIND_KICK);
            note_times(vcpu);
            kvm_pause_point(vcpu);
        } else {
            char what[96];

            (void)snprintf(what, sizeof(what), "KVM_RUN failed: %s", strerror(errno));
            kvm_vcpu_crash(vcpu, what);
        }
    }
    return NULL;
}

int kvm_vcpu_start(struct kvm_vcpu *vcpu, struct crosh_error *err)
{
    struct sigaction action = {.sa_handler = on_kick};
    int code;

    /* Without SA_RESTART: KVM_RUN shall return. */
    sigemptyset(&action.sa_mask);
    if (sigaction(KICK_SIGNAL, &action, NULL) < 0)
        return crosh_error_errno(err, "sigaction");
    code = thread_start(&vcpu->thread, vcpu_thread, vcpu);
    if (code < 0)
        return crosh_error_set(err, code, "vcpu %u: thread: %s", vcpu->index, strerror(-code));
    vcpu->has_thread = true;
    return 0;
}

void kvm_vcpu_kick(struct kvm_vcpu *vcpu)
{
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (vcpu->has_thread)
        (void)pthread_kill(vcpu->thread, KICK_SIGNAL);
}

void kvm_vcpu_join(struct kvm_vcpu *vcpu)
{
    enum { PATIENCE_NS = 50000000 };

    if (!vcpu->has_thread)
        return;
    for (;;) {
        struct timespec until;

        kvm_vcpu_kick(vcpu);
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PATIENCE_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        /* Once is enough, unless a device kept the thread in a system call of its own. */
        if (pthread_timedjoin_np(vcpu->thread, NULL, &until) != ETIMEDOUT)
            break;
    }
    vcpu->has_thread = false;
}
