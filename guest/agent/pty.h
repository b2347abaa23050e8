/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals: opening, size, and becoming a session's controlling terminal. */
#ifndef AGENT_PTY_H
#define AGENT_PTY_H

#include <stddef.h>
#include <sys/types.h>

#include <crosh/error.h>

struct pty {
    int master; /* non-blocking */
    int slave;
};

/* directory: a mounted devpts that the terminal shall be of, or -1: the one at /dev/pts. */
int pty_open(struct pty *pty, int directory, int rows, int cols, struct crosh_error *err);

/* Out-of-range sizes are clamped; the kernel tells the foreground group by SIGWINCH. */
void pty_resize(int master, int rows, int cols);

/* In a new process: starts a session with the terminal as its own and as fds 0, 1, 2. */
int pty_take(int slave, uid_t owner, struct crosh_error *err);

/*
 * What to type into the terminal so that its reader sees an end of file; last
 * is the byte typed before (0 for none). The count of bytes, at most 2; none
 * when the terminal is raw and knows no such character.
 */
size_t pty_end_of_file(int master, unsigned char last, unsigned char bytes[2]);

#endif
