/* SPDX-License-Identifier: MIT */
/* The end of the system. Called with SIGCHLD blocked, by process 1. */
#include "guest/agent/power.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "guest/agent/mounts.h"
#include "lib/base/deadline.h"

/* Shells ignore SIGTERM and end at SIGHUP; whoever minds neither is killed. */
#define TERM_WAIT_MS 500
#define HUP_WAIT_MS  1500
#define KILL_WAIT_MS 1000
/* A host may have much to write out. */
#define SHARED_WAIT_MS 10000

/* Reaps until no process is left (true) or the time is over. Orphans are ours, so none hides. */
static bool wait_for_all(int timeout_ms)
{
    int64_t deadline = deadline_now() + timeout_ms;
    sigset_t mask;

    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGCHLD);
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        int64_t left = deadline - deadline_now();
        struct timespec wait;

        if (pid < 0 && errno == ECHILD)
            return true;
        if (pid > 0)
            continue;
        if (left <= 0)
            return false;
        wait = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        (void)sigtimedwait(&mask, NULL, &wait);
    }
}

static void end_processes(void)
{
    (void)kill(-1, SIGTERM);
    (void)kill(-1, SIGCONT);
    if (wait_for_all(TERM_WAIT_MS))
        return;
    (void)kill(-1, SIGHUP);
    if (wait_for_all(HUP_WAIT_MS))
        return;
    (void)kill(-1, SIGKILL);
    (void)wait_for_all(KILL_WAIT_MS);
}

_Noreturn void power_end(enum power_kind kind)
{
    bool all_answer;

    end_processes();
    all_answer = mounts_end_shared(SHARED_WAIT_MS);
    if (all_answer)
        sync();
    mounts_end();
    if (all_answer)
        sync();
    if (reboot(kind == POWER_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF) < 0)
        agent_log_errno("cannot %s", kind == POWER_REBOOT ? "reboot" : "power off");
    /* Process 1 must not end: the kernel would panic. */
    for (;;)
        (void)pause();
}
