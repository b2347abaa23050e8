/* SPDX-License-Identifier: MIT */
/* Implements programs on their own by a process in between, whose child they are until it ends. */
#include "lib/base/detached.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

pid_t detached_child(const char *const *args, int out)
{
    const char *argv[DETACHED_ARGS_MAX + 2] = {program_invocation_short_name};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    size_t count = 0;
    pid_t pid;
    int r;

    for (; args[count] != NULL; count++) {
        if (count == DETACHED_ARGS_MAX)
            return -E2BIG;
        argv[count + 1] = args[count];
    }
    (void)sigemptyset(&none);
    (void)sigfillset(&defaults);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    if (out >= 0)
        (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    if (out < 0)
        (void)posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO);
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
    r = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return r == 0 ? pid : -r;
}

/* 0, or an error number, which an exit status has room for. */
static int start_by_another(const char *const *args)
{
    int status;
    pid_t pid = fork();

    if (pid < 0)
        return errno;
    if (pid == 0) {
        pid = detached_child(args, -1);
        _exit(pid < 0 ? -pid : 0);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

int detached_start(const char *const *args, struct crosh_error *err)
{
    int r = start_by_another(args);

    return r == 0 ? 0
                  : crosh_error_set(err, -r, "cannot run %s: %s", program_invocation_short_name,
                                    strerror(r));
}
