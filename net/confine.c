/* SPDX-License-Identifier: MIT */
/* Implements the keeper's confinement: capabilities(7), seccomp(2) compiled by libseccomp. */
#include "net/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* libseccomp passes over those that a processor has not, whose numbers are negative. */
static const int front_calls[] = {
    /* descriptors that it has, or that come to it */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(accept4),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(close),
    SCMP_SYS(fcntl),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat), /* fstat() of newer libraries */
    /* waiting */
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(restart_syscall),
    /* memory, time, chance, the end */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* To a VM's agent, by the socket of its launcher: what a child does that asks for a container. Its
   files are found, locked and looked at as every command does. */
static const int lookup_calls[] = {
    SCMP_SYS(openat),      SCMP_SYS(open),       SCMP_SYS(access),
    SCMP_SYS(faccessat),   SCMP_SYS(stat),       SCMP_SYS(lstat),
    SCMP_SYS(readlink),    SCMP_SYS(readlinkat), SCMP_SYS(flock),
    SCMP_SYS(lseek),       SCMP_SYS(pread64),    SCMP_SYS(getdents64),
    SCMP_SYS(connect),     SCMP_SYS(bind),       SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname), SCMP_SYS(getuid),     SCMP_SYS(geteuid),
    SCMP_SYS(getgid),      SCMP_SYS(getegid),    SCMP_SYS(getppid),
    SCMP_SYS(alarm),       SCMP_SYS(setitimer),  SCMP_SYS(rt_sigaction),
    SCMP_SYS(mkdir),       SCMP_SYS(mkdirat),    SCMP_SYS(fchmod),
    SCMP_SYS(unlink),      SCMP_SYS(unlinkat),   SCMP_SYS(clock_nanosleep),
};

/* The sockets that are asked for, and the end of the program that it started for the way out. */
static const int helper_calls[] = {
    SCMP_SYS(socket), SCMP_SYS(bind),       SCMP_SYS(connect),
    SCMP_SYS(listen), SCMP_SYS(setsockopt), SCMP_SYS(wait4),
};

/* Beside those: the network's, by netlink and by files below /proc/sys; its socket and its file of
   VMs; children. No programs, and nothing of mounts, namespaces, tracing or modules. */
static const int keeper_calls[] = {
    /* files */
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(ftruncate),
    SCMP_SYS(getcwd),
    SCMP_SYS(ioctl), /* TUNSETIFF; stdio asks whether it writes to a terminal */
    /* sockets, and descriptors to wait by */
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(listen),
    SCMP_SYS(getpeername),
    SCMP_SYS(pipe2),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(close_range),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(eventfd2),
    SCMP_SYS(select), /* libnl and libnftables wait so */
    SCMP_SYS(pselect6),
    /* children, which confine themselves further */
    SCMP_SYS(clone),
    SCMP_SYS(fork),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(wait4),
    SCMP_SYS(kill),
    SCMP_SYS(prctl),
    SCMP_SYS(seccomp),
    SCMP_SYS(capget),
    SCMP_SYS(capset),
    SCMP_SYS(landlock_create_ruleset),
    SCMP_SYS(landlock_add_rule),
    SCMP_SYS(landlock_restrict_self),
    /* the rest */
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(prlimit64),
    SCMP_SYS(umask),
};

int confine_drop_capabilities(uint32_t kept, struct crosh_error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        return crosh_error_errno(err, "capget");
    data[0].effective &= kept;
    data[0].permitted &= kept;
    data[0].inheritable = 0;
    data[1] = (struct __user_cap_data_struct){0};
    return syscall(SYS_capset, &header, data) < 0 ? crosh_error_errno(err, "capset") : 0;
}

static int add_calls(scmp_filter_ctx ctx, const int *calls, size_t count)
{
    int code = 0;

    for (size_t i = 0; i < count && code == 0; i++)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    return code;
}

/* Memory that is code is made by the dynamic linker alone, which is done. */
static int add_mappings(scmp_filter_ctx ctx)
{
    const struct scmp_arg_cmp no_code = {
        .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0};
    int code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_code);

    return code == 0 ? seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code) : code;
}

/* Says which call it was, and is the end: async-signal-safe. */
static void on_forbidden(int number, siginfo_t *info, void *context)
{
    static const char text[] = "crosh-net: ended by a forbidden system call, number ";
    char digits[12];
    size_t at = sizeof(digits);
    unsigned int call = (unsigned int)info->si_syscall;

    (void)context;
    digits[--at] = '\n';
    do
        digits[--at] = (char)('0' + call % 10);
    while ((call /= 10) > 0);
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)!write(STDERR_FILENO, digits + at, sizeof(digits) - at);
    _exit(128 + number);
}

int confine_enter(enum confine_kind kind, struct crosh_error *err)
{
    const struct sigaction action = {.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO};
    const struct scmp_arg_cmp is_unix = {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_UNIX};
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
    int code = ctx == NULL ? -ENOMEM : add_mappings(ctx);

    (void)sigaction(SIGSYS, &action, NULL);
    if (code == 0)
        code = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (code == 0)
        code = add_calls(ctx, front_calls, COUNT(front_calls));
    if (code == 0 && kind == CONFINE_HELPER)
        code = add_calls(ctx, helper_calls, COUNT(helper_calls));
    if (code == 0 && (kind == CONFINE_LOOKUP || kind == CONFINE_KEEPER))
        code = add_calls(ctx, lookup_calls, COUNT(lookup_calls));
    if (code == 0 && kind == CONFINE_LOOKUP)
        code = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, is_unix);
    if (code == 0 && kind == CONFINE_KEEPER)
        code = add_calls(ctx, keeper_calls, COUNT(keeper_calls));
    /* What it is asked to make is behind a pointer: libc falls back to clone(). */
    if (code == 0 && kind == CONFINE_KEEPER)
        code = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (code == 0)
        code = seccomp_load(ctx);
    if (ctx != NULL)
        seccomp_release(ctx);
    if (code < 0)
        return crosh_error_set(err, code, "seccomp: %s", strerror(-code));
    return 0;
}
