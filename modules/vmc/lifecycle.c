/* SPDX-License-Identifier: MIT */
/* "vmc start": boots a VM, showing its stages, and opens a shell in it. */
#include <crosh/vm.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/vm/config.h"
#include "lib/vm/runtime.h"
#include "lib/vm/store.h"
#include "modules/vmc/automount.h"
#include "modules/vmc/cid.h"
#include "modules/vmc/data-disk.h"
#include "modules/vmc/image.h"
#include "modules/vmc/launch.h"
#include "modules/vmc/network.h"
#include "modules/vmc/options.h"
#include "modules/vmc/progress.h"
#include "modules/vmc/startup.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

/* Long enough for those who look at a VM in passing, too short to notice. */
#define LOCK_WAIT_MS 1000

#define TICK_MS       100
#define CONSOLE_LINES 10
/* A launcher whose stream has ended is about to end itself. */
#define LOST_WAIT_MS 3000
/* One that was killed gives its guest's memory back first, which takes a while if it is much. */
#define DYING_WAIT_MS 60000
#define DYING_SAY_MS  300
#define DYING_POLL_MS 10
/* A process that was killed this very moment is still there. */
#define KILLED_WAIT_MS 300

/* One start from its command line to the guest's readiness. */
struct start {
    struct crosh_context *ctx;
    const struct crosh_args *args;
    const char *name;
    int operation_lock; /* -1: not held */
    int runtime_fd;
    bool is_new; /* this start made the VM */
    bool is_up;  /* the agent was heard */
    struct crosh_vm_config config;
    struct image_files files;
    char *data_disk; /* NULL: the image needs none */
    struct vm_network network;
    struct launch launch;
    struct progress progress;
    int64_t began_ms;
    uint64_t last_stage_us;
};

static void start_fini(struct start *start)
{
    crosh_priv_vm_config_fini(&start->config);
    image_files_fini(&start->files);
    free(start->data_disk);
    launch_fini(&start->launch);
    network_fini(&start->network);
    if (start->runtime_fd >= 0)
        (void)close(start->runtime_fd);
    if (start->operation_lock >= 0)
        (void)close(start->operation_lock);
}

static int already_running(const char *name, struct crosh_error *err)
{
    cleanup_free char *here = crosh_vm_runtime_dir(name, NULL);
    cleanup_free char *there = crosh_priv_vm_runtime_recorded(name);

    if (here != NULL && there != NULL && strcmp(here, there) != 0)
        crosh_error_set(err, -EBUSY, "VM %s is already running (in %s)", name, there);
    else
        crosh_error_set(err, -EBUSY, "VM %s is already running", name);
    (void)crosh_error_hint(err, "open a shell in it: vsh %s; or end it: vmc stop %s", name, name);
    return -EBUSY;
}

/* Whether a process has ended, or is about to. */
static bool is_ending(pid_t pid)
{
    cleanup_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    return pidfd < 0 ? errno == ESRCH : launch_wait_gone(pidfd, KILLED_WAIT_MS);
}

/*
 * Whether the VM runs. A launcher whose supervisor was killed is killed with it, and holds
 * the lock until it is gone: that is waited for. 1, 0, or negative with err filled.
 */
static int is_alive(const struct start *start, struct crosh_error *err)
{
    const int64_t began = deadline_now();
    unsigned int unknown = 0;
    bool is_said = false;

    while (crosh_priv_vm_probe(start->name) == CROSH_VM_ALIVE) {
        pid_t holder = crosh_priv_vm_holder(start->name);
        const int64_t waited = deadline_now() - began;

        /* Nobody, the first time: it may have let go since it was seen. */
        if (holder > 0 ? !is_ending(holder) : ++unknown > 1)
            return 1;
        if (waited >= DYING_WAIT_MS) {
            crosh_error_set(err, -EBUSY, "the launcher of VM %s was killed and is not gone yet",
                            start->name);
            return crosh_error_hint(err, "try again in a while");
        }
        if (crosh_is_interrupted(start->ctx))
            return crosh_error_set(err, -EINTR, "interrupted");
        if (waited >= DYING_SAY_MS && !is_said)
            (void)fprintf(crosh_stderr(start->ctx),
                          "waiting for the launcher of %s, which was killed, to be gone\n",
                          start->name);
        is_said |= waited >= DYING_SAY_MS;
        (void)poll(NULL, 0, DYING_POLL_MS);
    }
    return 0;
}

/* Makes the VM ours alone until it has started. */
static int lock_vm(struct start *start, struct crosh_error *err)
{
    cleanup_free char *runtime = crosh_runtime_dir(err);

    /* Nothing is made when there is no place to run in. */
    if (runtime == NULL)
        return err->code;
    start->operation_lock = crosh_priv_vm_operation_lock(start->name, LOCK_WAIT_MS, err);
    if (start->operation_lock < 0)
        return start->operation_lock;
    start->runtime_fd = crosh_priv_vm_runtime_open(start->name, err);
    if (start->runtime_fd < 0)
        return start->runtime_fd;
    if (crosh_priv_vm_probe_locked(start->name) == CROSH_VM_ALIVE)
        return already_running(start->name, err);
    return 0;
}

/* The stored configuration, or that of a new VM, with this command line's options. */
static int prepare_config(struct start *start, struct crosh_error *err)
{
    int rc;

    start->is_new = !crosh_vm_exists(start->name);
    rc = start->is_new ? crosh_priv_vm_config_init(&start->config, err)
                       : crosh_priv_vm_config_load(start->name, &start->config, err);
    return rc < 0 ? rc : options_apply(start->args, &start->config, err);
}

static const char *stage_name(Control__Stage stage)
{
    switch (stage) {
    case CONTROL__STAGE__STAGE_LAUNCHER:
        return "launcher";
    case CONTROL__STAGE__STAGE_KERNEL:
        return "kernel";
    default:
        return "agent";
    }
}

/* The launcher finished a stage: shows what it took and begins the next. */
static void on_stage(struct start *start, const Control__StageTime *stage)
{
    uint64_t took = stage->at_us - start->last_stage_us;

    /* A guest that reboots while it starts begins its stages anew. */
    if (stage->at_us < start->last_stage_us)
        took = 0;
    start->last_stage_us = stage->at_us;
    start->progress.stage = stage_name(stage->stage);
    progress_done(&start->progress, (int64_t)took);
    if (stage->stage != CONTROL__STAGE__STAGE_AGENT)
        progress_begin(&start->progress, stage_name(stage->stage + 1));
}

static int on_ended(const struct start *start, const Control__Ended *ended, struct crosh_error *err)
{
    const char *detail = ended->detail[0] != '\0' ? ended->detail : NULL;
    char panic[256];

    /* A guest without a driver of the panic device merely resets: the console knows better. */
    if ((ended->reason == CONTROL__END_REASON__END_RESET ||
         ended->reason == CONTROL__END_REASON__END_CRASH) &&
        text_find_panic(start->runtime_fd, "console.log", panic, sizeof(panic)) == 0)
        return crosh_error_set(err, -EIO, "the guest's kernel panicked: %s", panic);
    switch (ended->reason) {
    case CONTROL__END_REASON__END_FAILED:
        crosh_error_set(err, ended->code < 0 ? ended->code : -EIO, "%s",
                        detail != NULL ? detail : "the launcher gave up");
        break;
    case CONTROL__END_REASON__END_POWEROFF:
        crosh_error_set(err, -EIO, "the guest powered off");
        break;
    case CONTROL__END_REASON__END_RESET:
        crosh_error_set(err, -EIO, "the guest reset");
        break;
    case CONTROL__END_REASON__END_KILLED:
        crosh_error_set(err, -EIO, "it was stopped by another command");
        break;
    default:
        crosh_error_set(err, ended->code < 0 ? ended->code : -EIO, "the guest crashed%s%s",
                        detail != NULL ? ": " : "", detail != NULL ? detail : "");
        break;
    }
    if (ended->hint[0] != '\0')
        (void)crosh_error_hint(err, "%s", ended->hint);
    else if (!start->is_new && ended->reason == CONTROL__END_REASON__END_CRASH)
        (void)crosh_error_hint(err, "see registers and console: vmc crash %s", start->name);
    else if (!start->is_new)
        (void)crosh_error_hint(err, "see all that the guest wrote: vmc logs %s", start->name);
    return err->code;
}

/* 0: go on; negative: the VM will not come up. */
static int on_message(struct start *start, const Control__FromLauncher *message,
                      struct crosh_error *err)
{
    const Control__Event *event;

    if (message->msg_case != CONTROL__FROM_LAUNCHER__MSG_EVENT)
        return 0;
    event = message->event;
    switch (event->what_case) {
    case CONTROL__EVENT__WHAT_STAGE:
        on_stage(start, event->stage);
        return 0;
    case CONTROL__EVENT__WHAT_NOTICE:
        progress_note(&start->progress, event->notice);
        return 0;
    case CONTROL__EVENT__WHAT_STATE:
        start->is_up = event->state == CONTROL__STATE__RUNNING;
        if (event->state == CONTROL__STATE__STOPPING)
            return crosh_error_set(err, -EIO, "it was stopped by another command");
        return 0;
    case CONTROL__EVENT__WHAT_ENDED:
        return on_ended(start, event->ended, err);
    default:
        return 0;
    }
}

/* The launcher went without telling us: its log may have its words, and its record how it ended. */
static int on_launcher_lost(struct start *start, struct crosh_error *err)
{
    struct crosh_vm_ended ended;
    size_t lines;

    progress_fail(&start->progress);
    lines = text_print_tail(crosh_stderr(start->ctx), start->runtime_fd, "launcher.log",
                            CONSOLE_LINES, "  | ");
    if (launch_wait_gone(start->launch.pidfd, LOST_WAIT_MS) &&
        crosh_priv_vm_probe_locked(start->name) == CROSH_VM_DEAD &&
        crosh_priv_vm_ended_read(start->name, &ended) == 1 && ended.detail[0] != '\0')
        return crosh_error_set(err, -EIO, "%s", ended.detail);
    if (lines == 0)
        return crosh_error_set(err, -EIO, "the launcher died without a word");
    return crosh_error_set(err, -EIO, "the launcher died; its last words are above");
}

/* Waits for the descriptors at most TICK_MS; what matters is judged by the caller. */
static void wait_a_tick(const struct start *start)
{
    struct pollfd pfd[2] = {
        {.fd = crosh_priv_control_fd(start->launch.control), .events = POLLIN},
        {.fd = crosh_interrupt_fd(start->ctx), .events = POLLIN},
    };

    (void)poll(pfd, 2, TICK_MS);
}

/* Shows the stages until the agent is there. */
static int attend(struct start *start, int64_t timeout_s, struct crosh_error *err)
{
    const int64_t deadline = deadline_now() + timeout_s * 1000;

    progress_begin(&start->progress, "launcher");
    while (!start->is_up) {
        Control__FromLauncher *message = NULL;
        int rc = crosh_priv_control_receive(start->launch.control, 0, &message, err);

        if (rc == 0)
            return on_launcher_lost(start, err);
        if (rc == 1) {
            rc = on_message(start, message, err);
            crosh_priv_control_message_free(message);
        } else if (rc == -ETIMEDOUT) {
            wait_a_tick(start);
            progress_tick(&start->progress);
            rc = 0;
        }
        if (rc < 0)
            return rc;
        if (crosh_is_interrupted(start->ctx))
            return crosh_error_set(err, -EINTR, "interrupted");
        if (!start->is_up && deadline_now() >= deadline) {
            crosh_error_set(err, -ETIMEDOUT, "not ready after %lld s", (long long)timeout_s);
            return crosh_error_hint(err, "give it longer: --timeout SECONDS");
        }
    }
    return 0;
}

/* Boots the VM, which exists and is locked. */
static int boot(struct start *start, struct crosh_error *err)
{
    const bool is_asked = crosh_args_has(start->args, "size") != 0;
    struct launch_how how = {.accel = crosh_args_string(start->args, "accel"),
                             .transport = crosh_args_string(start->args, "transport"),
                             .vsock = crosh_args_string(start->args, "vsock")};
    int rc = 0;

    /* For this start alone: it is not in the configuration that a new VM keeps. */
    if (crosh_args_has(start->args, "no-start-lxd"))
        rc = crosh_priv_vm_config_add_kernel_param(&start->config, "crosh.until=data", err);
    if (rc < 0)
        return rc;

    rc = image_find(start->ctx, start->name, &start->config, &start->progress, &start->files, err);
    /* Whoever calls a VM so expects containers in it. */
    if (rc == 0 && start->config.image == NULL && start->config.kernel == NULL &&
        start->files.root == NULL && strcmp(start->name, IMAGE_TERMINA) == 0)
        progress_note(&start->progress,
                      "a small VM, as there is no image for containers yet; build one: "
                      "vmc image build " IMAGE_TERMINA);
    if (rc == 0 && start->files.root == NULL && crosh_args_has(start->args, "size"))
        crosh_warn(start->ctx, "the image %s has no data, and a VM of it no disk for it",
                   image_name(&start->config));
    if (rc == 0 && start->files.has_layer)
        rc = data_disk_prepare_ext4(start->ctx, &start->progress, start->name,
                                    start->config.data_bytes, is_asked, &start->data_disk, err);
    else if (rc == 0 && start->files.root != NULL)
        rc = data_disk_prepare(start->name, start->config.data_bytes, is_asked, &start->data_disk,
                               err);
    if (rc < 0 || (rc = cid_reserve(start->name, &how.cid, err)) < 0)
        return rc;
    how.data_disk = start->data_disk;
    progress_begin(&start->progress, "network");
    rc = network_attach(start->ctx, &start->progress, start->name, &start->config, &start->network,
                        err);
    if (rc < 0)
        return rc;
    if (start->network.fd_count > 0)
        progress_done(&start->progress, -1);
    progress_clear(&start->progress);
    how.network = &start->network;
    rc = launch_spawn(&start->launch, start->name, &start->config, &start->files, &how, err);
    /* The link is the launcher's alone: it shall end with it. */
    network_fini(&start->network);
    if (rc < 0)
        return rc;
    return attend(start, crosh_args_number(start->args, "timeout", 0), err);
}

/* Tells how far it came, and takes back whatever this start made. */
static int give_up(struct start *start, struct crosh_error *err)
{
    const char *stage = start->progress.stage;
    FILE *out = crosh_stderr(start->ctx);

    if (err->code == -EINTR)
        progress_clear(&start->progress);
    else
        progress_fail(&start->progress);
    launch_kill(&start->launch);
    if (stage != NULL && err->code != -EINTR && start->launch.pidfd >= 0 &&
        strcmp(stage, "launcher") != 0 &&
        faccessat(start->runtime_fd, "console.log", R_OK, 0) == 0) {
        (void)fprintf(out, "last lines of the guest's console:\n");
        if (text_print_tail(out, start->runtime_fd, "console.log", CONSOLE_LINES, "  | ") == 0)
            (void)fprintf(out, "  (it wrote nothing)\n");
    }
    (void)crosh_priv_vm_probe_locked(start->name);
    if (start->files.has_no_modules && err->code != -EINTR)
        (void)crosh_error_hint(err, "no modules of this kernel were found, and it may not start "
                                    "without: give them with --modules DIR");
    if (start->is_new)
        (void)crosh_priv_vm_destroy(start->name, NULL);
    if (stage != NULL)
        (void)crosh_error_wrap(err, "VM %s did not start (stage %s)", start->name, stage);
    else
        (void)crosh_error_wrap(err, "VM %s did not start", start->name);
    return err->code;
}

/* Locks the VM, making it when it is new. */
static int acquire(struct start *start, struct crosh_error *err)
{
    int rc = is_alive(start, err);

    if (rc != 0)
        return rc < 0 ? rc : already_running(start->name, err);
    /* All that can be refused is refused before anything is made. */
    if ((rc = prepare_config(start, err)) < 0 || (rc = lock_vm(start, err)) < 0)
        return rc;
    if (start->is_new)
        return crosh_priv_vm_create(start->name, &start->config, err);
    if (!crosh_vm_exists(start->name))
        return crosh_error_set(err, -ENOENT, "VM %s was destroyed meanwhile", start->name);
    return 0;
}

/*
 * Waits for what the image starts. The VM runs in any case: whoever started it can look what
 * is wrong.
 */
static int start_up(struct start *start, struct crosh_error *err)
{
    int64_t timeout_s = crosh_args_number(start->args, "timeout", 0);
    int rc;

    if (start->files.root == NULL)
        return 0;
    rc = startup_attend(start->ctx, &start->progress, start->name,
                        start->began_ms + timeout_s * 1000, err);
    if (rc == -ETIMEDOUT) {
        progress_clear(&start->progress);
        crosh_warn(start->ctx, "%s is still at %s, and goes on; see: vmc status %s", start->name,
                   err->message, start->name);
        *err = (struct crosh_error){0};
        return 0;
    }
    if (rc < 0 && rc != -EINTR)
        (void)crosh_error_wrap(err, "VM %s runs, but its start-up failed", start->name);
    return rc;
}

static int start_vm(struct start *start, struct crosh_error *err)
{
    int rc = acquire(start, err);

    if (rc < 0) {
        /* Of a VM that did not come to be, nothing stays; its lock is still ours. */
        if (start->operation_lock >= 0 && !crosh_vm_exists(start->name))
            (void)crosh_priv_vm_destroy(start->name, NULL);
        return rc;
    }
    (void)fprintf(crosh_stderr(start->ctx), "starting %s%s\n", start->name,
                  start->is_new ? " (new)" : "");
    rc = boot(start, err);
    if (rc < 0)
        return give_up(start, err);
    rc = start_up(start, err);
    if (rc == -EINTR)
        return give_up(start, err);
    if (rc < 0)
        return rc;
    (void)fprintf(crosh_stderr(start->ctx), "%s is ready (%.2f s)\n", start->name,
                  (double)(deadline_now() - start->began_ms) / 1000.0);
    return 0;
}

static int open_shell(struct crosh_context *ctx, const struct crosh_args *args,
                      struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "vm");
    const char *user = crosh_args_string(args, "user");
    const char *const as_default[] = {"vsh", name, NULL};
    const char *const as_user[] = {"vsh", "--user", user, name, NULL};

    return crosh_run_words(ctx, user != NULL ? as_user : as_default, err);
}

/* Its ports are a convenience: without them the VM is as good as started. */
static void forward_ports(struct start *start)
{
    const char *const words[] = {"vsh", "forward", "--auto", "--background", start->name, NULL};
    struct crosh_error err = {0};

    if (start->config.forward_ports && crosh_run_words(start->ctx, words, &err) < 0)
        crosh_warn(start->ctx, "the ports of %s are not forwarded: %s", start->name, err.message);
}

int vmc_start(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct start start = {.ctx = ctx,
                          .args = args,
                          .name = crosh_args_string(args, "vm"),
                          .operation_lock = -1,
                          .runtime_fd = -1,
                          .launch = {.pidfd = -1},
                          .began_ms = deadline_now()};
    int rc = crosh_vm_check_name(start.name, err);

    if (rc < 0)
        return rc;
    progress_init(&start.progress, ctx);
    rc = start_vm(&start, err);
    if (rc >= 0) {
        forward_ports(&start);
        automount_begin(ctx, start.name, start.files.has_containers ? AUTOMOUNT_CONTAINER : NULL);
    }
    start_fini(&start);
    if (rc < 0 || crosh_args_has(args, "no-shell"))
        return rc;
    /* A shell needs somebody at a terminal; scripts go on with "vsh NAME -- COMMAND". */
    if (!isatty(crosh_stdin_fd(ctx)) || !isatty(crosh_stdout_fd(ctx)))
        return 0;
    return open_shell(ctx, args, err);
}
