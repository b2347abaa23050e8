/* SPDX-License-Identifier: MIT */
/*
 * The machine as QEMU's software emulation runs it.
 *
 * Theory of operation: QEMU is a child that cannot outlive us. Four socket pairs
 * lead to it: QMP (commands and the reason of its end), the serial console, our
 * vsock device as a vhost-user backend over its shared guest memory, and its
 * stderr, whose last line explains an early death. All else that a guest sees
 * (disks, entropy, ACPI) is QEMU's own.
 */
#include "kvm/machine.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/backend/qemu-args.h"
#include "kvm/backend/qemu-disks.h"
#include "kvm/backend/qemu-figures.h"
#include "kvm/backend/qemu-ports.h"
#include "kvm/backend/qemu-shares.h"
#include "kvm/backend/qmp.h"
#include "kvm/virtio/vhost-user.h"
#include "lib/base/cleanup.h"
#include "lib/base/program.h"

struct machine {
    struct machine_host host;
    pid_t pid;
    int pid_fd;
    int console_fd;
    int stderr_fd;
    struct event_source *exit_source, *console_source, *stderr_source;
    struct qmp *qmp;
    struct qemu_figures figures;
    struct qemu_disks disks;
    struct qemu_shares shares;
    struct qemu_ports *ports;
    struct vhost_user *vhost_user;
    bool end_known; /* QMP told how the guest ended */
    bool panicked;
    char *registers; /* of a machine that panicked, in QEMU's words; NULL: unknown */
    bool is_started;
    bool is_stopped;                  /* as QEMU said, and not told otherwise since */
    unsigned int pause_reasons;       /* enum machine_pause */
    struct event_source *pause_timer; /* tells of a pause outside of pause() */
    enum machine_end end;
    bool last_line_ended; /* the next character starts a line anew */
    size_t last_line_size;
    char last_line[256]; /* of QEMU's stderr */
};

/* Our end and QEMU's end of each stream. */
enum stream { STREAM_QMP, STREAM_CONSOLE, STREAM_VSOCK, STREAM_STDERR, STREAM_COUNT };

struct streams {
    int ours[STREAM_COUNT];
    int theirs[STREAM_COUNT];
};

static int qemu_probe(struct crosh_error *err)
{
    cleanup_free char *program = program_find(arch_qemu.program);

    if (program != NULL)
        return 0;
    crosh_error_set(err, -ENOENT, "QEMU (%s) is not installed", arch_qemu.program);
    return crosh_error_hint(err, "install QEMU's system emulator (Debian, Ubuntu: apt install %s)",
                            arch_qemu.package);
}

/* QEMU stops with its disks' requests done; our part is the vsock device alone. */
static void on_pause_timer(void *opaque)
{
    struct machine *m = opaque;

    if (m->is_stopped && m->pause_reasons != 0 && m->host.paused != NULL)
        m->host.paused(m->host.opaque, true);
}

/* After a panic: QEMU stands still until it is told to go. */
static void on_registers(void *opaque, json_t *result)
{
    struct machine *m = opaque;
    const char *text = json_string_value(result);

    if (text != NULL && m->registers == NULL)
        m->registers = strdup(text);
}

static void look_at_panic(struct machine *m)
{
    m->panicked = true;
    (void)qmp_query(m->qmp, "human-monitor-command",
                    json_pack("{s:s}", "command-line", "info registers -a"), on_registers, m);
    qmp_execute(m->qmp, "quit");
}

static void on_qmp_event(void *opaque, const char *event, json_t *data)
{
    struct machine *m = opaque;
    const char *reason = json_string_value(json_object_get(data, "reason"));

    qemu_figures_event(&m->figures, event, data);
    qemu_disks_event(&m->disks, event, data);
    qemu_shares_event(&m->shares, event, data);
    qemu_ports_event(m->ports, event, data);
    if (strcmp(event, "GUEST_PANICKED") == 0 && !m->panicked)
        look_at_panic(m);
    if (strcmp(event, "STOP") == 0) {
        m->is_stopped = true;
        on_pause_timer(m);
    }
    if (strcmp(event, "SHUTDOWN") != 0 || reason == NULL)
        return;
    m->end_known = true;
    if (m->panicked || strcmp(reason, "guest-panic") == 0)
        m->end = MACHINE_END_CRASH;
    else if (strcmp(reason, "guest-reset") == 0)
        m->end = MACHINE_END_RESET;
    else if (strcmp(reason, "guest-shutdown") == 0)
        m->end = MACHINE_END_POWEROFF;
    else
        m->end_known = false;
}

static void on_console(void *opaque, uint32_t events)
{
    struct machine *m = opaque;
    char buf[4096];
    ssize_t n = recv(m->console_fd, buf, sizeof(buf), MSG_DONTWAIT);

    (void)events;
    if (n > 0)
        m->host.console_output(m->host.opaque, buf, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        event_modify(m->console_source, 0);
}

/* Passes QEMU's words on and remembers the last line. */
static void on_stderr(void *opaque, uint32_t events)
{
    struct machine *m = opaque;
    char buf[1024];
    ssize_t n = recv(m->stderr_fd, buf, sizeof(buf), MSG_DONTWAIT);

    (void)events;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        event_modify(m->stderr_source, 0);
    if (n <= 0)
        return;
    (void)!write(STDERR_FILENO, buf, (size_t)n);
    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] == '\n') {
            m->last_line_ended = true;
            continue;
        }
        if (m->last_line_ended)
            m->last_line_size = 0;
        m->last_line_ended = false;
        if (m->last_line_size + 1 < sizeof(m->last_line))
            m->last_line[m->last_line_size++] = buf[i];
    }
}

static void on_exit_of_qemu(void *opaque, uint32_t events)
{
    struct machine *m = opaque;
    char detail[400];
    siginfo_t info = {0};

    (void)events;
    if (waitid(P_PID, (id_t)m->pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return;
    m->pid = -1;
    event_modify(m->exit_source, 0);
    /* What it said before its end may still lie in the socket pairs. */
    qmp_drain(m->qmp);
    on_console(m, EPOLLIN);
    on_stderr(m, EPOLLIN);
    m->last_line[m->last_line_size] = '\0';
    if (m->end_known) {
        m->host.ended(m->host.opaque, m->end,
                      m->end == MACHINE_END_CRASH ? "the guest's kernel panicked" : "");
        return;
    }
    if (info.si_code == CLD_EXITED)
        snprintf(detail, sizeof(detail), "QEMU ended with status %d: %s", info.si_status,
                 m->last_line);
    else
        snprintf(detail, sizeof(detail), "QEMU was killed by signal %d%s%s", info.si_status,
                 m->last_line_size > 0 ? ": " : "", m->last_line);
    m->host.ended(m->host.opaque, MACHINE_END_CRASH, detail);
}

static void on_frontend_gone(void *opaque, const char *detail)
{
    (void)opaque;
    /* QEMU hangs up when it ends, which its pidfd reports; a broken protocol is news. */
    if (detail != NULL)
        fprintf(stderr, "crosh-vm: the guest's vsock device is lost: %s\n", detail);
}

static void close_streams(struct streams *streams)
{
    for (int i = 0; i < STREAM_COUNT; i++) {
        if (streams->ours[i] >= 0)
            close(streams->ours[i]);
        if (streams->theirs[i] >= 0)
            close(streams->theirs[i]);
    }
}

static int open_streams(struct streams *streams, struct crosh_error *err)
{
    for (int i = 0; i < STREAM_COUNT; i++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            return crosh_error_errno(err, "socket pair for QEMU");
        streams->ours[i] = pair[0];
        streams->theirs[i] = pair[1];
    }
    return 0;
}

/* In the child: becomes QEMU, or says on its stderr why not. */
static void __attribute__((noreturn))
become_qemu(const char *program, char *const *argv, const struct machine_config *config,
            const struct streams *streams, const struct qemu_ports *ports, pid_t parent)
{
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    /* Die with the launcher, also when it died before this took effect. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    /* A signal to the launcher's group is the launcher's to handle. */
    (void)setpgid(0, 0);
    (void)dup2(streams->theirs[STREAM_STDERR], STDERR_FILENO);
    for (int i = 0; i < STREAM_COUNT; i++)
        (void)fcntl(streams->theirs[i], F_SETFD, 0);
    for (unsigned int i = 0; i < config->nic_count; i++)
        for (unsigned int j = 0; j < config->nic[i].end->queue_count; j++)
            (void)fcntl(config->nic[i].end->fd[j], F_SETFD, 0);
    for (unsigned int i = 0; i < config->port_count; i++)
        (void)fcntl(qemu_ports_fd(ports, i), F_SETFD, 0);
    for (unsigned int i = 0; i < config->disk_count; i++)
        if (config->disk[i].fd > 0)
            (void)fcntl(config->disk[i].fd, F_SETFD, 0);
    /* Whoever starts the VM again waits for the lock, and so for us to have let go of the disks:
       a launcher that is killed may be gone before. */
    if (config->lock_fd > 0)
        (void)fcntl(config->lock_fd, F_SETFD, 0);
    (void)execv(program, argv);
    dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

static int spawn(struct machine *m, const struct machine_config *config,
                 const struct streams *streams, struct crosh_error *err)
{
    cleanup_free char *program = program_find(arch_qemu.program);
    cleanup(qemu_args_free) struct qemu_args args = {0};
    pid_t parent = getpid();

    if (program == NULL)
        return qemu_probe(err);
    if (qemu_args_build(&args, program, config, streams->theirs[STREAM_QMP],
                        streams->theirs[STREAM_CONSOLE], streams->theirs[STREAM_VSOCK],
                        m->ports) < 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    m->pid = fork();
    if (m->pid < 0)
        return crosh_error_errno(err, "starting QEMU");
    if (m->pid == 0)
        become_qemu(program, args.argv, config, streams, m->ports, parent);
    qemu_ports_spawned(m->ports);
    m->pid_fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
    return m->pid_fd < 0 ? crosh_error_errno(err, "starting QEMU") : 0;
}

static int attach(struct machine *m, struct streams *streams, const struct machine_config *config,
                  struct crosh_error *err)
{
    struct event_loop *loop = m->host.loop;

    m->console_fd = move_fd(streams->ours[STREAM_CONSOLE]);
    m->stderr_fd = move_fd(streams->ours[STREAM_STDERR]);
    m->qmp = qmp_new(loop, move_fd(streams->ours[STREAM_QMP]), on_qmp_event, m);
    m->vhost_user = vhost_user_new(loop, m->host.vsock, move_fd(streams->ours[STREAM_VSOCK]),
                                   on_frontend_gone, m, err);
    if (m->vhost_user == NULL)
        return err->code;
    m->pause_timer = event_timer_add(loop, on_pause_timer, m);
    m->exit_source = event_add(loop, m->pid_fd, EPOLLIN, on_exit_of_qemu, m);
    m->console_source = event_add(loop, m->console_fd, EPOLLIN, on_console, m);
    m->stderr_source = event_add(loop, m->stderr_fd, EPOLLIN, on_stderr, m);
    if (m->qmp == NULL || m->pause_timer == NULL || m->exit_source == NULL ||
        m->console_source == NULL || m->stderr_source == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    qemu_figures_init(&m->figures, m->qmp, &m->host, config->memory_bytes);
    qemu_shares_init(&m->shares, &m->host, m->qmp);
    return qemu_disks_init(&m->disks, &m->host, m->qmp, config, err);
}

static void qemu_destroy(struct machine *m)
{
    if (m->pid > 0) {
        (void)kill(m->pid, SIGKILL);
        (void)waitpid(m->pid, NULL, 0);
    }
    event_remove(m->exit_source);
    event_remove(m->pause_timer);
    event_remove(m->console_source);
    event_remove(m->stderr_source);
    vhost_user_free(m->vhost_user);
    qmp_free(m->qmp);
    qemu_figures_fini(&m->figures);
    qemu_disks_fini(&m->disks);
    qemu_ports_free(m->ports);
    if (m->pid_fd >= 0)
        close(m->pid_fd);
    if (m->console_fd >= 0)
        close(m->console_fd);
    if (m->stderr_fd >= 0)
        close(m->stderr_fd);
    free(m->registers);
    free(m);
}

static struct machine *qemu_create(const struct machine_config *config,
                                   const struct machine_host *host, struct crosh_error *err)
{
    cleanup(close_streams) struct streams streams = {.ours = {-1, -1, -1, -1},
                                                     .theirs = {-1, -1, -1, -1}};
    struct machine *m;

    if (config->transport == MACHINE_TRANSPORT_MMIO) {
        crosh_error_set(err, -EOPNOTSUPP, "software emulation has no virtio over MMIO");
        crosh_error_hint(err, "leave --transport out");
        return NULL;
    }
    m = calloc(1, sizeof(*m));
    if (m == NULL) {
        crosh_error_errno(err, "QEMU");
        return NULL;
    }
    m->host = *host;
    m->pid = -1;
    m->pid_fd = m->console_fd = m->stderr_fd = -1;
    m->ports = qemu_ports_new(host->loop, config, err);
    if (m->ports == NULL || open_streams(&streams, err) < 0 ||
        spawn(m, config, &streams, err) < 0 || attach(m, &streams, config, err) < 0) {
        qemu_destroy(m);
        return NULL;
    }
    return m;
}

static json_t *qemu_report(struct machine *m)
{
    json_t *report = json_object();
    json_t *lines = json_array();
    char *rest = m->registers, *line;

    while (rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
        line[strcspn(line, "\r")] = '\0';
        if (*line != '\0')
            (void)json_array_append_new(lines, json_string(line));
    }
    (void)json_object_set_new(report, "registers", lines);
    return report;
}

static int qemu_start(struct machine *m, struct crosh_error *err)
{
    (void)err;
    m->is_started = true;
    m->is_stopped = m->pause_reasons != 0; /* it begins so */
    if (m->is_stopped)
        event_timer_set(m->pause_timer, 0);
    else
        qmp_execute(m->qmp, "cont");
    return 0;
}

static void qemu_pause(struct machine *m, enum machine_pause reason)
{
    m->pause_reasons |= reason;
    if (m->is_stopped)
        event_timer_set(m->pause_timer, 0);
    else if (m->is_started) {
        /* QEMU takes the rings away from a device whose machine stands still. */
        m->host.vsock->is_suspended = m->host.vsock->started;
        qmp_execute(m->qmp, "stop");
    }
}

static void qemu_resume(struct machine *m, enum machine_pause reason)
{
    if ((m->pause_reasons & reason) == 0)
        return;
    m->pause_reasons &= ~(unsigned int)reason;
    if (m->pause_reasons != 0 || !m->is_started)
        return;
    m->is_stopped = false;
    qmp_execute(m->qmp, "cont");
}

static void qemu_set_balloon(struct machine *m, uint64_t bytes)
{
    qemu_figures_set_balloon(&m->figures, bytes);
}

static bool qemu_refresh(struct machine *m)
{
    return qemu_figures_refresh(&m->figures);
}

static int qemu_balloon(struct machine *m, Control__Balloon *balloon)
{
    return qemu_figures_balloon(&m->figures, balloon);
}

static int qemu_stats(struct machine *m, Control__StatsReply *stats)
{
    return qemu_figures_stats(&m->figures, m->pid, stats);
}

static void qemu_disk_change(struct machine *m, const struct machine_disk_change *change,
                             machine_done_fn *done, void *opaque)
{
    qemu_disks_change(&m->disks, change, done, opaque);
}

static bool qemu_disk_info(struct machine *m, const char *name, struct machine_disk_info *info)
{
    return qemu_disks_info(&m->disks, name, info);
}

static void qemu_disk_retry(struct machine *m)
{
    qemu_disks_retry(&m->disks);
}

static void qemu_share_attach(struct machine *m, const struct fs_share *share,
                              machine_done_fn *done, void *opaque)
{
    qemu_shares_attach(&m->shares, share, done, opaque);
}

static void qemu_share_detach(struct machine *m, const char *tag, machine_done_fn *done,
                              void *opaque)
{
    qemu_shares_detach(&m->shares, tag, done, opaque);
}

static bool qemu_share_is_detachable(struct machine *m, const char *tag)
{
    return qemu_shares_has(&m->shares, tag);
}

static int qemu_port_connect(struct machine *m, const char *name, int fd, struct crosh_error *err)
{
    return qemu_ports_connect(m->ports, name, fd, err);
}

static void qemu_power_button(struct machine *m)
{
    if (arch_qemu.button_device == NULL)
        qmp_execute(m->qmp, "system_powerdown");
    else
        (void)qmp_query(m->qmp, "send-key",
                        json_pack("{s:[{s:s, s:s}]}", "keys", "type", "qcode", "data", "power"),
                        NULL, NULL);
}

static void qemu_console_input(struct machine *m, const void *data, size_t size)
{
    (void)send(m->console_fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

const struct machine_backend machine_qemu = {
    .name = "tcg",
    .probe = qemu_probe,
    .create = qemu_create,
    .start = qemu_start,
    .pause = qemu_pause,
    .resume = qemu_resume,
    .set_balloon = qemu_set_balloon,
    .refresh = qemu_refresh,
    .balloon = qemu_balloon,
    .stats = qemu_stats,
    .report = qemu_report,
    .disk_change = qemu_disk_change,
    .disk_info = qemu_disk_info,
    .disk_retry = qemu_disk_retry,
    .share_attach = qemu_share_attach,
    .share_detach = qemu_share_detach,
    .share_is_detachable = qemu_share_is_detachable,
    .port_connect = qemu_port_connect,
    .power_button = qemu_power_button,
    .console_input = qemu_console_input,
    .destroy = qemu_destroy,
};
