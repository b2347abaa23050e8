/* SPDX-License-Identifier: MIT */
/* Starts the launcher's threads beside the event loop's. */
#ifndef KVM_THREAD_H
#define KVM_THREAD_H

#include <pthread.h>

/*
 * Starts a thread with a small stack (256 KiB: no large arrays on it) that every signal
 * spares: they are the main thread's. 0, or a negative errno.
 */
int thread_start(pthread_t *thread, void *(*function)(void *opaque), void *opaque);

#endif
