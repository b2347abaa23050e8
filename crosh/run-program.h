/* SPDX-License-Identifier: MIT */
/* Programs of the host behind a "|": starting them and waiting for their end. */
#ifndef CROSH_RUN_PROGRAM_H
#define CROSH_RUN_PROGRAM_H

#include <stddef.h>
#include <sys/types.h>

#include <crosh/error.h>

struct program {
    pid_t pid; /* 0: not started */
    int pidfd; /* -1: none */
    int status;
};

/*
 * Starts argv, found in PATH, with fds as its first three descriptors and
 * assignments ("NAME=value", NULL-terminated) added to its environment.
 * SHELL_ENOCOMMAND when there is no such program.
 */
int program_start(struct program *program, char *const *argv, char *const *assignments,
                  const int fds[3], struct crosh_error *err);

/*
 * Waits for all programs that were started, and sets their statuses. Ctrl-C on
 * a terminal has reached them by itself; signals that a process sent to the
 * shell are passed on. When the shell has been told to end, they get two
 * seconds to do so.
 */
void programs_wait(struct program *programs, size_t count);

/* As the result of a wait: the exit status, 128+N for signal N. */
int program_status(int wait_status);

#endif
