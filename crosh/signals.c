/* SPDX-License-Identifier: MIT */
/* Signal handling: handlers only set flags and write to an eventfd. */
#include "crosh/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Signals belong to the process, so does this state. */
static int interrupt_fd = -1;
static volatile sig_atomic_t termination;
static volatile sig_atomic_t resized;
static volatile sig_atomic_t is_sent; /* the last interrupt came from a process, no terminal */

static void on_signal(int signal, siginfo_t *info, void *machine)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t n;

    (void)machine;
    if (signal == SIGWINCH) {
        resized = 1;
    } else {
        is_sent = info->si_code <= 0;
        if (signal != SIGINT)
            termination = signal;
        n = write(interrupt_fd, &one, sizeof(one));
        (void)n; /* a full counter is readable too */
    }
    errno = saved;
}

static int set_action(int signal, struct sigaction *action)
{
    struct sigaction old;

    /* What the parent had ignored (nohup) stays so. */
    if (sigaction(signal, NULL, &old) < 0)
        return -errno;
    if (old.sa_handler == SIG_IGN && (signal == SIGHUP || signal == SIGINT))
        return 0;
    (void)sigemptyset(&action->sa_mask);
    return sigaction(signal, action, NULL) < 0 ? -errno : 0;
}

static int handle(int signal)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

    return set_action(signal, &action);
}

static int ignore(int signal)
{
    struct sigaction action = {.sa_handler = SIG_IGN};

    return set_action(signal, &action);
}

static int open_interrupt(void)
{
    interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return interrupt_fd < 0 ? -errno : 0;
}

int signals_init(void)
{
    static const int handled[] = {SIGINT, SIGHUP, SIGTERM};
    int r = open_interrupt();

    for (unsigned int i = 0; r == 0 && i < sizeof(handled) / sizeof(handled[0]); i++)
        r = handle(handled[i]);
    return r < 0 ? r : ignore(SIGPIPE);
}

int signals_renew(void)
{
    (void)close(interrupt_fd);
    termination = 0;
    is_sent = 0;
    return open_interrupt();
}

void signals_set_interactive(void)
{
    (void)ignore(SIGTSTP);
    (void)ignore(SIGTTIN);
    (void)ignore(SIGTTOU);
    (void)handle(SIGWINCH);
}

int signals_interrupt_fd(void)
{
    return interrupt_fd;
}

bool signals_is_interrupted(void)
{
    struct pollfd p = {.fd = interrupt_fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

void signals_clear_interrupt(void)
{
    uint64_t count;
    ssize_t n;

    if (termination != 0)
        return; /* everything that waits shall see it */
    n = read(interrupt_fd, &count, sizeof(count));
    (void)n;
}

int signals_termination(void)
{
    return termination;
}

bool signals_is_sent(void)
{
    return is_sent != 0;
}

bool signals_take_resize(void)
{
    bool taken = resized != 0;

    resized = 0;
    return taken;
}

int signals_set_spawn_defaults(posix_spawnattr_t *attr)
{
    sigset_t defaults, none;

    /* Handled signals reset themselves at exec; ignored ones do not. */
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)sigemptyset(&none);
    if (posix_spawnattr_setsigdefault(attr, &defaults) != 0 ||
        posix_spawnattr_setsigmask(attr, &none) != 0)
        return -EINVAL;
    return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK) != 0
               ? -EINVAL
               : 0;
}
