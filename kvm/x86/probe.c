/* SPDX-License-Identifier: MIT */
/* Whether this host's KVM can run a stock kernel: measured. */
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

/*
 * The measured guest: a loop of two instructions in real mode. Where KVM uses the
 * processor it runs at thousands of millions of instructions a second, and still at
 * 50 or more when that processor is itself emulated; where KVM emulates each
 * instruction, at two or so. A stock kernel takes a thousand millions to boot, and
 * uses instructions that such emulators do not know. The limit lies between, and
 * what counts is the thread's own time, so that a loaded host does not look slow.
 */
enum {
    ITERATIONS = 2000000,
    INSTRUCTIONS_PER_ITERATION = 2,
    NEEDED_PER_MICROSECOND = 8,
    TIME_LIMIT_US = 200000,
    TICK_US = 10000,
    PROBE_MEMORY = 4096,
    PROBE_PORT = 0x80,

    FEATURES_ECX_VMX = 1 << 5,     /* of CPUID leaf 1 */
    AMD_FEATURES_ECX_SVM = 1 << 2, /* of leaf 0x80000001 */
};

/* clang-format off */
static const uint8_t probe_code[] = {
    0xe6, PROBE_PORT, /* out %al, $port: all that the first entry costs is behind us */
    0x66, 0xb9, ITERATIONS & 0xff, ITERATIONS >> 8 & 0xff, ITERATIONS >> 16 & 0xff,
    ITERATIONS >> 24, /* mov $ITERATIONS, %ecx */
    0x66, 0x49,       /* dec %ecx */
    0x75, 0xfc,       /* jnz to the dec */
    0xe6, PROBE_PORT, /* out %al, $port */
};
/* clang-format on */

struct probe {
    int vm_fd, vcpu_fd;
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
};

static void probe_fini(struct probe *probe)
{
    if (probe->run != NULL)
        (void)munmap(probe->run, probe->run_size);
    if (probe->vcpu_fd >= 0)
        (void)close(probe->vcpu_fd);
    if (probe->vm_fd >= 0)
        (void)close(probe->vm_fd);
    if (probe->memory != NULL)
        (void)munmap(probe->memory, PROBE_MEMORY);
}

static int probe_create(struct probe *probe, int kvm_fd, struct crosh_error *err)
{
    struct kvm_userspace_memory_region slot = {.memory_size = PROBE_MEMORY};
    uint64_t identity_map = LAYOUT_IDENTITY_MAP;
    struct kvm_regs regs = {.rflags = 2};
    struct kvm_sregs sregs;
    void *map;
    int run_size;

    map = mmap(NULL, PROBE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return crosh_error_errno(err, "memory");
    probe->memory = map;
    memcpy(probe->memory, probe_code, sizeof(probe_code));
    slot.userspace_addr = (uintptr_t)map;
    run_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    probe->vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
    if (run_size < (int)sizeof(struct kvm_run) || probe->vm_fd < 0 ||
        ioctl(probe->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS) < 0 ||
        ioctl(probe->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
        ioctl(probe->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
        return crosh_error_errno(err, "creating a VM to try KVM");
    probe->vcpu_fd = ioctl(probe->vm_fd, KVM_CREATE_VCPU, 0);
    if (probe->vcpu_fd < 0)
        return crosh_error_errno(err, "creating a vcpu to try KVM");
    probe->run_size = (size_t)run_size;
    map = mmap(NULL, probe->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, probe->vcpu_fd, 0);
    if (map == MAP_FAILED)
        return crosh_error_errno(err, "mapping a vcpu");
    probe->run = map;
    if (ioctl(probe->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
        return crosh_error_errno(err, "KVM_GET_SREGS");
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    if (ioctl(probe->vcpu_fd, KVM_SET_SREGS, &sregs) < 0 ||
        ioctl(probe->vcpu_fd, KVM_SET_REGS, &regs) < 0)
        return crosh_error_errno(err, "KVM_SET_REGS");
    return 0;
}

static void on_tick(int signal)
{
    (void)signal; /* it interrupts KVM_RUN */
}

/* Runs until the next write to the port: 1; 0 when the time limit came first. */
static int run_to_port(struct probe *probe, struct crosh_error *err)
{
    uint64_t start = clock_us(CLOCK_MONOTONIC);

    do {
        int code = ioctl(probe->vcpu_fd, KVM_RUN, 0);

        if (code == 0 && probe->run->exit_reason == KVM_EXIT_IO)
            return 1;
        if ((code == 0 && probe->run->exit_reason != KVM_EXIT_INTR) ||
            (code < 0 && errno != EINTR && errno != EAGAIN))
            return crosh_error_set(err, -EOPNOTSUPP,
                                   "this host's KVM cannot run a simple loop (exit %u)",
                                   probe->run->exit_reason);
    } while (clock_us(CLOCK_MONOTONIC) - start < TIME_LIMIT_US);
    return 0;
}

/* Runs the loop for at most the time limit: instructions per microsecond, or negative. */
static int measure(struct probe *probe, struct crosh_error *err)
{
    uint64_t iterations = ITERATIONS, start, us;
    struct kvm_regs regs;
    int code = run_to_port(probe, err);

    if (code < 0)
        return code;
    start = clock_us(CLOCK_THREAD_CPUTIME_ID);
    code = run_to_port(probe, err);
    us = clock_us(CLOCK_THREAD_CPUTIME_ID) - start;
    if (code < 0)
        return code;
    if (code == 0) {
        if (ioctl(probe->vcpu_fd, KVM_GET_REGS, &regs) < 0)
            return crosh_error_errno(err, "KVM_GET_REGS");
        iterations = ITERATIONS - (regs.rcx & 0xffffffff);
    }
    return (int)(iterations * INSTRUCTIONS_PER_ITERATION / (us > 0 ? us : 1));
}

/* A timer whose ticks interrupt this thread; a tick lost just before KVM_RUN is followed by
 * another. */
static int start_ticks(timer_t *timer, struct sigaction *saved, struct crosh_error *err)
{
    struct sigaction action = {.sa_handler = on_tick};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    struct itimerspec tick = {.it_interval.tv_nsec = TICK_US * 1000,
                              .it_value.tv_nsec = TICK_US * 1000};

    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGRTMIN, &action, saved) < 0)
        return crosh_error_errno(err, "sigaction");
    if (timer_create(CLOCK_MONOTONIC, &event, timer) < 0) {
        int code = crosh_error_errno(err, "timer");

        (void)sigaction(SIGRTMIN, saved, NULL);
        return code;
    }
    (void)timer_settime(*timer, 0, &tick, NULL);
    return 0;
}

/*
 * A processor that offers its virtualization here has a KVM that uses it. Then nothing
 * need be measured: a VM to measure costs some 30 ms, most of it spent on its end.
 */
static bool has_virtualization(void)
{
    unsigned int eax, ebx, ecx, edx;

    return (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & FEATURES_ECX_VMX) != 0) ||
           (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0 &&
            (ecx & AMD_FEATURES_ECX_SVM) != 0);
}

int arch_probe(int kvm_fd, struct crosh_error *err)
{
    cleanup(probe_fini) struct probe probe = {.vm_fd = -1, .vcpu_fd = -1};
    struct sigaction saved;
    sigset_t tick, saved_mask;
    timer_t timer;
    int code;

    if (has_virtualization())
        return 0;
    code = probe_create(&probe, kvm_fd, err);
    if (code == 0)
        code = start_ticks(&timer, &saved, err);
    if (code < 0)
        return code;
    sigemptyset(&tick);
    sigaddset(&tick, SIGRTMIN);
    (void)pthread_sigmask(SIG_UNBLOCK, &tick, &saved_mask);
    code = measure(&probe, err);
    (void)timer_delete(timer);
    (void)pthread_sigmask(SIG_SETMASK, &saved_mask, NULL);
    (void)sigaction(SIGRTMIN, &saved, NULL);
    if (code < 0)
        return code;
    if (code < NEEDED_PER_MICROSECOND) {
        crosh_error_set(err, -EOPNOTSUPP,
                        "KVM here runs guests by emulation (%d million instructions a second)",
                        code);
        crosh_error_hint(err, "a stock kernel needs a KVM that uses the processor's own "
                              "virtualization; software emulation works instead");
        return -EOPNOTSUPP;
    }
    return 0;
}
