/* SPDX-License-Identifier: MIT */
/* Spawns programs by a double fork: they belong to nobody, and no shell has to wait for them. */
#include "modules/vmc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/close_range.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"

void argv_fini(struct argv *argv)
{
    crosh_strv_free(argv->words);
}

void argv_add(struct argv *argv, const char *fmt, ...)
{
    char **grown = reallocarray(argv->words, argv->count + 2, sizeof(*grown));
    va_list ap;

    if (grown == NULL) {
        argv->failed = true;
        return;
    }
    argv->words = grown;
    grown[argv->count + 1] = NULL;
    va_start(ap, fmt);
    if (vasprintf(&grown[argv->count], fmt, ap) < 0) {
        grown[argv->count] = NULL;
        argv->failed = true;
    } else {
        argv->count++;
    }
    va_end(ap);
}

/* The program must not inherit what the shell ignores or blocks. */
static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    int signal_number;

    for (signal_number = 1; signal_number < NSIG; signal_number++)
        (void)sigaction(signal_number, &action, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What the processes on the way to the program tell the shell. */
struct report {
    enum {
        REPORT_PID,     /* the program's id */
        REPORT_FAILURE, /* errno: it does not run */
    } kind;
    int value;
};

static void send_report(int fd, int kind, int value)
{
    struct report report = {.kind = kind, .value = value};

    /* Fits into a pipe at once, or nobody reads it. */
    (void)!write(fd, &report, sizeof(report));
}

struct spawn_fds {
    const int *fd; /* for the program, with the log behind them */
    size_t count;
    int log;
    int report; /* to the shell */
    int go;     /* from the shell: end of file once it knows the program */
};

/*
 * Becomes the program. Between fork() and execve() of what may be a process with threads: system
 * calls only.
 */
static _Noreturn void become_program(char *const *argv, const struct spawn_fds *fds)
{
    const int end = SPAWN_FIRST_FD + (int)fds->count;
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Out of the way of those that it is to have first: any of ours may be one of these. */
    int log = fcntl(fds->log, F_DUPFD_CLOEXEC, end);
    int report = fcntl(fds->report, F_DUPFD_CLOEXEC, end);
    int fd[SPAWN_MAX_FDS];
    bool is_well = null_fd >= 0 && log >= 0;

    for (size_t i = 0; i < fds->count; i++) {
        fd[i] = fcntl(fds->fd[i], F_DUPFD_CLOEXEC, end);
        is_well = is_well && fd[i] >= 0;
    }
    reset_signals();
    (void)umask(077);
    is_well = is_well && chdir("/") == 0 && dup2(null_fd, 0) >= 0 && dup2(log, 1) >= 0 &&
              dup2(log, 2) >= 0;
    for (size_t i = 0; i < fds->count && is_well; i++)
        is_well = dup2(fd[i], SPAWN_FIRST_FD + (int)i) >= 0;
    if (is_well) {
        /* Ours all close on exec; this is for those of other modules that forgot to. */
        (void)syscall(SYS_close_range, end, ~0U, CLOSE_RANGE_CLOEXEC);
        (void)execv(argv[0], argv);
    }
    send_report(report, REPORT_FAILURE, errno);
    _exit(127);
}

/*
 * The process between: makes the session and the program, which becomes an
 * orphan. It stays until the shell has a descriptor of the program: up to then
 * its id, were it to end at once, is not anybody else's.
 */
static _Noreturn void become_parent(char *const *argv, const struct spawn_fds *fds)
{
    pid_t pid;
    char byte;

    (void)setsid();
    pid = fork();
    if (pid == 0)
        become_program(argv, fds);
    send_report(fds->report, pid < 0 ? REPORT_FAILURE : REPORT_PID, pid < 0 ? errno : pid);
    (void)!read(fds->go, &byte, 1);
    _exit(0);
}

/* Hears the reports to their end. 0 with *pidfd, or a negative errno. */
static int hear_reports(int report_fd, int *go_fd, int *pidfd)
{
    struct report report;
    int failure = 0;

    for (;;) {
        ssize_t n = read(report_fd, &report, sizeof(report));

        if (n < 0 && errno == EINTR)
            continue;
        if (n != (ssize_t)sizeof(report))
            break;
        if (report.kind == REPORT_PID) {
            *pidfd = (int)syscall(SYS_pidfd_open, report.value, 0);
            if (*pidfd < 0)
                failure = errno;
        } else {
            failure = report.value;
        }
        /* Both know all now; the program's end of the pipe closes when it has begun. */
        if (*go_fd >= 0)
            (void)close(*go_fd);
        *go_fd = -1;
    }
    return failure != 0 ? -failure : *pidfd >= 0 ? 0 : -ECHILD;
}

int spawn_orphan(char *const *argv, const int *fd, size_t count, int log_fd, int *pidfd,
                 struct crosh_error *err)
{
    cleanup_close int report_read = -1;
    cleanup_close int report_write = -1;
    cleanup_close int go_read = -1;
    cleanup_close int go_write = -1;
    int fds[2];
    pid_t between;
    int rc;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "pipe");
    report_read = fds[0];
    report_write = fds[1];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "pipe");
    go_read = fds[0];
    go_write = fds[1];
    between = fork();
    if (between < 0)
        return crosh_error_errno(err, "cannot fork");
    if (between == 0) {
        const struct spawn_fds inherited = {
            .fd = fd, .count = count, .log = log_fd, .report = report_write, .go = go_read};

        (void)close(go_write);
        become_parent(argv, &inherited);
    }
    (void)close(move_fd(report_write));
    *pidfd = -1;
    rc = hear_reports(report_read, &go_write, pidfd);
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
        ;
    if (rc < 0)
        crosh_error_set(err, -EIO, "cannot run %s: %s", argv[0], strerror(-rc));
    return rc < 0 ? crosh_error_hint(err, "install crosh again") : 0;
}
