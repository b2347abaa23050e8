/* SPDX-License-Identifier: MIT */
/* Starting the command of a session. */
#include "guest/agent/command.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent/pty.h"
#include "guest/agent/target.h"
#include "guest/agent/users.h"
#include "lib/base/cleanup.h"
#include "lib/wire/frame.h"

#define PATH_OF_ROOT  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PATH_OF_USERS "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"

/* Shells' exit statuses for what could not be executed (POSIX, Shell Command Language, 2.8.2). */
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND      127

static int set_environment(const Vsh__SetupConnectionRequest *request, const struct user *user,
                           bool has_terminal, struct crosh_error *err)
{
    const struct {
        const char *name;
        const char *value;
    } defaults[] = {
        {"PATH", user->uid == 0 ? PATH_OF_ROOT : PATH_OF_USERS},
        {"HOME", user->home},
        {"SHELL", user->shell},
        {"USER", user->name},
        {"LOGNAME", user->name},
        {has_terminal ? "TERM" : NULL, "linux"},
    };

    if (clearenv() != 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++) {
        if (defaults[i].name != NULL && setenv(defaults[i].name, defaults[i].value, 1) < 0)
            return crosh_error_errno(err, "cannot set the environment");
    }
    for (size_t i = 0; i < request->n_env; i++) {
        const char *name = request->env[i]->key;

        if (*name == '\0' || strchr(name, '=') != NULL)
            return crosh_error_set(err, -EINVAL, "'%s' cannot name an environment variable", name);
        if (setenv(name, request->env[i]->value, 1) < 0)
            return crosh_error_errno(err, "cannot set %s in the environment", name);
    }
    return 0;
}

static int change_directory(const Vsh__SetupConnectionRequest *request, const struct user *user,
                            struct crosh_error *err)
{
    if (request->cwd_pid > 0) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/cwd", request->cwd_pid);
        if (chdir(path) < 0)
            return crosh_error_errno(err, "cannot enter the directory of process %d",
                                     request->cwd_pid);
        return 0;
    }
    if (*request->cwd != '\0') {
        /* Relative to the home directory, as after a login. */
        if (*request->cwd != '/' && chdir(user->home) < 0)
            return crosh_error_errno(err, "cannot enter '%s'", user->home);
        if (chdir(request->cwd) < 0)
            return crosh_error_errno(err, "cannot enter '%s'", request->cwd);
        return 0;
    }
    /* A missing home directory keeps nobody from logging in. */
    if (chdir(user->home) < 0 && chdir("/") < 0)
        return crosh_error_errno(err, "cannot enter /");
    return 0;
}

/* Signals as a program may expect them at its start. */
static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, &action, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int exec_login_shell(const struct user *user, struct crosh_error *err)
{
    const char *base = strrchr(user->shell, '/') + 1;
    cleanup_free char *argv0 = NULL;

    if (asprintf(&argv0, "-%s", base) < 0) {
        argv0 = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    (void)execv(user->shell, (char *[]){argv0, NULL});
    return crosh_error_errno(err, "cannot run the login shell %s", user->shell);
}

static int exec_words(const Vsh__SetupConnectionRequest *request, struct crosh_error *err)
{
    cleanup_free char **argv = calloc(request->n_argv + 1, sizeof(*argv));

    if (argv == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    memcpy(argv, request->argv, request->n_argv * sizeof(*argv));
    (void)execvp(argv[0], argv);
    return crosh_error_errno(err, "cannot run '%s'", argv[0]);
}

/*
 * The server that the target has is taken care of by its distribution; without one, this program
 * is it: self, which is nowhere among the target's files.
 */
static int exec_sftp_server(int self, struct crosh_error *err)
{
    static const char *const servers[] = {
        "/usr/lib/openssh/sftp-server",
        "/usr/lib/ssh/sftp-server",
        "/usr/libexec/openssh/sftp-server",
        "/usr/libexec/sftp-server",
    };

    for (size_t i = 0; i < sizeof(servers) / sizeof(*servers); i++)
        (void)execl(servers[i], servers[i], (char *)NULL);
    (void)execveat(self, "", (char *[]){(char *)"crosh-agent", (char *)"--sftp-server", NULL},
                   environ, AT_EMPTY_PATH);
    return crosh_error_errno(err, "cannot run an SFTP server");
}

/* A plain command's stream is its own from now on. */
static int say_ready(struct crosh_error *err)
{
    Vsh__SetupConnectionResponse response = VSH__SETUP_CONNECTION_RESPONSE__INIT;
    int r;

    response.status = VSH__CONNECTION_STATUS__READY;
    response.pid = getpid();
    response.is_plain = 1;
    r = frame_send(STDOUT_FILENO, &response.base);
    return r < 0 ? crosh_error_set(err, r, "the client is gone") : 0;
}

int command_exec(const Vsh__SetupConnectionRequest *request, const struct target *target,
                 int terminal, int *failure_status, struct crosh_error *err)
{
    cleanup_close int self =
        request->sftp_server ? open("/proc/self/exe", O_RDONLY | O_CLOEXEC) : -1;
    struct user user;
    int r = target != NULL ? target_enter(target, err) : 0;

    if (r < 0)
        return r;
    r = user_lookup(&user, request->user, USERS_PASSWD_FILE, USERS_GROUP_FILE, err);
    if (r < 0)
        return r;
    if (terminal >= 0)
        r = pty_take(terminal, user.uid, err);
    if (r == 0)
        r = user_become(&user, err);
    if (r == 0)
        r = set_environment(request, &user, terminal >= 0, err);
    if (r == 0)
        r = change_directory(request, &user, err);
    if (r == 0) {
        (void)umask(022);
        reset_signals();
        (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        if (request->plain)
            r = say_ready(err);
        if (r < 0)
            ;
        else if (request->plain && request->sftp_server)
            r = exec_sftp_server(self, err);
        else if (request->n_argv > 0)
            r = exec_words(request, err);
        else if (*request->command != '\0') {
            (void)execl(user.shell, user.shell, "-c", request->command, (char *)NULL);
            r = crosh_error_errno(err, "cannot run %s", user.shell);
        } else
            r = exec_login_shell(&user, err);
        if (failure_status != NULL)
            *failure_status = r == -ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
    }
    user_fini(&user);
    return r;
}

/* The descriptors of a command that is about to be: theirs and ours. */
struct plumbing {
    struct pty pty;
    int theirs[3];
    int ours[3];
};

static void plumbing_fini(struct plumbing *plumbing)
{
    int fds[] = {
        plumbing->pty.master, plumbing->pty.slave, plumbing->theirs[0], plumbing->theirs[1],
        plumbing->theirs[2],  plumbing->ours[0],   plumbing->ours[1],   plumbing->ours[2],
    };

    for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
    }
}

static int plumb_terminal(struct plumbing *plumbing, const Vsh__SetupConnectionRequest *request,
                          const struct target *target, struct crosh_error *err)
{
    cleanup_close int terminals = target_terminals(target, err);
    int r;

    if (terminals < 0 && target->is_container)
        return terminals;
    r = pty_open(&plumbing->pty, terminals, request->window_rows, request->window_cols, err);
    /* Only what is the container's can be given to its users from inside. */
    if (r == 0 && target->is_container &&
        fchown(plumbing->pty.slave, target->root_uid, target->root_gid) < 0)
        return crosh_error_errno(err, "cannot give the terminal to the container");
    return r;
}

/* Errors that a plain command writes have nowhere to go. */
static int plumb_plain(struct plumbing *plumbing, int stream, struct crosh_error *err)
{
    plumbing->theirs[0] = fcntl(stream, F_DUPFD_CLOEXEC, 3);
    plumbing->theirs[1] = fcntl(stream, F_DUPFD_CLOEXEC, 3);
    plumbing->theirs[2] = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (plumbing->theirs[0] < 0 || plumbing->theirs[1] < 0 || plumbing->theirs[2] < 0 ||
        fcntl(stream, F_SETFL, 0) < 0)
        return crosh_error_errno(err, "cannot give the stream to the command");
    return 0;
}

static int plumb(struct plumbing *plumbing, const Vsh__SetupConnectionRequest *request, int stream,
                 const struct target *target, struct crosh_error *err)
{
    if (request->plain)
        return plumb_plain(plumbing, stream, err);
    if (!request->nopty)
        return plumb_terminal(plumbing, request, target, err);
    for (int i = 0; i < 3; i++) {
        int fds[2];
        int is_input = i == STDIN_FILENO;

        if (pipe2(fds, O_CLOEXEC) < 0)
            return crosh_error_errno(err, "cannot make a pipe");
        plumbing->theirs[i] = fds[is_input ? 0 : 1];
        plumbing->ours[i] = fds[is_input ? 1 : 0];
        if (fcntl(plumbing->ours[i], F_SETFL, O_NONBLOCK) < 0)
            return crosh_error_errno(err, "cannot set up a pipe");
    }
    return 0;
}

/* What the new process tells when it could not become the command. */
struct exec_report {
    struct crosh_error err;
    int failure_status;
};
static_assert(sizeof(struct exec_report) <= PIPE_BUF, "a report arrives whole");

/* The new process: becomes the command, or reports why not and ends. */
static _Noreturn void run_child(const struct plumbing *plumbing,
                                const Vsh__SetupConnectionRequest *request,
                                const struct target *target, int report)
{
    struct exec_report told = {0};

    if (plumbing->pty.slave < 0) {
        (void)setsid();
        for (int i = 0; i < 3; i++) {
            if (dup2(plumbing->theirs[i], i) < 0)
                (void)crosh_error_errno(&told.err, "cannot set up the standard descriptors");
        }
    }
    if (told.err.code == 0)
        (void)command_exec(request, target, plumbing->pty.slave, &told.failure_status, &told.err);
    /* A parent that is gone needs no report. */
    if (write(report, &told, sizeof(told)) < 0)
        _exit(STATUS_NOT_EXECUTABLE);
    _exit(STATUS_NOT_FOUND);
}

/* Waits for the exec: 0, or the child's report. */
static int await_exec(int report, int *failure_status, struct crosh_error *err)
{
    struct exec_report theirs;
    ssize_t n;

    do {
        n = read(report, &theirs, sizeof(theirs));
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return 0;
    if (n != (ssize_t)sizeof(theirs) || theirs.err.code >= 0)
        return crosh_error_set(err, -EIO, "the command did not start");
    if (err != NULL)
        *err = theirs.err;
    *failure_status = theirs.failure_status;
    return theirs.err.code;
}

static int adopt(struct command *command, struct plumbing *plumbing, struct crosh_error *err)
{
    command->pidfd = pidfd_open(command->pid, 0);
    if (command->pidfd < 0)
        return crosh_error_errno(err, "cannot watch the command");
    if (plumbing->pty.master >= 0) {
        command->input = fcntl(plumbing->pty.master, F_DUPFD_CLOEXEC, 3);
        command->output = fcntl(plumbing->pty.master, F_DUPFD_CLOEXEC, 3);
        if (command->input < 0 || command->output < 0)
            return crosh_error_errno(err, "cannot share the terminal");
        command->terminal = move_fd(plumbing->pty.master);
    } else {
        command->input = move_fd(plumbing->ours[0]);
        command->output = move_fd(plumbing->ours[1]);
        command->error_output = move_fd(plumbing->ours[2]);
    }
    return 0;
}

int command_start(struct command *command, const Vsh__SetupConnectionRequest *request, int stream,
                  struct crosh_error *err)
{
    cleanup(plumbing_fini) struct plumbing plumbing = {
        .pty = {-1, -1}, .theirs = {-1, -1, -1}, .ours = {-1, -1, -1}};
    cleanup(target_fini) struct target target;
    cleanup_close int report_read = -1;
    cleanup_close int report_write = -1;
    int report[2];
    int r = target_open(&target, request->target, err);

    *command = (struct command){
        .pidfd = -1, .input = -1, .output = -1, .error_output = -1, .terminal = -1};
    command->is_plain = request->plain != 0;
    if (r == 0)
        r = plumb(&plumbing, request, stream, &target, err);
    if (r == 0)
        r = target_adopt_children(&target, err);
    if (r < 0)
        return r;
    if (pipe2(report, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "cannot make a pipe");
    report_read = report[0];
    report_write = report[1];
    command->pid = fork();
    if (command->pid < 0)
        return crosh_error_errno(err, "cannot start a process");
    if (command->pid == 0)
        run_child(&plumbing, request, &target, report_write);

    (void)close(move_fd(report_write));
    r = await_exec(report_read, &command->failure_status, err);
    command->shown_pid = target_pid(&target, command->pid);
    if (r == 0)
        r = adopt(command, &plumbing, err);
    if (r < 0) {
        (void)kill(command->pid, SIGKILL);
        (void)waitpid(command->pid, NULL, 0);
        command_fini(command);
    }
    return r;
}

void command_fini(struct command *command)
{
    int *fds[] = {&command->pidfd, &command->input, &command->output, &command->error_output,
                  &command->terminal};

    for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
        if (*fds[i] >= 0)
            (void)close(move_fd(*fds[i]));
    }
}

void command_signal(const struct command *command, int signal_number)
{
    pid_t group = command->terminal >= 0 ? tcgetpgrp(command->terminal) : -1;

    /* No foreground group: the terminal's session has ended or has yet to begin. */
    if (group <= 0)
        group = command->pid;
    (void)kill(-group, signal_number);
}

int command_exit_status(int wait_status)
{
    if (WIFSIGNALED(wait_status))
        return 128 + WTERMSIG(wait_status);
    return WEXITSTATUS(wait_status);
}
