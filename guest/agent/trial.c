/* SPDX-License-Identifier: MIT */
/* Tries another agent, and becomes it. */

/*
 * A program that came whole may still not run here: it may be built for another processor,
 * or be a later one that cannot begin from what we leave. Process 1 must not find that out
 * by itself, as its end is the kernel's panic. So the program is run in a process of its own
 * first, to the point where it has read the state.
 */
#include "guest/agent/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/agent/handover.h"
#include "lib/base/cleanup.h"

extern char **environ;

/* execveat(2) of what is behind the descriptor. Returns on failure only. */
static void execute(int program, char *const *argv)
{
    (void)syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
}

pid_t trial_start(int program, const Handover__State *state, struct crosh_error *err)
{
    cleanup_close int state_fd = handover_write(state, err);
    char number[16];
    char *argv[] = {(char *)"crosh-agent", (char *)"--try-handover", number, NULL};
    sigset_t none;
    pid_t pid;

    if (state_fd < 0)
        return state_fd;
    (void)snprintf(number, sizeof(number), "%d", state_fd);
    pid = fork();
    if (pid < 0)
        return crosh_error_errno(err, "cannot try another agent");
    if (pid > 0)
        return pid;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    handover_keep_open(state, true);
    (void)fcntl(state_fd, F_SETFD, 0);
    execute(program, argv);
    _exit(126);
}

int trial_become(int program, const Handover__State *state, char *const *argv,
                 struct crosh_error *err)
{
    cleanup_close int state_fd = handover_write(state, err);
    cleanup_free char **arguments = NULL;
    char number[16];
    size_t count = 0;
    size_t used = 0;
    int error;

    if (state_fd < 0)
        return state_fd;
    while (argv[count] != NULL)
        count++;
    arguments = calloc(count + 4, sizeof(*arguments));
    if (arguments == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)snprintf(number, sizeof(number), "%d", state_fd);
    arguments[used++] = count > 0 ? argv[0] : (char *)"crosh-agent";
    arguments[used++] = (char *)"--handover";
    arguments[used++] = number;
    for (size_t i = 1; i < count; i++) {
        if (strcmp(argv[i], "--handover") == 0 && argv[i + 1] != NULL)
            i++;
        else
            arguments[used++] = argv[i];
    }
    handover_keep_open(state, true);
    (void)fcntl(state_fd, F_SETFD, 0);
    execute(program, arguments);
    error = errno;
    handover_keep_open(state, false);
    return crosh_error_set(err, -error, "cannot run another agent: %s", strerror(error));
}
