/* SPDX-License-Identifier: MIT */
/* Runs one program in the foreground of the terminal. */
#include "crosh/foreground.h"

#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "crosh/run-program.h"
#include "lib/command/context.h"

/* The terminal's modes, for programs that die without restoring them. */
struct modes {
    int fd; /* -1: no terminal of ours */
    struct termios saved;
};

static void modes_save(struct modes *modes, int fd)
{
    /* In the background the terminal belongs to somebody else. */
    if (isatty(fd) && tcgetpgrp(fd) == getpgrp() && tcgetattr(fd, &modes->saved) == 0)
        modes->fd = fd;
}

static void modes_restore(const struct modes *modes)
{
    if (modes->fd >= 0)
        (void)tcsetattr(modes->fd, TCSADRAIN, &modes->saved);
}

int foreground_run(struct crosh_context *ctx, char *const *argv, struct crosh_error *err)
{
    static char *const no_assignments[] = {NULL};
    struct program program = {.pidfd = -1};
    struct modes modes = {.fd = -1};
    int r;

    (void)fflush(ctx->out);
    (void)fflush(ctx->err);
    modes_save(&modes, crosh_stdin_fd(ctx));
    r = program_start(
        &program, argv, no_assignments,
        (const int[]){crosh_stdin_fd(ctx), crosh_stdout_fd(ctx), crosh_stderr_fd(ctx)}, err);
    if (r < 0)
        return r;
    programs_wait(&program, 1);
    modes_restore(&modes);
    return program.status;
}
