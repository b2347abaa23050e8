/* SPDX-License-Identifier: MIT */
/* Implements the lists of system calls (seccomp(2)), compiled by libseccomp. */
#include "kvm/sandbox/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/vhost.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm/sandbox/seccomp-internal.h"
#include "lib/base/cleanup.h"

#if defined(__x86_64__)
#define SECCOMP_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SECCOMP_ARCH AUDIT_ARCH_AARCH64
#else
#error "which architecture?"
#endif

#define VCPU_CALLS_MAX 40

/*
 * arm64 never had the older of two system calls that do the same (poll beside ppoll): where
 * the C library uses the newer there, both are listed. libseccomp passes over those that a
 * processor has not, whose numbers are negative.
 */

/* What the C library needs in any thread: memory, locks, signals, clocks, its end. */
static const int common_calls[] = {
    SCMP_SYS(futex),         SCMP_SYS(read),           SCMP_SYS(write),
    SCMP_SYS(munmap),        SCMP_SYS(mremap),         SCMP_SYS(brk),
    SCMP_SYS(madvise),       SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),   SCMP_SYS(sched_yield),    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime), SCMP_SYS(gettid),         SCMP_SYS(getpid),
    SCMP_SYS(exit),          SCMP_SYS(exit_group),
};

/* Beside KVM_RUN and what device registers do to the machine (see vcpu_ioctls): the pending bits
   of MSI-X are read by poll(2), and only a thread itself can tell its times apart. */
static const int vcpu_calls[] = {SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(getrusage)};

/* Those with rules of their own (add_bounded) and ioctl: mmap, mprotect, tgkill, ioctl. */
enum { BOUNDED_CALLS = 4 };
_Static_assert(COUNT(common_calls) + COUNT(vcpu_calls) + BOUNDED_CALLS <= VCPU_CALLS_MAX,
               "a vcpu thread has few system calls");

static const unsigned long vcpu_ioctls[] = {
    KVM_RUN,
    KVM_IRQFD,           /* MSI-X vectors masked and unmasked */
    KVM_SET_GSI_ROUTING, /* and given other messages */
    KVM_IOEVENTFD,       /* doorbells that move with their BAR */
#ifdef __aarch64__
    KVM_GET_ONE_REG, /* the report of a crash */
#else
    KVM_GET_IRQCHIP, /* whether a reset was an orderly one */
    KVM_GET_REGS,    /* the report of a crash */
    KVM_GET_SREGS,
#endif
};

/* Beside transfers: epoll brings the kicks. */
static const int disk_calls[] = {
    SCMP_SYS(preadv),    SCMP_SYS(preadv2),    SCMP_SYS(pwritev),
    SCMP_SYS(pread64),   SCMP_SYS(pwrite64),   SCMP_SYS(fdatasync),
    SCMP_SYS(fallocate), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
};

/* Frames, to and from a tap interface or a stream; the timer is for interrupts put off, the short
   sleep for frames to gather. */
static const int net_calls[] = {
    SCMP_SYS(readv),           SCMP_SYS(writev),      SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),         SCMP_SYS(recvfrom),    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),      SCMP_SYS(epoll_pwait), SCMP_SYS(timerfd_settime),
    SCMP_SYS(clock_nanosleep),
};

/* Streams, the console's log, the machine made anew, threads made and joined. Those of the other
   threads are among them, as a thread keeps the list of the one that made it. */
static const int loop_calls[] = {
    /* descriptors */
    SCMP_SYS(close),
    SCMP_SYS(fcntl),
    SCMP_SYS(lseek),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(eventfd2),
    SCMP_SYS(epoll_create1), /* for the threads of disks and network cards */
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    /* files, those that Landlock leaves */
    SCMP_SYS(openat),
    SCMP_SYS(open),
    SCMP_SYS(fstat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fchmod),
    SCMP_SYS(fstatfs),
    SCMP_SYS(ftruncate),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(memfd_create), /* guest memory that is shared, made anew at a reboot */
    SCMP_SYS(ftruncate),
    /* sockets, of the unix family */
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept4),
    SCMP_SYS(connect),
    SCMP_SYS(shutdown),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(getsockopt),
    /* threads */
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(seccomp),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getrusage),
    /* the rest */
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(sysinfo),
};

static const unsigned long loop_ioctls[] = {
    BLKGETSIZE64, TUNSETOFFLOAD, TUNSETQUEUE,
    0x5401, /* TCGETS: stdio asks whether stderr is a terminal */
};

/* Whether the bits of an argument that are in mask are those of value. */
static struct scmp_arg_cmp bits(unsigned int arg, uint64_t mask, uint64_t value)
{
    return (struct scmp_arg_cmp){
        .arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

/* Whether an int argument has a value; the kernel does not look at its upper half. */
struct scmp_arg_cmp seccomp_equals(unsigned int arg, uint32_t value)
{
    return bits(arg, UINT32_MAX, value);
}

int seccomp_add_calls(scmp_filter_ctx ctx, const int *calls, size_t count)
{
    int code = 0;

    for (size_t i = 0; i < count && code == 0; i++)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    return code;
}

static int add_ioctls(scmp_filter_ctx ctx, const unsigned long *requests, size_t count)
{
    int code = seccomp_syscall_priority(ctx, SCMP_SYS(ioctl), 255);

    for (size_t i = 0; i < count && code == 0; i++)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                seccomp_equals(1, (uint32_t)requests[i]));
    return code;
}

/* Calls whose arguments matter, for every thread: no code is made, nobody else is signalled. */
static int add_bounded(scmp_filter_ctx ctx)
{
    int code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, bits(2, PROT_EXEC, 0));

    if (code == 0)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, bits(2, PROT_EXEC, 0));
    if (code == 0)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                seccomp_equals(0, (uint32_t)getpid()));
    return code;
}

static int add_loop(scmp_filter_ctx ctx)
{
    int code = seccomp_add_calls(ctx, loop_calls, COUNT(loop_calls));

    if (code == 0)
        code = seccomp_add_calls(ctx, disk_calls, COUNT(disk_calls));
    if (code == 0)
        code = add_ioctls(ctx, loop_ioctls, COUNT(loop_ioctls));
    /* All of KVM's: their type is 0xae. */
    if (code == 0)
        code =
            seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, bits(1, 0xff00, KVMIO << 8));
    if (code == 0)
        code =
            seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, seccomp_equals(0, AF_UNIX));
    if (code == 0)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                                seccomp_equals(0, AF_UNIX));
    if (code == 0)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                seccomp_equals(0, PR_SET_NAME));
    /* A stream's socket holds what its guest may send at once. */
    if (code == 0)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
                                seccomp_equals(1, SOL_SOCKET), seccomp_equals(2, SO_SNDBUF));
    /* The handlers of deadly signals, SIGSYS among them, stay as they are: only that which kicks
       vcpus, and the two below it, which are libc's own. */
    if (code == 0)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigaction), 1,
                                seccomp_equals(0, (uint32_t)SIGRTMIN));
    if (code == 0)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigaction), 1,
                                bits(0, UINT32_MAX - 1, 32));
    /* Threads, no processes. The flags of clone3() are behind a pointer: libc falls back. */
    if (code == 0)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                bits(0, CLONE_THREAD, CLONE_THREAD));
    if (code == 0)
        code = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return code;
}

/* The kernel's device is set up anew at each boot, and its streams are sockets. Their family is one
   for the whole host: see SECURITY.md for what that lets them reach. */
static int add_kernel_vsock(scmp_filter_ctx ctx)
{
    static const unsigned long requests[] = {
        VHOST_GET_FEATURES,   VHOST_SET_FEATURES,      VHOST_SET_MEM_TABLE,  VHOST_SET_VRING_NUM,
        VHOST_SET_VRING_ADDR, VHOST_SET_VRING_BASE,    VHOST_GET_VRING_BASE, VHOST_SET_VRING_KICK,
        VHOST_SET_VRING_CALL, VHOST_VSOCK_SET_RUNNING,
    };
    int code = add_ioctls(ctx, requests, COUNT(requests));

    if (code == 0)
        code =
            seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, seccomp_equals(0, AF_VSOCK));
    if (code == 0) /* how long a guest may take to answer */
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 1,
                                seccomp_equals(1, AF_VSOCK));
    if (code == 0) /* a stream's port on the host, which its client is told */
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(getsockname), 0);
    return code;
}

/* The compiled filter, out of the file that libseccomp writes it to. */
int seccomp_export(scmp_filter_ctx ctx, struct seccomp_filter *filter)
{
    cleanup_close int fd = memfd_create("filter", MFD_CLOEXEC);
    cleanup_free struct sock_filter *code = NULL;
    struct stat st;
    int ret;

    if (fd < 0)
        return -errno;
    ret = seccomp_export_bpf(ctx, fd);
    if (ret < 0)
        return ret;
    if (fstat(fd, &st) < 0)
        return -errno;
    code = malloc((size_t)st.st_size);
    if (code == NULL || pread(fd, code, (size_t)st.st_size, 0) != st.st_size)
        return -EIO;
    filter->program.len = (unsigned short)((size_t)st.st_size / sizeof(*code));
    filter->program.filter = move_ptr(code);
    return 0;
}

int seccomp_filter_init(struct seccomp_filter *filter, enum sandbox_thread thread,
                        unsigned int extras)
{
    /* A trap that no thread can get round: its handler says which call it was, and is the end. */
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
    int code;

    if (ctx == NULL)
        return -ENOMEM;
    code = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (code == 0)
        code = seccomp_add_calls(ctx, common_calls, COUNT(common_calls));
    if (code == 0)
        code = add_bounded(ctx);
    if (code == 0 && thread == SANDBOX_THREAD_LOOP)
        code = add_loop(ctx);
    if (code == 0 && thread == SANDBOX_THREAD_LOOP && (extras & SANDBOX_KERNEL_VSOCK) != 0)
        code = add_kernel_vsock(ctx);
    if (code == 0 && thread == SANDBOX_THREAD_DISK)
        code = seccomp_add_calls(ctx, disk_calls, COUNT(disk_calls));
    if (code == 0 && thread == SANDBOX_THREAD_NET)
        code = seccomp_add_calls(ctx, net_calls, COUNT(net_calls));
    if (code == 0 && thread == SANDBOX_THREAD_VCPU) {
        code = seccomp_add_calls(ctx, vcpu_calls, COUNT(vcpu_calls));
        if (code == 0)
            code = add_ioctls(ctx, vcpu_ioctls, COUNT(vcpu_ioctls));
    }
    if (code == 0)
        code = seccomp_export(ctx, filter);
    seccomp_release(ctx);
    return code;
}

/* The system's own numbers, in the order in which the filter looks for them. */
static const unsigned int supervisor_calls[] = {
    SYS_rt_sigtimedwait, SYS_waitid,       SYS_read,          SYS_openat, SYS_write,
    SYS_close,           SYS_unlinkat,     SYS_exit_group,    SYS_brk,    SYS_munmap,
    SYS_rt_sigprocmask,  SYS_rt_sigreturn, SYS_clock_gettime,
};

#define LOAD(field)                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))

/*
 * By hand, as it is short, and as libseccomp would leave more memory behind in the supervisor
 * than all the rest of it. The low half of an argument comes first on both architectures.
 */
int seccomp_enter_supervisor(pid_t child)
{
    enum { COUNT_MAX = 2 * COUNT(supervisor_calls) + 16 };
    struct sock_filter code[COUNT_MAX];
    unsigned short size = 0;
    struct sock_fprog program = {.filter = code};

    code[size++] = (struct sock_filter)LOAD(arch);
    code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SECCOMP_ARCH, 1, 0);
    code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[size++] = (struct sock_filter)LOAD(nr);
    for (size_t i = 0; i < COUNT(supervisor_calls); i++) {
        code[size++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, supervisor_calls[i], 0, 1);
        code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    /* Signals for its child alone. */
    code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 0, 3);
    code[size++] = (struct sock_filter)LOAD(args[0]);
    code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)child, 0, 1);
    code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program.len = size;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

int seccomp_filter_apply(const struct seccomp_filter *filter)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter->program) < 0 ? -errno : 0;
}
