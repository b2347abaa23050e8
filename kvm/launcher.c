/* SPDX-License-Identifier: MIT */
/*
 * Implements the life of one VM.
 *
 * Theory of operation: launcher_run() takes the VM's lock, opens log and sockets,
 * chooses a backend and boots a machine; from then on everything happens in
 * callbacks of one event loop. The vsock device outlives no boot: when the guest
 * announces a reboot, machine and device are made anew in place, while sockets of
 * ours, lock and process stay. However it ends, launcher_end() is told how, the
 * first reason counts, and the loop returns.
 */
#include "kvm/launcher.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "kvm/backend/choose.h"
#include "kvm/boot-file.h"
#include "kvm/confine.h"
#include "kvm/console-log.h"
#include "kvm/control/server.h"
#include "kvm/guest-link.h"
#include "kvm/kept-files.h"
#include "kvm/virtio/vsock.h"
#include "kvm/vm-lock.h"
#include "lib/base/cleanup.h"
#include "lib/wire/ports.h"

#define STAGE_COUNT 3

/* How long each step of a stop may take before the next, harder one. */
#define STOP_TIMEOUT_KVM_MS 10000
#define STOP_TIMEOUT_TCG_MS 30000

enum stop_step {
    STOP_NONE,
    STOP_ASKED,  /* the agent was asked to power off */
    STOP_BUTTON, /* the ACPI power button was pressed */
};

struct launcher {
    const struct launcher_config *config;
    struct machine_config machine_config;
    uint64_t start_us;

    struct event_loop *loop;
    int signal_fd;
    struct event_source *signals;
    struct control_server *control;
    struct console_log *console;
    struct guest_link *link;

    const struct machine_backend *backend;
    struct virtio_device *vsock;
    struct machine *machine;
    struct event_source *reboot; /* boots again, out of the old machine's callbacks */

    Control__State state;
    Control__StageTime stage[STAGE_COUNT];
    Control__StageTime *stage_list[STAGE_COUNT];
    size_t stage_count;
    char notice[768];
    char agent_version[64];
    char kernel_release[96];
    bool reboot_announced;

    enum stop_step stop_step;
    uint32_t stop_timeout_ms; /* 0: by backend */
    struct event_source *stop_timer;

    Control__EndReason end_reason;
    struct crosh_error end_error; /* message: the detail */
};

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static char *runtime_path(const struct launcher *l, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", l->config->runtime_dir, name) < 0 ? NULL : path;
}

/* The agent's words, without what could play tricks on a terminal. */
static void copy_guest_text(char *to, size_t size, const char *from)
{
    size_t i;

    for (i = 0; i + 1 < size && from[i] != '\0'; i++)
        to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    to[i] = '\0';
}

/* Events */

static void send_state(struct launcher *l, Control__State state)
{
    Control__Event event = CONTROL__EVENT__INIT;

    l->state = state;
    event.what_case = CONTROL__EVENT__WHAT_STATE;
    event.state = state;
    control_server_event(l->control, &event);
}

static void reach_stage(struct launcher *l, Control__Stage stage)
{
    Control__Event event = CONTROL__EVENT__INIT;
    Control__StageTime *time;

    if (l->stage_count == STAGE_COUNT)
        return;
    time = &l->stage[l->stage_count];
    *time = (Control__StageTime)CONTROL__STAGE_TIME__INIT;
    time->stage = stage;
    time->at_us = now_us() - l->start_us;
    l->stage_list[l->stage_count++] = time;
    event.what_case = CONTROL__EVENT__WHAT_STAGE;
    event.stage = time;
    control_server_event(l->control, &event);
}

static void send_notice(struct launcher *l)
{
    Control__Event event = CONTROL__EVENT__INIT;

    event.what_case = CONTROL__EVENT__WHAT_NOTICE;
    event.notice = l->notice;
    control_server_event(l->control, &event);
}

static void send_ended(struct launcher *l)
{
    Control__Event event = CONTROL__EVENT__INIT;
    Control__Ended ended = CONTROL__ENDED__INIT;

    ended.reason = l->end_reason;
    ended.detail = l->end_error.message;
    ended.code = l->end_error.code;
    ended.hint = l->end_error.hint;
    event.what_case = CONTROL__EVENT__WHAT_ENDED;
    event.ended = &ended;
    control_server_event(l->control, &event);
}

/* Notes how the VM ended, the first reason only, and lets the loop return. */
static void launcher_end(struct launcher *l, Control__EndReason reason, const char *detail)
{
    if (l->end_reason != CONTROL__END_REASON__END_NONE)
        return;
    l->end_reason = reason;
    crosh_error_set(&l->end_error, 0, "%s", detail);
    event_loop_quit(l->loop);
}

/* The guest link */

static void on_hello(void *opaque, const Guest__Hello *hello)
{
    struct launcher *l = opaque;

    copy_guest_text(l->agent_version, sizeof(l->agent_version), hello->agent_version);
    copy_guest_text(l->kernel_release, sizeof(l->kernel_release), hello->kernel_release);
    reach_stage(l, CONTROL__STAGE__STAGE_AGENT);
    if (l->state == CONTROL__STATE__STARTING)
        send_state(l, CONTROL__STATE__RUNNING);
    /* It was asked to stop before its agent was there to be asked. */
    if (l->stop_step != STOP_NONE)
        (void)guest_link_shutdown(l->link);
}

static void on_ending(void *opaque, Guest__Ending__Kind kind)
{
    struct launcher *l = opaque;

    l->reboot_announced = kind == GUEST__ENDING__KIND__REBOOT;
    if (l->state == CONTROL__STATE__RUNNING)
        send_state(l, CONTROL__STATE__STOPPING);
}

static void on_agent_lost(void *opaque)
{
    struct launcher *l = opaque;

    /* A guest that goes down takes its streams along; otherwise the agent will dial again. */
    if (l->state == CONTROL__STATE__RUNNING)
        fprintf(stderr, "crosh-vm: the agent's stream ended\n");
}

/* The machine */

static void on_vsock_started(void *opaque)
{
    reach_stage(opaque, CONTROL__STAGE__STAGE_KERNEL);
}

static void on_console_output(void *opaque, const void *data, size_t size)
{
    struct launcher *l = opaque;

    console_log_write(l->console, data, size);
}

static void on_console_input(void *opaque, const void *data, size_t size)
{
    struct launcher *l = opaque;

    if (l->machine != NULL)
        l->backend->console_input(l->machine, data, size);
}

static void on_machine_ended(void *opaque, enum machine_end end, const char *detail)
{
    struct launcher *l = opaque;

    switch (end) {
    case MACHINE_END_POWEROFF:
        launcher_end(l, CONTROL__END_REASON__END_POWEROFF, detail);
        return;
    case MACHINE_END_RESET:
        if (l->reboot_announced && l->stop_step == STOP_NONE && !l->config->no_reboot)
            event_timer_set(l->reboot, 0);
        else
            launcher_end(l, CONTROL__END_REASON__END_RESET, detail);
        return;
    case MACHINE_END_CRASH:
        launcher_end(l, CONTROL__END_REASON__END_CRASH, detail);
        return;
    }
}

static void machine_down(struct launcher *l)
{
    if (l->machine != NULL)
        l->backend->destroy(l->machine);
    l->machine = NULL;
    vsock_free(l->vsock);
    l->vsock = NULL;
    guest_link_free(l->link);
    l->link = NULL;
}

static int machine_up(struct launcher *l, struct crosh_error *err)
{
    static const struct guest_link_ops link_ops = {
        .hello = on_hello, .ending = on_ending, .lost = on_agent_lost};
    cleanup_free char *socket = runtime_path(l, "vsock.sock");
    struct vsock_config vsock = {.guest_cid = l->config->cid, .socket_path = socket};
    struct machine_host host = {.loop = l->loop,
                                .opaque = l,
                                .console_output = on_console_output,
                                .ended = on_machine_ended};

    l->stage_count = 0;
    l->reboot_announced = false;
    l->link = guest_link_new(l->loop, &link_ops, l);
    if (socket == NULL || l->link == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    l->vsock = vsock_new(l->loop, &vsock, err);
    if (l->vsock == NULL)
        return err->code;
    if (vsock_listen(l->vsock, PORT_GUEST_LINK, guest_link_accept, l->link) < 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    l->vsock->on_first_start = on_vsock_started;
    l->vsock->on_first_start_opaque = l;
    host.vsock = l->vsock;
    l->machine = l->backend->create(&l->machine_config, &host, err);
    if (l->machine == NULL)
        return err->code;
    send_state(l, CONTROL__STATE__STARTING);
    reach_stage(l, CONTROL__STAGE__STAGE_LAUNCHER);
    return l->backend->start(l->machine, err);
}

static void on_reboot(void *opaque)
{
    struct launcher *l = opaque;
    struct crosh_error err = {0};

    machine_down(l);
    if (machine_up(l, &err) < 0) {
        launcher_end(l, CONTROL__END_REASON__END_CRASH,
                     "the guest rebooted and could not be booted");
        crosh_error_set(&l->end_error, err.code, "rebooting: %s", err.message);
    }
}

/* Stopping: ask the agent, press the power button, end it; each step when the one before it did
   not do. */

static void stop_next_step(struct launcher *l)
{
    uint32_t timeout = l->stop_timeout_ms;

    if (l->machine == NULL)
        return; /* a reboot has just failed, and the loop is about to return */
    if (timeout == 0)
        timeout = l->backend == &machine_kvm ? STOP_TIMEOUT_KVM_MS : STOP_TIMEOUT_TCG_MS;
    if (l->stop_step == STOP_NONE && guest_link_shutdown(l->link)) {
        l->stop_step = STOP_ASKED;
    } else if (l->stop_step != STOP_BUTTON) {
        l->backend->power_button(l->machine);
        l->stop_step = STOP_BUTTON;
    } else {
        launcher_end(l, CONTROL__END_REASON__END_KILLED,
                     "the guest neither answered the request nor the power button");
        return;
    }
    event_timer_set(l->stop_timer, timeout);
}

static void on_stop_timer(void *opaque)
{
    stop_next_step(opaque);
}

static void launcher_stop(struct launcher *l, bool force, uint32_t timeout_ms, const char *who)
{
    if (force) {
        launcher_end(l, CONTROL__END_REASON__END_KILLED, who);
        return;
    }
    if (timeout_ms != 0)
        l->stop_timeout_ms = timeout_ms;
    if (l->stop_step != STOP_NONE)
        return;
    send_state(l, CONTROL__STATE__STOPPING);
    stop_next_step(l);
}

/* The control protocol */

static void on_control_status(void *opaque, Control__StatusReply *reply)
{
    struct launcher *l = opaque;

    reply->state = l->state;
    reply->pid = getpid();
    reply->accel = (char *)l->backend->name;
    reply->notice = l->notice;
    reply->vcpus = l->machine_config.vcpus;
    reply->memory_bytes = l->machine_config.memory_bytes;
    reply->uptime_us = now_us() - l->start_us;
    reply->n_stages = l->stage_count;
    reply->stages = l->stage_list;
    reply->agent_version = l->agent_version;
    reply->kernel_release = l->kernel_release;
    reply->cid = l->config->cid;
    reply->version = (char *)PACKAGE_VERSION;
}

static int on_control_stop(void *opaque, const Control__StopRequest *request,
                           struct crosh_error *err)
{
    (void)err;
    launcher_stop(opaque, request->force, request->timeout_ms, "ended by request");
    return 0;
}

/* A first SIGTERM or SIGINT is a wish, the second an order. */
static void on_signal(void *opaque, uint32_t events)
{
    struct launcher *l = opaque;
    struct signalfd_siginfo info;

    (void)events;
    if (read(l->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        launcher_stop(l, l->stop_step != STOP_NONE, 0, "ended by a second signal");
}

/* Set-up and end */

static int write_pid(struct launcher *l, struct crosh_error *err)
{
    cleanup_free char *path = runtime_path(l, "pid");
    cleanup_free char *ended = runtime_path(l, "ended");
    cleanup_fclose FILE *file = NULL;

    if (path == NULL || ended == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)unlink(ended);
    file = fopen(path, "we");
    if (file == NULL || fprintf(file, "%d\n", (int)getpid()) < 0 || fflush(file) != 0)
        return crosh_error_errno(err, "%s", path);
    return 0;
}

static int watch_signals(struct launcher *l, struct crosh_error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    /* Before any thread exists, so that vcpu threads inherit the mask. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return crosh_error_errno(err, "signals");
    l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->signal_fd < 0)
        return crosh_error_errno(err, "signals");
    l->signals = event_add(l->loop, l->signal_fd, EPOLLIN, on_signal, l);
    return l->signals != NULL ? 0 : crosh_error_errno(err, "signals");
}

/* The control socket comes first: the starter hears of everything after it. */
static int open_control(struct launcher *l, struct crosh_error *err)
{
    static const struct control_ops ops = {.status = on_control_status, .stop = on_control_stop};
    cleanup_free char *path = runtime_path(l, "control.sock");

    l->loop = event_loop_new(err);
    if (l->loop == NULL)
        return err->code;
    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    l->control = control_server_new(l->loop, path, &ops, l, err);
    if (l->control == NULL)
        return err->code;
    if (l->config->control_fd >= 0) {
        if (fcntl(l->config->control_fd, F_SETFD, FD_CLOEXEC) < 0)
            return crosh_error_errno(err, "--control-fd %d", l->config->control_fd);
        return control_server_adopt(l->control, l->config->control_fd, err);
    }
    return 0;
}

/* What is missing is said here once, in the same words for every backend. */
static int check_files(const struct machine_config *config, struct crosh_error *err)
{
    if (config->initrd != NULL && access(config->initrd, R_OK) < 0)
        return crosh_error_errno(err, "initrd %s", config->initrd);
    for (unsigned int i = 0; i < config->disk_count; i++) {
        const struct machine_disk *disk = &config->disk[i];

        if (access(disk->path, disk->read_only ? R_OK : R_OK | W_OK) < 0)
            return crosh_error_errno(err, "disk %s", disk->path);
    }
    return 0;
}

/* Network cards need the host's network, which a confined launcher has left. */
static int open_nics(struct launcher *l, struct crosh_error *err)
{
    struct machine_config *machine = &l->machine_config;

    for (unsigned int i = 0; i < machine->nic_count; i++)
        if (nic_open(&machine->nic[i], machine->name, i, machine->vcpus, err) < 0)
            return err->code;
    return 0;
}

static int set_up(struct launcher *l, struct crosh_error *err)
{
    int ret;

    if ((ret = watch_signals(l, err)) < 0 || (ret = write_pid(l, err)) < 0 ||
        (ret = boot_check_kernel(l->machine_config.kernel, err)) < 0 ||
        (ret = check_files(&l->machine_config, err)) < 0)
        return ret;
    l->reboot = event_timer_add(l->loop, on_reboot, l);
    l->stop_timer = event_timer_add(l->loop, on_stop_timer, l);
    if (l->reboot == NULL || l->stop_timer == NULL)
        return crosh_error_errno(err, "timers");
    l->console = console_log_new(l->loop, l->config->runtime_dir, on_console_input, l, err);
    if (l->console == NULL)
        return err->code;
    l->backend = backend_choose(l->config->accel, l->notice, sizeof(l->notice), err);
    if (l->backend == NULL)
        return err->code;
    if (l->notice[0] != '\0')
        send_notice(l);
    ret = open_nics(l, err);
    if (ret == 0)
        ret = confine(l->config, l->backend, err);
    return ret < 0 ? ret : machine_up(l, err);
}

static const struct {
    const char *name;
    int status;
} end_reasons[] = {
    [CONTROL__END_REASON__END_POWEROFF] = {"poweroff", 0},
    [CONTROL__END_REASON__END_RESET] = {"reset", 10},
    [CONTROL__END_REASON__END_CRASH] = {"crash", 11},
    [CONTROL__END_REASON__END_KILLED] = {"killed", 12},
    [CONTROL__END_REASON__END_FAILED] = {"failed", 1},
};

/* Leaves word of how it ended for those who ask later. */
static void write_ended(const struct launcher *l)
{
    cleanup_free char *path = runtime_path(l, "ended");
    cleanup_fclose FILE *file = path != NULL ? fopen(path, "we") : NULL;
    json_t *record = json_pack("{s:s, s:s, s:i, s:I}", "reason", end_reasons[l->end_reason].name,
                               "detail", l->end_error.message, "status",
                               end_reasons[l->end_reason].status, "time", (json_int_t)time(NULL));

    if (file == NULL || record == NULL || json_dumpf(record, file, JSON_COMPACT) < 0 ||
        fputc('\n', file) == EOF)
        fprintf(stderr, "crosh-vm: cannot write how the VM ended\n");
    json_decref(record);
}

static void print_error(const struct crosh_error *err)
{
    fprintf(stderr, "crosh-vm: %s\n", err->message);
    if (err->hint[0] != '\0')
        fprintf(stderr, "  %s\n", err->hint);
}

static void tear_down(struct launcher *l)
{
    cleanup_free char *pid = runtime_path(l, "pid");

    machine_down(l);
    if (pid != NULL)
        (void)unlink(pid);
    for (unsigned int i = 0; i < l->machine_config.nic_count; i++)
        nic_close(&l->machine_config.nic[i]);
    write_ended(l);
    console_log_free(l->console);
    /* Last: who waits for the event or for the socket to go finds everything else in order. */
    send_ended(l);
    control_server_free(l->control);
    event_remove(l->signals);
    if (l->signal_fd >= 0)
        close(l->signal_fd);
    event_loop_free(l->loop);
}

int launcher_run(const struct launcher_config *config, uint64_t start_us)
{
    struct launcher l = {
        .config = config, .machine_config = config->machine, .start_us = start_us, .signal_fd = -1};
    cleanup_free char *cmdline = NULL;
    struct vm_lock lock = VM_LOCK_NONE;
    struct crosh_error err = {0};

    if (vm_lock_take(&lock, config, &err) < 0 || open_control(&l, &err) < 0) {
        print_error(&err);
        control_server_free(l.control);
        event_loop_free(l.loop);
        vm_lock_release(&lock);
        return crosh_error_exit_status(err.code);
    }
    if (asprintf(&cmdline, "crosh.name=%s%s%s", config->machine.name,
                 config->cmdline != NULL ? " " : "",
                 config->cmdline != NULL ? config->cmdline : "") < 0)
        cmdline = NULL;
    l.machine_config.cmdline = cmdline;
    if (set_up(&l, &err) < 0 || event_loop_run(l.loop, &err) < 0) {
        print_error(&err);
        l.end_reason = CONTROL__END_REASON__END_FAILED;
        l.end_error = err;
    }
    tear_down(&l);
    kept_files_close();
    vm_lock_release(&lock);
    return end_reasons[l.end_reason].status;
}
