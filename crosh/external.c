/* SPDX-License-Identifier: MIT */
/* Runs executables called crosh-NAME in the foreground, with the words as they were typed. */
#include "crosh/external.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "crosh/run-program.h"
#include "crosh/shell.h"
#include "lib/base/cleanup.h"
#include "lib/command/args.h"

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

static int run_external(struct crosh_context *ctx, const struct crosh_args *args,
                        struct crosh_error *err)
{
    static char *const no_assignments[] = {NULL};
    struct shell *shell = ctx->shell;
    const struct registry_entry *entry = registry_find(&shell->registry, args->command->entry.name);
    const char *const *words = crosh_args_all(args, "argument");
    size_t count = crosh_args_count(args, "argument");
    cleanup_free char **argv = calloc(count + 2, sizeof(*argv));
    struct program program = {.pidfd = -1};
    struct modes modes = {.fd = -1};
    int r;

    if (argv == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    argv[0] = (char *)(uintptr_t)entry->program;
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
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

struct crosh_command external_command(const char *name, const char *summary)
{
    static const struct crosh_param params[] = {
        {
            .name = "argument",
            .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED | CROSH_PARAM_VERBATIM,
            .type = CROSH_TYPE_STRING,
            .summary = "Passed on as it stands",
        },
        {0},
    };

    return (struct crosh_command){
        CROSH_COMMAND_HEADER,
        .flags = CROSH_COMMAND_ADVANCED,
        .name = name,
        .summary = summary,
        .help = "A program in a module directory. All that follows its name is its own.",
        .params = params,
        .run = run_external,
    };
}
