/* SPDX-License-Identifier: MIT */
/* Signals of the client during a session. */
#include "modules/vsh/vsh-signals.h"

#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

static const struct {
    int number;
    bool is_for_shell; /* it has its own part to do: end, drop the rest of a list, redraw */
} taken[] = {
    {SIGINT, true},     {SIGQUIT, false}, {SIGTERM, true},  {SIGHUP, true},   {SIGWINCH, true},
    {SIGCONT, false},   {SIGTSTP, false}, {SIGUSR1, false}, {SIGUSR2, false}, {SIGALRM, false},
    {SIGVTALRM, false}, {SIGPROF, false}, {SIGIO, false},   {SIGPWR, false},  {SIGURG, false},
};

/* Signals without a default of their own: a program that does not know them is ended by them. */
static bool is_taken(int number)
{
    if (number >= SIGRTMIN && number <= SIGRTMAX)
        return true;
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
        if (taken[i].number == number)
            return true;
    }
    return false;
}

int vsh_signals_init(struct vsh_signals *signals, struct crosh_error *err)
{
    sigset_t mask, blocked;

    *signals = (struct vsh_signals){.fd = -1};
    (void)sigemptyset(&mask);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;

        /* A blocked signal is queued even if it is ignored. */
        if (is_taken(number) && sigaction(number, NULL, &action) == 0 &&
            action.sa_handler != SIG_IGN)
            (void)sigaddset(&mask, number);
    }
    signals->fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0)
        return crosh_error_errno(err, "cannot watch signals");
    blocked = mask;
    /* Setting a terminal from the background must not stop us halfway. */
    (void)sigaddset(&blocked, SIGTTOU);
    (void)sigprocmask(SIG_BLOCK, &blocked, &signals->saved);
    return 0;
}

int vsh_signals_next(struct vsh_signals *signals)
{
    struct signalfd_siginfo info;

    if (read(signals->fd, &info, sizeof(info)) != (ssize_t)sizeof(info) || info.ssi_signo >= NSIG)
        return 0;
    signals->seen[info.ssi_signo] = true;
    return (int)info.ssi_signo;
}

void vsh_signals_fini(struct vsh_signals *signals)
{
    if (signals->fd < 0)
        return;
    while (vsh_signals_next(signals) > 0)
        ;
    (void)close(move_fd(signals->fd));
    (void)sigprocmask(SIG_SETMASK, &signals->saved, NULL);
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
        if (taken[i].is_for_shell && signals->seen[taken[i].number])
            (void)raise(taken[i].number);
    }
}
