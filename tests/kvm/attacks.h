/* SPDX-License-Identifier: MIT */
/* What code that was injected into a launcher would try first. */
#ifndef TESTS_KVM_ATTACKS_H
#define TESTS_KVM_ATTACKS_H

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

typedef void attack_fn(void);

static void attack_open(void)
{
    (void)!open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static void attack_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/dbus/system_bus_socket"};

    /* The descriptor is one that the launcher has anyway: making one is refused before. */
    (void)connect(0, (struct sockaddr *)&address, sizeof(address));
}

static void attack_socket(void)
{
    (void)socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void attack_execve(void)
{
    char *argv[] = {(char *)"/bin/true", NULL};

    (void)execve(argv[0], argv, NULL);
}

static void attack_ptrace(void)
{
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void attack_fork(void)
{
    if (fork() == 0)
        _exit(0);
}

static void attack_mmap(void)
{
    (void)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void attack_mprotect(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static void attack_kill(void)
{
    (void)kill(1, 0);
}

static void attack_handler(void)
{
    /* To survive the next one. */
    (void)signal(SIGSYS, SIG_IGN);
}

static void attack_memory(void)
{
    char byte = 0;
    struct iovec here = {.iov_base = &byte, .iov_len = 1};

    (void)process_vm_readv(1, &here, 1, &here, 1, 0);
}

/* The calls are what x86-64 and libc make of them. */
static const struct attack {
    const char *name;
    const char *call;
    attack_fn *fn;
} attacks[] = {
    {"open", "openat", attack_open},
    {"connect", "connect", attack_connect},
    {"socket", "socket", attack_socket},
    {"execve", "execve", attack_execve},
    {"ptrace", "ptrace", attack_ptrace},
    {"fork", "clone", attack_fork},
    {"map code", "mmap", attack_mmap},
    {"make code", "mprotect", attack_mprotect},
    {"kill", "kill", attack_kill},
    {"ignore SIGSYS", "rt_sigaction", attack_handler},
    {"read another's memory", "process_vm_readv", attack_memory},
};
#define ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

#endif
