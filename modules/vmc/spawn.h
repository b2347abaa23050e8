/* SPDX-License-Identifier: MIT */
/* Programs that outlive the shell: their command lines, and starting them. */
#ifndef VMC_SPAWN_H
#define VMC_SPAWN_H

#include <stdbool.h>
#include <stddef.h>

#include <crosh/error.h>

/* The first of the descriptors that a program is given. */
#define SPAWN_FIRST_FD 3
#define SPAWN_MAX_FDS  8

/* A command line that grows; failed once memory lacked. */
struct argv {
    char **words;
    size_t count;
    bool failed;
};

void argv_fini(struct argv *argv);
void argv_add(struct argv *argv, const char *fmt, ...) CROSH_PRINTF(2, 3);

/*
 * Runs argv[0] in a session of its own, an orphan from its beginning, with nothing at stdin, log_fd
 * at stdout and stderr, and count (at most SPAWN_MAX_FDS) descriptors from SPAWN_FIRST_FD on.
 * 0 with *pidfd, or negative with err filled.
 */
int spawn_orphan(char *const *argv, const int *fd, size_t count, int log_fd, int *pidfd,
                 struct crosh_error *err);

#endif
