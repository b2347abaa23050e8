/* SPDX-License-Identifier: MIT */
/* Implements the start of threads. */
#include "kvm/thread.h"

#include <signal.h>

/*
 * The usual 8 MiB would cost nothing but addresses, were it not for hosts that give
 * large mappings huge pages: there the first word on such a stack takes 2 MiB.
 */
#define STACK_SIZE (256 << 10)

int thread_start(pthread_t *thread, void *(*function)(void *opaque), void *opaque)
{
    pthread_attr_t attributes;
    sigset_t all, saved;
    int code = pthread_attr_init(&attributes);

    if (code != 0)
        return -code;
    code = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (code == 0) {
        sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &saved);
        code = pthread_create(thread, &attributes, function, opaque);
        (void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    return -code;
}
