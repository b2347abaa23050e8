/* SPDX-License-Identifier: MIT */
/* crosh-vm: reads the command line and runs one VM. */
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "kvm/launcher.h"
#include "kvm/options.h"

int main(int argc, char **argv)
{
    struct launcher_config config;
    struct crosh_error err = {0};
    struct timespec now;
    int ret;

    clock_gettime(CLOCK_MONOTONIC, &now);
    (void)signal(SIGPIPE, SIG_IGN);
    ret = options_parse(argc, argv, &config, &err);
    if (ret < 0) {
        fprintf(stderr, "crosh-vm: %s\n", err.message);
        return crosh_error_exit_status(ret);
    }
    if (ret == OPTIONS_DONE)
        return 0;
    return launcher_run(&config, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}
