/* SPDX-License-Identifier: MIT */
/* Scoped cleanup: variables that release what they own when they go out of scope. */
#ifndef CROSH_BASE_CLEANUP_H
#define CROSH_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Calls fn(&variable) at the end of the scope. */
#define cleanup(fn) __attribute__((__cleanup__(fn)))

#define cleanup_free   cleanup(cleanup_free_fn)
#define cleanup_close  cleanup(cleanup_close_fn)
#define cleanup_fclose cleanup(cleanup_fclose_fn)

/* Gives the pointer away: yields its value and leaves NULL behind. */
#define move_ptr(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) moved_ = (p);                                                                \
        (p) = NULL;                                                                                \
        moved_;                                                                                    \
    })

/* Gives the descriptor away: yields its value and leaves -1 behind. */
#define move_fd(fd)                                                                                \
    ({                                                                                             \
        int moved_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        moved_;                                                                                    \
    })

static inline void cleanup_free_fn(void *p)
{
    free(*(void **)p);
}

/* Keeps errno, so that a failing function may return -errno after its scope ends. */
static inline void cleanup_close_fn(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        (void)close(*fd);
        errno = saved;
    }
}

static inline void cleanup_fclose_fn(FILE **f)
{
    if (*f != NULL) {
        int saved = errno;
        (void)fclose(*f);
        errno = saved;
    }
}

#endif
