/* SPDX-License-Identifier: MIT */
/* Hands process 1 over to the image's init, and asks that init for the end. */
#include "guest/agent/companion.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "lib/base/cleanup.h"

/* As at the start of any program. */
static void reset_signals(void)
{
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int companion_begin(const char *init, struct crosh_error *err)
{
    pid_t pid;

    if (access(init, X_OK) < 0)
        return crosh_error_errno(err, "the image's init %s", init);
    pid = fork();
    if (pid < 0)
        return crosh_error_errno(err, "cannot start a process");
    if (pid == 0) {
        /* Not of the init's session: its console's signals are not for us. */
        (void)setsid();
        return 0;
    }
    reset_signals();
    (void)execl(init, init, (char *)NULL);
    agent_log_errno("cannot run %s", init);
    /* The kernel panics, and so everybody learns of it. */
    _exit(127);
}

void companion_power_off(void)
{
    pid_t pid = fork();

    if (pid != 0)
        return;
    reset_signals();
    (void)execlp("systemctl", "systemctl", "--no-block", "poweroff", (char *)NULL);
    (void)execlp("poweroff", "poweroff", (char *)NULL);
    (void)execl("/sbin/poweroff", "poweroff", (char *)NULL);
    agent_log_errno("the image has no program to power the system off");
    _exit(127);
}

Guest__Ending__Kind companion_ending(void)
{
    cleanup_fclose FILE *f = fopen("/proc/1/cmdline", "re");
    char text[256] = "";
    size_t size = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;

    /* systemd-shutdown says it as its first argument. */
    for (size_t i = 0; i < size; i += strlen(text + i) + 1) {
        if (strcmp(text + i, "reboot") == 0)
            return GUEST__ENDING__KIND__REBOOT;
    }
    return GUEST__ENDING__KIND__POWEROFF;
}
