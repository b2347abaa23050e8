/* SPDX-License-Identifier: MIT */
/*
 * Implements the supervisor.
 *
 * Theory of operation: one can only be born into a pid namespace, so the process that was
 * started forks, before it has set anything up, and its child becomes the launcher. What the
 * outside knows of a VM stays with the first process: its locks, its pid, its exit status.
 * It does next to nothing and so needs next to no memory and no rights.
 *
 * A pipe leads from child to parent: first the word that the child is where it should be,
 * later, maybe, its last words. It also tells the child whether the parent was still there
 * when the child asked to be killed with it. What is read from the pipe may come from
 * a launcher that was taken over: numbers, and only the first signal's.
 */
#include "kvm/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvm/sandbox/last-words.h"
#include "kvm/sandbox/sandbox.h"
#include "lib/base/cleanup.h"

#define STATUS_FAILED 1
#define STATUS_CRASH  11

struct supervisor {
    const char *runtime_dir;
    int runtime_fd;
    int words_fd;
    pid_t child;
    sigset_t signals; /* all of them blocked, and waited for */
};

/* In the child. */
static enum supervisor_role become_launcher(const struct launcher_config *config, int words_fd,
                                            int *status)
{
    struct pollfd pfd = {.fd = words_fd};
    struct last_words words = {.kind = LAST_WORDS_STARTED};
    sigset_t child;

    *status = STATUS_FAILED;
    /* What is typed at the supervisor's terminal is passed on once, by the supervisor. */
    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (poll(&pfd, 1, 0) < 0 || (pfd.revents & POLLERR) != 0)
        return SUPERVISOR_DONE; /* it is gone already */
    if (namespaces_settle(config->leave) < 0) {
        words.kind = LAST_WORDS_NO_NAMESPACES;
        last_words_send(words_fd, &words);
        return SUPERVISOR_DONE;
    }
    last_words_init(words_fd);
    last_words_send(words_fd, &words);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_UNBLOCK, &child, NULL);
    return SUPERVISOR_LAUNCHER;
}

static bool hear(const struct supervisor *s, struct last_words *words)
{
    ssize_t n;

    do
        n = read(s->words_fd, words, sizeof(*words));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*words);
}

/* How the child ended, once it has; signals meant for it go to it. */
static void attend(const struct supervisor *s, siginfo_t *end)
{
    for (;;) {
        int number = sigwaitinfo(&s->signals, NULL);

        if (number == SIGTERM || number == SIGINT)
            (void)kill(s->child, number);
        *end = (siginfo_t){0};
        if (waitid(P_PID, (id_t)s->child, end, WEXITED | WNOHANG) == 0 && end->si_pid == s->child)
            return;
    }
}

static const char *thread_name(int32_t thread)
{
    static const char *const names[SANDBOX_THREAD_COUNT] = {[SANDBOX_THREAD_LOOP] = "main",
                                                            [SANDBOX_THREAD_VCPU] = "vcpu",
                                                            [SANDBOX_THREAD_DISK] = "disk",
                                                            [SANDBOX_THREAD_NET] = "network"};

    return thread >= 0 && thread < SANDBOX_THREAD_COUNT && names[thread] != NULL ? names[thread]
                                                                                 : "unknown";
}

static const char *signal_name(int number)
{
    const char *name = sigabbrev_np(number);

    return name != NULL ? name : "?";
}

/* Says in text how the child was ended by a signal; false when it was not. */
static bool describe(const siginfo_t *end, const struct last_words *words, char *text, size_t size)
{
    const bool has_words = words->kind == LAST_WORDS_SIGNAL;
    const char *thread = thread_name(words->thread);

    if (has_words && words->signal == SIGSYS) {
        cleanup_free char *call = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, words->call);

        (void)snprintf(
            text, size,
            "the launcher made a forbidden system call: %s (%d), in a %s thread (SIGSYS)",
            call != NULL ? call : "unknown", words->call, thread);
    } else if (has_words) {
        (void)snprintf(text, size, "the launcher was ended by SIG%s in a %s thread (address %#llx)",
                       signal_name(words->signal), thread, (unsigned long long)words->address);
    } else if (end->si_code == CLD_EXITED) {
        return false;
    } else if (end->si_status == SIGKILL) {
        (void)snprintf(text, size,
                       "the launcher was ended by SIGKILL: by somebody, or for lack of memory");
    } else {
        (void)snprintf(text, size, "the launcher was ended by SIG%s", signal_name(end->si_status));
    }
    return true;
}

/* Leaves word, and takes away what only a live launcher has. */
static void note_crash(const struct supervisor *s, const char *text)
{
    static const char *const leftovers[] = {"pid", "control.sock", "vsock.sock", "console.sock"};
    struct timespec now = {0};
    char record[512];
    cleanup_close int fd = -1;
    int size;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    /* Into the log by system calls alone: libc's output makes more of them. */
    size = snprintf(record, sizeof(record), "crosh-vm: %s\n", text);
    (void)!write(STDERR_FILENO, record, (size_t)size);
    size = snprintf(record, sizeof(record),
                    "{\"reason\":\"crash\",\"detail\":\"%s\",\"status\":%d,\"time\":%lld}\n", text,
                    STATUS_CRASH, (long long)now.tv_sec);
    /* A launcher that had told of an end before this one has told the one that counts. */
    fd = openat(s->runtime_fd, "ended", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, record, (size_t)size) != size)
        (void)unlinkat(s->runtime_fd, "ended", 0); /* no word is better than half of one */
    for (size_t i = 0; i < sizeof(leftovers) / sizeof(leftovers[0]); i++)
        (void)unlinkat(s->runtime_fd, leftovers[i], 0);
}

/* Waits for the child to its end; the exit status that passes it on. */
static int stand_by(struct supervisor *s)
{
    struct last_words words = {0}, next;
    struct crosh_error err = {0};
    char text[256];
    siginfo_t end;

    if (sandbox_enter_supervisor(s->runtime_dir, s->child, &err) < 0) {
        fprintf(stderr, "crosh-vm: %s\n", err.message);
        (void)kill(s->child, SIGKILL);
    }
    attend(s, &end);
    while (words.kind != LAST_WORDS_SIGNAL && hear(s, &next))
        words = next;
    if (!describe(&end, &words, text, sizeof(text)))
        return end.si_status;
    note_crash(s, text);
    return STATUS_CRASH;
}

static int failed(const char *what)
{
    fprintf(stderr, "crosh-vm: supervisor: %s: %s\n", what, strerror(errno));
    return STATUS_FAILED;
}

enum supervisor_role supervise(struct launcher_config *config, int *status)
{
    cleanup_close int runtime_fd = open(config->runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct supervisor s = {.runtime_dir = config->runtime_dir, .runtime_fd = runtime_fd};
    struct last_words words;

    config->pid = getpid();
    sigemptyset(&s.signals);
    sigaddset(&s.signals, SIGTERM);
    sigaddset(&s.signals, SIGINT);
    sigaddset(&s.signals, SIGCHLD);
    /* The child keeps those meant for it blocked: none is lost before it listens. */
    if (runtime_fd < 0 || sigprocmask(SIG_BLOCK, &s.signals, NULL) < 0) {
        *status = failed(config->runtime_dir);
        return SUPERVISOR_DONE;
    }
    for (config->leave = NAMESPACES_ROOTS;; config->leave = NAMESPACES_NOBODYS) {
        cleanup_close int words_fd = -1;
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0) {
            *status = failed("pipe");
            return SUPERVISOR_DONE;
        }
        s.words_fd = words_fd = fds[0];
        s.child = namespaces_fork(&config->leave);
        if (s.child == 0) {
            (void)close(move_fd(words_fd));
            return become_launcher(config, fds[1], status);
        }
        (void)close(fds[1]);
        if (s.child < 0) {
            *status = failed("fork");
            return SUPERVISOR_DONE;
        }
        if (hear(&s, &words) && words.kind == LAST_WORDS_NO_NAMESPACES) {
            (void)waitpid(s.child, NULL, 0);
            continue;
        }
        *status = stand_by(&s);
        return SUPERVISOR_DONE;
    }
}
