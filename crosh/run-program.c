/* SPDX-License-Identifier: MIT */
/* Spawns programs and waits for them, passing on what the shell is told. */
#include "crosh/run-program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crosh/shell.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/command/text.h"

/* What programs get between SIGHUP or SIGTERM and SIGKILL. */
#define ENDING_MS 2000
/* How often a wait looks for a signal that came after the interrupt descriptor was readable. */
#define LOOK_MS 100

extern char **environ;

static size_t name_length(const char *assignment)
{
    return strcspn(assignment, "=");
}

static bool is_overridden(const char *variable, char *const *assignments)
{
    size_t length = name_length(variable);

    for (; *assignments != NULL; assignments++) {
        if (name_length(*assignments) == length && strncmp(*assignments, variable, length) == 0)
            return true;
    }
    return false;
}

/* The environment with the assignments in it; an array that borrows its strings. */
static char **make_environment(char *const *assignments)
{
    size_t count = 0, used = 0;
    char **env;

    while (environ[count] != NULL)
        count++;
    for (size_t i = 0; assignments[i] != NULL; i++)
        count++;
    env = calloc(count + 1, sizeof(*env));
    if (env == NULL)
        return NULL;
    for (size_t i = 0; environ[i] != NULL; i++) {
        if (!is_overridden(environ[i], assignments))
            env[used++] = environ[i];
    }
    for (; *assignments != NULL; assignments++) {
        /* The last of one name counts. */
        if (!is_overridden(*assignments, assignments + 1))
            env[used++] = *assignments;
    }
    return env;
}

static int spawn(struct program *program, char *const *argv, char *const *env, const int fds[3])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int r;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    r = -signals_set_spawn_defaults(&attr);
    for (int fd = 0; r == 0 && fd < 3; fd++) {
        if (fds[fd] >= 0)
            r = posix_spawn_file_actions_adddup2(&actions, fds[fd], fd);
    }
    if (r == 0)
        r = posix_spawnp(&program->pid, argv[0], &actions, &attr, argv, env);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* Copies of descriptors (one that is closed stays so), so that none is overwritten before it is
 * copied to its place. */
static int lift(const int fds[3], int lifted[3])
{
    for (int i = 0; i < 3; i++) {
        lifted[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (lifted[i] < 0 && errno != EBADF)
            return -errno;
    }
    return 0;
}

int program_start(struct program *program, char *const *argv, char *const *assignments,
                  const int fds[3], struct crosh_error *err)
{
    cleanup_free char **env = make_environment(assignments);
    int lifted[3] = {-1, -1, -1};
    char quoted[128];
    int r;

    if (env == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = -lift(fds, lifted);
    if (r == 0)
        r = spawn(program, argv, env, lifted);
    for (int i = 0; i < 3; i++) {
        if (lifted[i] >= 0)
            (void)close(lifted[i]);
    }
    if (r == 0) {
        program->pidfd = (int)syscall(SYS_pidfd_open, program->pid, 0);
        return 0;
    }
    program->pid = 0;
    (void)crosh_priv_text_quote(argv[0], quoted, sizeof(quoted));
    if (r == ENOENT)
        return crosh_error_set(err, SHELL_ENOCOMMAND, "program %s not found", quoted);
    errno = r;
    return crosh_error_errno(err, "cannot run program %s", quoted);
}

int program_status(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* What has been passed on to the programs so far. */
struct passed {
    bool interrupt;
    int termination;
    int64_t deadline; /* of a termination */
};

static void signal_all(const struct program *programs, size_t count, int signal)
{
    for (size_t i = 0; i < count; i++) {
        if (programs[i].pid > 0)
            (void)kill(programs[i].pid, signal);
    }
}

static void pass_on(const struct program *programs, size_t count, struct passed *passed)
{
    if (signals_termination() != 0 && passed->termination == 0) {
        passed->termination = signals_termination();
        passed->deadline = deadline_now() + ENDING_MS;
        signal_all(programs, count, passed->termination);
    } else if (passed->termination != 0 && deadline_now() > passed->deadline) {
        signal_all(programs, count, SIGKILL);
    } else if (passed->termination == 0 && signals_is_interrupted() && !passed->interrupt) {
        /* A termination has made the descriptor readable too: that is no Ctrl-C. */
        passed->interrupt = true;
        if (signals_is_sent())
            signal_all(programs, count, SIGINT);
    }
}

void programs_wait(struct program *programs, size_t count)
{
    struct passed passed = {0};

    for (size_t i = 0; i < count; i++) {
        struct program *program = &programs[i];
        int status = 0;

        while (program->pid > 0) {
            bool has_passed = passed.interrupt || passed.termination != 0;
            struct pollfd p[2] = {
                {.fd = program->pidfd, .events = POLLIN},
                {.fd = has_passed ? -1 : signals_interrupt_fd(), .events = POLLIN}};
            pid_t r = waitpid(program->pid, &status, WNOHANG);

            if (r == 0) {
                (void)poll(p, 2, has_passed || program->pidfd < 0 ? LOOK_MS : -1);
                pass_on(programs, count, &passed);
            } else if (r > 0 || errno != EINTR) {
                program->status = r > 0 ? program_status(status) : CROSH_EXIT_FAILURE;
                program->pid = 0;
            }
        }
        if (program->pidfd >= 0)
            (void)close(program->pidfd);
        program->pidfd = -1;
    }
}
