/* SPDX-License-Identifier: MIT */
/* "vmc stop": ends VMs, asking first and insisting later. */
#include <crosh/vm.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/vm/control-client.h"
#include "lib/vm/runtime.h"
#include "lib/vm/store.h"
#include "modules/vmc/automount.h"
#include "modules/vmc/launch.h"
#include "modules/vmc/progress.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

#define CONTROL_TIMEOUT_MS 2000
#define TICK_MS            100
/* The launcher's own limits, by default: 30 s for the agent, 30 s for the power button. */
#define DEFAULT_WAIT_MS 65000
/* What the launcher needs beyond the limits that it was given. */
#define GRACE_MS     5000
#define TERM_WAIT_MS 3000
/* How long a VM that is being started may take to have a launcher that can be asked. */
#define START_WAIT_MS 3000

struct stop {
    struct crosh_context *ctx;
    const char *name;
    bool force;
    int64_t timeout_ms; /* for the guest; 0: the launcher's defaults */
    int pidfd;          /* the launcher's */
};

/*
 * A descriptor of the process that holds the VM's lock. The kernel names it by
 * the lock or by the control socket; asking again once the descriptor is open
 * makes sure that the name was not passed on in between.
 */
static int open_holder(const char *name, const struct crosh_control *control)
{
    pid_t pid = crosh_priv_vm_holder(name);
    cleanup_close int pidfd = -1;

    if (pid < 0 && control != NULL) {
        /* Our connection is to a process that is alive as long as it answers nothing else. */
        pid = crosh_priv_control_peer(control);
        return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    }
    if (pid < 0)
        return -1;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 || crosh_priv_vm_holder(name) != pid)
        return -1;
    return move_fd(pidfd);
}

/* 1: gone, 0: still there, -EINTR. */
static int wait_gone(const struct stop *stop, struct progress *progress, int64_t wait_ms)
{
    const int64_t deadline = deadline_now() + wait_ms;

    do {
        struct pollfd pfd[2] = {{.fd = stop->pidfd, .events = POLLIN},
                                {.fd = crosh_interrupt_fd(stop->ctx), .events = POLLIN}};

        (void)poll(pfd, 2, TICK_MS);
        if ((pfd[0].revents & POLLIN) != 0)
            return 1;
        if (crosh_is_interrupted(stop->ctx))
            return -EINTR;
        progress_tick(progress);
    } while (deadline_now() < deadline);
    return 0;
}

/* Asks the launcher, then signals it. 0 once it is gone. */
static int end_launcher(struct stop *stop, struct crosh_control *control, struct progress *progress,
                        struct crosh_error *err)
{
    uint32_t step_ms = stop->timeout_ms > 0 ? (uint32_t)(stop->timeout_ms / 2) : 0;
    int64_t wait_ms = stop->timeout_ms > 0 ? stop->timeout_ms : DEFAULT_WAIT_MS;
    int rc = -1;

    if (control != NULL)
        rc = crosh_priv_control_stop(control, stop->force, step_ms, CONTROL_TIMEOUT_MS, err);
    /* A launcher that is on its way out may end before it answers. */
    if (rc == 0 || rc == CROSH_ELOST)
        rc = wait_gone(stop, progress, (stop->force ? 0 : wait_ms) + GRACE_MS);
    else
        rc = 0;
    if (rc == 0) {
        progress_note(progress, "the launcher does not answer: ending it by signal");
        (void)syscall(SYS_pidfd_send_signal, stop->pidfd, SIGTERM, NULL, 0);
        rc = wait_gone(stop, progress, stop->force ? 0 : TERM_WAIT_MS);
    }
    if (rc == 0) {
        (void)syscall(SYS_pidfd_send_signal, stop->pidfd, SIGKILL, NULL, 0);
        rc = wait_gone(stop, progress, TERM_WAIT_MS);
    }
    if (rc == -EINTR) {
        crosh_error_set(err, -EINTR, "interrupted; VM %s is still stopping", stop->name);
        return crosh_error_hint(err, "end it at once: vmc stop --force %s", stop->name);
    }
    if (rc == 0)
        return crosh_error_set(err, -ETIMEDOUT, "the launcher of VM %s cannot be ended",
                               stop->name);
    return 0;
}

static int not_running(const char *name, struct crosh_error *err)
{
    return crosh_error_set(err, -ENOTCONN, "VM %s is not running", name);
}

/* A guest that had to be ended by force may have lost data: worth a word. */
static void report(const struct stop *stop, int64_t began_ms)
{
    struct crosh_vm_ended ended;
    FILE *out = crosh_stderr(stop->ctx);

    (void)crosh_priv_vm_probe(stop->name);
    if (!stop->force && crosh_priv_vm_ended_read(stop->name, &ended) &&
        strcmp(ended.reason, "killed") == 0) {
        (void)fprintf(out, "warning: VM %s was ended by force: ", stop->name);
        text_print_line(out, ended.detail);
    }
    (void)fprintf(out, "%s stopped (%.2f s)\n", stop->name,
                  (double)(deadline_now() - began_ms) / 1000.0);
}

static int being_started(const char *name, struct crosh_error *err)
{
    crosh_error_set(err, -EBUSY,
                    "VM %s is not far enough to be stopped: its image is being made, "
                    "or another command changes it",
                    name);
    return crosh_error_hint(err, "press Ctrl-C where it is being started, or try again later");
}

/* Finds the launcher, waiting a little for that of a VM that is only being started. */
static int find_launcher(struct stop *stop, struct crosh_control **control, struct crosh_error *err)
{
    const int64_t deadline = deadline_now() + START_WAIT_MS;

    for (;;) {
        *control = crosh_priv_control_open(stop->name, CONTROL_TIMEOUT_MS, NULL);
        stop->pidfd = open_holder(stop->name, *control);
        if (stop->pidfd >= 0)
            return 0;
        crosh_priv_control_close(*control);
        *control = NULL;
        /* Without a launcher and without anybody who makes one. */
        if (crosh_priv_vm_probe(stop->name) != CROSH_VM_CHANGING)
            return not_running(stop->name, err);
        if (crosh_is_interrupted(stop->ctx))
            return crosh_error_set(err, -EINTR, "interrupted");
        if (deadline_now() >= deadline)
            return being_started(stop->name, err);
        (void)poll(NULL, 0, TICK_MS);
    }
}

static int stop_vm(struct stop *stop, struct crosh_error *err)
{
    const int64_t began_ms = deadline_now();
    struct crosh_control *control = NULL;
    struct progress progress;
    int rc = crosh_priv_vm_require(stop->name, err);

    if (rc < 0)
        return rc;
    if (crosh_priv_vm_probe(stop->name) == CROSH_VM_DEAD)
        return not_running(stop->name, err);
    rc = find_launcher(stop, &control, err);
    if (rc < 0)
        return rc;
    automount_end(stop->ctx, stop->name, NULL, stop->force);
    progress_init(&progress, stop->ctx);
    progress_begin(&progress, "stopping");
    rc = end_launcher(stop, control, &progress, err);
    crosh_priv_control_close(control);
    (void)close(move_fd(stop->pidfd));
    progress_clear(&progress);
    if (rc == 0)
        report(stop, began_ms);
    return rc;
}

int vmc_stop(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *const *names = crosh_args_all(args, "vm");
    const size_t count = crosh_args_count(args, "vm");
    struct stop stop = {.ctx = ctx,
                        .force = crosh_args_has(args, "force"),
                        .timeout_ms = crosh_args_number(args, "timeout", 0) * 1000,
                        .pidfd = -1};
    int first = 0;

    for (; *names != NULL; names++) {
        struct crosh_error own = {0};
        int rc;

        stop.name = *names;
        rc = stop_vm(&stop, &own);
        if (rc >= 0)
            continue;
        /* With several names each failure is told where it happens, and the first one counts. */
        if (count > 1)
            (void)fprintf(crosh_stderr(ctx), "vmc stop: %s\n", own.message);
        if (first == 0)
            first = rc;
        if (count == 1)
            *err = own;
        if (rc == -EINTR)
            break;
    }
    if (first < 0 && count > 1)
        return crosh_error_exit_status(first);
    return first;
}
