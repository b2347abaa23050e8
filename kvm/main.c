/* SPDX-License-Identifier: MIT */
/* crosh-vm: reads the command line and runs one VM. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm/launcher.h"
#include "kvm/options.h"
#include "kvm/snapshot/snapshot.h"
#include "kvm/supervisor.h"
#include "kvm/vm-lock.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/descriptors.h"

/* Each of the guest's streams may cost a descriptor, and the control socket must not run short
   of them. */
#define DESCRIPTORS 4096

/* A standard descriptor that is closed would be taken by the first file that is opened. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Whatever whoever started us had open is not ours, but for what it named. */
static void close_others(struct launcher_config *config)
{
    unsigned int next = STDERR_FILENO + 1;

    qsort(config->fd, config->fd_count, sizeof(config->fd[0]), compare);
    for (unsigned int i = 0; i < config->fd_count; i++) {
        const unsigned int fd = (unsigned int)config->fd[i];

        if (fd > next)
            (void)syscall(SYS_close_range, next, fd - 1, 0);
        if (fd >= next)
            next = fd + 1;
    }
    (void)syscall(SYS_close_range, next, ~0U, 0);
}

static int print_error(const struct crosh_error *err)
{
    fprintf(stderr, "crosh-vm: %s\n", err->message);
    return crosh_error_exit_status(err->code);
}

/* Holds the VM's locks, is confined (launcher_run() sees to the most of it), and runs the VM. */
static int run(struct launcher_config *config, uint64_t start_us)
{
    struct vm_lock lock = VM_LOCK_NONE;
    struct crosh_error err = {0};
    int status;

    if (vm_lock_take(&lock, config, &err) < 0) {
        vm_lock_release(&lock);
        return print_error(&err);
    }
    config->pid = getpid();
    config->machine.lock_fd = lock.data_fd >= 0 ? lock.data_fd : lock.runtime_fd;
    if (config->no_sandbox || supervise(config, &status) == SUPERVISOR_LAUNCHER)
        status = launcher_run(config, start_us);
    vm_lock_release(&lock);
    return status;
}

int main(int argc, char **argv)
{
    cleanup_free char *runtime_dir = NULL;
    struct launcher_config config;
    struct crosh_error err = {0};
    int64_t start_us = clock_us(CLOCK_MONOTONIC);
    int ret;

    (void)signal(SIGPIPE, SIG_IGN);
    fill_standard_descriptors();
    (void)descriptors_allow(DESCRIPTORS);
    ret = options_parse(argc, argv, &config, &err);
    if (ret < 0)
        return print_error(&err);
    if (ret == OPTIONS_DONE)
        return 0;
    close_others(&config);
    if (config.verify_dir != NULL)
        return snapshot_verify(config.verify_dir, &err) < 0 ? print_error(&err) : 0;
    /* It is to be found also from another working directory. */
    runtime_dir = realpath(config.runtime_dir, NULL);
    if (runtime_dir == NULL) {
        crosh_error_errno(&err, "%s", config.runtime_dir);
        return print_error(&err);
    }
    if (config.runtime_dir[0] != '/')
        config.runtime_dir = runtime_dir;
    return run(&config, (uint64_t)start_us);
}
