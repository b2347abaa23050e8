/* SPDX-License-Identifier: MIT */
/*
 * Implements the life of one VM.
 *
 * Theory of operation: launcher_run() opens log and sockets,
 * chooses a backend and boots a machine; from then on everything happens in
 * callbacks of one event loop. The vsock device outlives no boot: when the guest
 * announces a reboot, machine and device are made anew in place, while sockets of
 * ours, lock and process stay. However it ends, launcher_end() is told how, the
 * first reason counts, and the loop returns. This file sets up and takes down;
 * launcher-machine.c, launcher-events.c and launcher-stop.c are the parts, and
 * control/requests.c is what clients of the control socket may ask for.
 */
#include "kvm/launcher-internal.h"

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
#include "kvm/control/requests.h"
#include "kvm/kept-files.h"
#include "kvm/launcher-disks.h"
#include "kvm/launcher-vsock.h"
#include "lib/base/cleanup.h"
#include "lib/base/unix-socket.h"

char *launcher_path(const struct launcher *l, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", l->config->runtime_dir, name) < 0 ? NULL : path;
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
    cleanup_free char *path = launcher_path(l, "pid");
    cleanup_fclose FILE *file = NULL;

    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    file = fopen(path, "we");
    if (file == NULL || fprintf(file, "%d\n", (int)l->config->pid) < 0 || fflush(file) != 0)
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

/* A guest need not find out by itself, up to a minute later. */
static void on_clock_set(void *opaque)
{
    struct launcher *l = opaque;

    if (l->link != NULL && !l->pause.is_paused)
        (void)guest_link_resumed(l->link, false, NULL);
}

/* The control socket comes first: the starter hears of everything after it. */
static int open_control(struct launcher *l, struct crosh_error *err)
{
    cleanup_free char *path = launcher_path(l, "control.sock");

    l->loop = event_loop_new(err);
    if (l->loop == NULL)
        return err->code;
    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    l->control = control_server_new(l->loop, path, control_requests, l, err);
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

/* What is outside of the machine: network cards need the host's network, which a confined launcher
   has left. QEMU sees to shared directories itself. */
static int open_connections(struct launcher *l, struct crosh_error *err)
{
    struct machine_config *machine = &l->machine_config;

    for (unsigned int i = 0; i < machine->nic_count; i++)
        if (nic_open(&machine->nic[i], machine->name, i, machine->vcpus, err) < 0)
            return err->code;
    for (unsigned int i = 0; i < machine->share_count && l->backend == &machine_kvm; i++)
        if (fs_share_open(&machine->share[i], err) < 0)
            return err->code;
    return 0;
}

static char *port_path(const struct launcher *l, const struct machine_port *port)
{
    char *path;

    return asprintf(&path, "%s/port.sock_%s", l->config->runtime_dir, port->name) < 0 ? NULL : path;
}

static int open_ports(struct launcher *l, struct crosh_error *err)
{
    for (unsigned int i = 0; i < l->machine_config.port_count; i++) {
        struct machine_port *port = &l->machine_config.port[i];
        cleanup_free char *path = port_path(l, port);

        if (path == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        port->listen_fd = unix_listen(path, err);
        if (port->listen_fd < 0)
            return port->listen_fd;
    }
    return 0;
}

static void close_ports(struct launcher *l)
{
    for (unsigned int i = 0; i < l->machine_config.port_count; i++) {
        struct machine_port *port = &l->machine_config.port[i];
        cleanup_free char *path = port_path(l, port);

        if (port->listen_fd < 0)
            continue;
        (void)close(port->listen_fd);
        if (path != NULL)
            (void)unlink(path);
    }
}

static int set_up(struct launcher *l, struct crosh_error *err)
{
    int ret;

    if ((ret = watch_signals(l, err)) < 0 || (ret = write_pid(l, err)) < 0 ||
        (ret = boot_check_kernel(l->machine_config.kernel, err)) < 0 ||
        (ret = check_files(&l->machine_config, err)) < 0)
        return ret;
    l->reboot = event_timer_add(l->loop, launcher_on_reboot, l);
    l->stop_timer = event_timer_add(l->loop, launcher_on_stop_timer, l);
    l->wall_clock = wall_clock_new(l->loop, on_clock_set, l);
    if (l->reboot == NULL || l->stop_timer == NULL || l->wall_clock == NULL)
        return crosh_error_errno(err, "timers");
    ret = launcher_figures_init(l, err);
    if (ret < 0)
        return ret;
    l->console =
        console_log_new(l->loop, l->config->runtime_dir, launcher_on_console_input, l, err);
    if (l->console == NULL)
        return err->code;
    l->backend = backend_choose(l->config->accel, l->notice, sizeof(l->notice), err);
    if (l->backend == NULL)
        return err->code;
    if (l->notice[0] != '\0')
        launcher_send_notice(l);
    ret = open_connections(l, err);
    if (ret == 0)
        ret = launcher_upgrade_init(l, err);
    if (ret == 0)
        ret = open_ports(l, err);
    if (ret == 0)
        ret = launcher_vsock_init(l, err);
    if (ret == 0)
        ret = confine(l->config, l->backend, err);
    return ret < 0 ? ret : launcher_machine_up(l, err);
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
    [CONTROL__END_REASON__END_SUSPENDED] = {"suspended", 0},
};

/* Leaves word of how it ended for those who ask later: all of it at once, or none. */
static void write_ended(const struct launcher *l)
{
    cleanup_free char *path = launcher_path(l, "ended");
    cleanup_free char *beside = launcher_path(l, "ended.new");
    FILE *file = beside != NULL ? fopen(beside, "we") : NULL;
    json_t *record = json_pack("{s:s, s:s, s:i, s:I}", "reason", end_reasons[l->end_reason].name,
                               "detail", l->end_error.message, "status",
                               end_reasons[l->end_reason].status, "time", (json_int_t)time(NULL));
    bool is_written = file != NULL && record != NULL &&
                      json_dumpf(record, file, JSON_COMPACT) == 0 && fputc('\n', file) != EOF;

    if (file != NULL && fclose(file) != 0)
        is_written = false;
    if (!is_written || path == NULL || rename(beside, path) < 0)
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
    cleanup_free char *pid = launcher_path(l, "pid");

    launcher_machine_down(l);
    launcher_disks_fini(l);
    if (pid != NULL)
        (void)unlink(pid);
    for (unsigned int i = 0; i < l->machine_config.nic_count; i++)
        nic_close(&l->machine_config.nic[i]);
    for (unsigned int i = 0; i < l->machine_config.share_count; i++)
        fs_share_close(&l->machine_config.share[i]);
    write_ended(l);
    console_log_free(l->console);
    launcher_figures_fini(l);
    launcher_upgrade_fini(l);
    wall_clock_free(l->wall_clock);
    close_ports(l);
    launcher_vsock_fini(l);
    /* Last: who waits for the event or for the socket to go finds everything else in order. */
    launcher_send_ended(l);
    control_server_free(l->control);
    event_remove(l->signals);
    if (l->signal_fd >= 0)
        close(l->signal_fd);
    event_loop_free(l->loop);
}

int launcher_run(const struct launcher_config *config, uint64_t start_us)
{
    struct launcher l = {.config = config,
                         .machine_config = config->machine,
                         .start_us = start_us,
                         .signal_fd = -1,
                         .vhost_fd = -1,
                         .times = PROCESS_TIMES_NONE};
    cleanup_free char *cmdline = NULL;
    struct crosh_error err = {0};

    if (open_control(&l, &err) < 0) {
        print_error(&err);
        control_server_free(l.control);
        event_loop_free(l.loop);
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
    return end_reasons[l.end_reason].status;
}
