/* SPDX-License-Identifier: MIT */
/* crosh-vm: reads the command line and runs one VM. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "kvm/launcher.h"
#include "kvm/options.h"

#define DESCRIPTORS 4096

/* Each of the guest's streams may cost a descriptor, and the control socket must not run short
   of them. */
static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct launcher_config config;
    struct crosh_error err = {0};
    struct timespec now;
    int ret;

    clock_gettime(CLOCK_MONOTONIC, &now);
    (void)signal(SIGPIPE, SIG_IGN);
    allow_descriptors();
    ret = options_parse(argc, argv, &config, &err);
    if (ret < 0) {
        fprintf(stderr, "crosh-vm: %s\n", err.message);
        return crosh_error_exit_status(ret);
    }
    if (ret == OPTIONS_DONE)
        return 0;
    return launcher_run(&config, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}
