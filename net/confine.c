/* SPDX-License-Identifier: MIT */
/* Implements the keeper's confinement: capabilities(7), seccomp(2) compiled by libseccomp. */
#include "net/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
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

int confine_enter(enum confine_kind kind, struct crosh_error *err)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int code = ctx == NULL ? -ENOMEM : add_mappings(ctx);

    if (code == 0 && kind == CONFINE_FRONT)
        code = add_calls(ctx, front_calls, COUNT(front_calls));
    if (code == 0)
        code = seccomp_load(ctx);
    if (ctx != NULL)
        seccomp_release(ctx);
    if (code < 0)
        return crosh_error_set(err, code, "seccomp: %s", strerror(-code));
    return 0;
}
