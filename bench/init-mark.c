/* SPDX-License-Identifier: MIT */
/*
 * init-mark: the first program of a measured guest. Says "/init runs" on the console
 * and becomes the agent. Without a C library, so that it costs next to nothing.
 */
#if !defined(__x86_64__)
#error "the boot benchmark measures x86-64 guests"
#endif
#include <sys/syscall.h>

#define AGENT "/sbin/crosh-agent"

static const char mark[] = "/init runs\n";

static long call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

void _start(void);

void _start(void)
{
    static const char *const argv[] = {AGENT, 0}, *const envp[] = {"PATH=/usr/bin:/bin", 0};

    (void)call(SYS_write, 1, (long)mark, sizeof(mark) - 1);
    (void)call(SYS_execve, (long)AGENT, (long)argv, (long)envp);
    (void)call(SYS_exit, 1, 0, 0);
    __builtin_trap();
}
