/* SPDX-License-Identifier: MIT */
/* Spawns crosh-vm by a double fork: it belongs to nobody, and no shell has to wait for it. */
#include "modules/vmc/launch.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/close_range.h>

#include "lib/base/cleanup.h"
#include "lib/vm/runtime.h"

#define LAUNCHER CROSH_LIBEXECDIR "/crosh-vm"
#define AGENT    CROSH_LIBEXECDIR "/crosh-agent"

/* Where the launcher finds its end of the control stream, and its network card's descriptors. */
#define CONTROL_FD 3
#define NETWORK_FD 4
#define FREE_FD    (NETWORK_FD + (int)CROSH_NET_FDS_MAX)

#define KILL_WAIT_MS 3000

/* A command line that grows; failed once memory lacked. */
struct argv {
    char **words;
    size_t count;
    bool failed;
};

static void argv_fini(struct argv *argv)
{
    crosh_strv_free(argv->words);
}

static void argv_add(struct argv *argv, const char *fmt, ...) CROSH_PRINTF(2, 3);

static void argv_add(struct argv *argv, const char *fmt, ...)
{
    char **grown = reallocarray(argv->words, argv->count + 2, sizeof(*grown));
    va_list ap;

    if (grown == NULL) {
        argv->failed = true;
        return;
    }
    argv->words = grown;
    grown[argv->count + 1] = NULL;
    va_start(ap, fmt);
    if (vasprintf(&grown[argv->count], fmt, ap) < 0) {
        grown[argv->count] = NULL;
        argv->failed = true;
    } else {
        argv->count++;
    }
    va_end(ap);
}

static void argv_add_network(struct argv *argv, const struct vm_network *network)
{
    char fds[CROSH_NET_FDS_MAX * 4] = "";

    if (network->fd_count == 0)
        return;
    for (size_t i = 0; i < network->fd_count; i++)
        (void)snprintf(fds + strlen(fds), sizeof(fds) - strlen(fds), "%s%d", i > 0 ? ":" : "",
                       NETWORK_FD + (int)i);
    argv_add(argv, "--net=fd=%s,mac=%s,mtu=%u", fds, network->mac, network->mtu);
}

static void argv_add_kernel_params(struct argv *argv, char *const *params,
                                   const struct vm_network *network)
{
    cleanup_free char *line = NULL;
    size_t i;

    if (network->fd_count > 0 && asprintf(&line, "crosh.net=%s", network->guest) < 0) {
        line = NULL;
        argv->failed = true;
        return;
    }

    for (i = 0; params != NULL && params[i] != NULL; i++) {
        char *longer = NULL;

        if (asprintf(&longer, "%s%s%s", line != NULL ? line : "", line != NULL ? " " : "",
                     params[i]) < 0) {
            argv->failed = true;
            return;
        }
        free(line);
        line = longer;
    }
    if (line != NULL)
        argv_add(argv, "--cmdline=%s", line);
}

/* The launcher takes what follows a comma as a property of the disk, unless there are two. */
static void argv_add_disk(struct argv *argv, const struct crosh_vm_disk *disk)
{
    cleanup_free char *text = malloc(2 * strlen(disk->path) + 1);
    char *to = text;

    if (text == NULL) {
        argv->failed = true;
        return;
    }
    for (const char *from = disk->path; *from != '\0'; from++) {
        if (*from == ',')
            *to++ = ',';
        *to++ = *from;
    }
    *to = '\0';
    argv_add(argv, "--disk%s=%s", disk->read_only ? "-ro" : "", text);
}

static void build_argv(struct argv *argv, const char *name, const char *runtime, const char *data,
                       const struct crosh_vm_config *config, const struct image_files *files,
                       const struct launch_how *how)
{
    size_t i;

    argv_add(argv, "%s", LAUNCHER);
    argv_add(argv, "--name=%s", name);
    argv_add(argv, "--runtime-dir=%s", runtime);
    argv_add(argv, "--lock=%s/lock", data);
    argv_add(argv, "--kernel=%s", files->kernel);
    if (files->initrd != NULL)
        argv_add(argv, "--initrd=%s", files->initrd);
    if (access(AGENT, R_OK) == 0)
        argv_add(argv, "--agent=%s", AGENT);
    argv_add_kernel_params(argv, config->kernel_params, how->network);
    argv_add(argv, "--cpus=%u", config->cpus);
    argv_add(argv, "--memory=%llu", (unsigned long long)config->memory_bytes);
    /* The agent takes the first disk as the root and the second one as the VM's data. */
    if (files->root != NULL)
        argv_add_disk(argv, &(struct crosh_vm_disk){.path = files->root, .read_only = true});
    if (files->root != NULL && how->data_disk != NULL)
        argv_add_disk(argv, &(struct crosh_vm_disk){.path = (char *)how->data_disk});
    for (i = 0; i < config->disk_count; i++)
        argv_add_disk(argv, &config->disks[i]);
    /* A kernel of the user's own may lack the driver of MMIO: the user knows. */
    if (files->has_mmio || strcmp(how->transport, "auto") != 0)
        argv_add(argv, "--transport=%s", how->transport);
    argv_add(argv, "--accel=%s", how->accel);
    argv_add(argv, "--vsock=%s", how->vsock);
    argv_add(argv, "--cid=%u", how->cid);
    argv_add_network(argv, how->network);
    argv_add(argv, "--control-fd=%d", CONTROL_FD);
}

/* The launcher must not inherit what the shell ignores or blocks. */
static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    int signal_number;

    for (signal_number = 1; signal_number < NSIG; signal_number++)
        (void)sigaction(signal_number, &action, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What the processes on the way to the launcher tell the shell. */
struct report {
    enum {
        REPORT_PID,     /* the launcher's id */
        REPORT_FAILURE, /* errno: there is no launcher */
    } kind;
    int value;
};

static void send_report(int fd, int kind, int value)
{
    struct report report = {.kind = kind, .value = value};

    /* Fits into a pipe at once, or nobody reads it. */
    (void)!write(fd, &report, sizeof(report));
}

struct launch_fds {
    int control, log; /* for the launcher */
    const struct vm_network *network;
    int report; /* to the shell */
    int go;     /* from the shell: end of file once it knows the launcher */
};

/*
 * Becomes the launcher. Between fork() and execve() of what may be a process
 * with threads: system calls only.
 */
static _Noreturn void become_launcher(char *const *argv, const struct launch_fds *fds)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Out of the way of the launcher's first: any of ours may be one of these. */
    int control = fcntl(fds->control, F_DUPFD_CLOEXEC, FREE_FD);
    int log = fcntl(fds->log, F_DUPFD_CLOEXEC, FREE_FD);
    int report = fcntl(fds->report, F_DUPFD_CLOEXEC, FREE_FD);
    int network[CROSH_NET_FDS_MAX];
    int last = CONTROL_FD;
    bool has_network = true;

    for (size_t i = 0; i < fds->network->fd_count; i++)
        network[i] = fcntl(fds->network->fd[i], F_DUPFD_CLOEXEC, FREE_FD);
    for (size_t i = 0; i < fds->network->fd_count; i++) {
        last = NETWORK_FD + (int)i;
        has_network = has_network && network[i] >= 0 && dup2(network[i], last) >= 0;
    }

    reset_signals();
    (void)umask(077);
    if (has_network && null_fd >= 0 && control >= 0 && log >= 0 && chdir("/") == 0 &&
        dup2(null_fd, 0) >= 0 && dup2(log, 1) >= 0 && dup2(log, 2) >= 0 &&
        dup2(control, CONTROL_FD) >= 0) {
        /* Ours all close on exec; this is for those of other modules that forgot to. */
        (void)syscall(SYS_close_range, last + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        (void)execv(argv[0], argv);
    }
    send_report(report, REPORT_FAILURE, errno);
    _exit(127);
}

/*
 * The process between: makes the session and the launcher, which becomes an
 * orphan. It stays until the shell has a descriptor of the launcher: up to then
 * the launcher's id, were it to end at once, is not anybody else's.
 */
static _Noreturn void become_parent(char *const *argv, const struct launch_fds *fds)
{
    pid_t pid;
    char byte;

    (void)setsid();
    pid = fork();
    if (pid == 0)
        become_launcher(argv, fds);
    send_report(fds->report, pid < 0 ? REPORT_FAILURE : REPORT_PID, pid < 0 ? errno : pid);
    (void)!read(fds->go, &byte, 1);
    _exit(0);
}

/* Hears the reports to their end. 0 with *pidfd, or a negative errno. */
static int hear_reports(int report_fd, int *go_fd, int *pidfd)
{
    struct report report;
    int failure = 0;

    for (;;) {
        ssize_t n = read(report_fd, &report, sizeof(report));

        if (n < 0 && errno == EINTR)
            continue;
        if (n != (ssize_t)sizeof(report))
            break;
        if (report.kind == REPORT_PID) {
            *pidfd = (int)syscall(SYS_pidfd_open, report.value, 0);
            if (*pidfd < 0)
                failure = errno;
        } else {
            failure = report.value;
        }
        /* Both know all now; the launcher's end of the pipe closes when it has begun. */
        if (*go_fd >= 0)
            (void)close(*go_fd);
        *go_fd = -1;
    }
    return failure != 0 ? -failure : *pidfd >= 0 ? 0 : -ECHILD;
}

static int fork_launcher(char *const *argv, int control_fd, int log_fd,
                         const struct vm_network *network, int *pidfd, struct crosh_error *err)
{
    cleanup_close int report_read = -1;
    cleanup_close int report_write = -1;
    cleanup_close int go_read = -1;
    cleanup_close int go_write = -1;
    int fds[2];
    pid_t between;
    int rc;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "pipe");
    report_read = fds[0];
    report_write = fds[1];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "pipe");
    go_read = fds[0];
    go_write = fds[1];
    between = fork();
    if (between < 0)
        return crosh_error_errno(err, "cannot fork");
    if (between == 0) {
        const struct launch_fds inherited = {.control = control_fd,
                                             .log = log_fd,
                                             .network = network,
                                             .report = report_write,
                                             .go = go_read};

        (void)close(go_write);
        become_parent(argv, &inherited);
    }
    (void)close(move_fd(report_write));
    *pidfd = -1;
    rc = hear_reports(report_read, &go_write, pidfd);
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
        ;
    if (rc < 0)
        crosh_error_set(err, -EIO, "cannot run %s: %s", argv[0], strerror(-rc));
    return rc < 0 ? crosh_error_hint(err, "install crosh again") : 0;
}

static int open_log(const char *name, struct crosh_error *err)
{
    cleanup_close int dir_fd = crosh_priv_vm_runtime_open(name, err);
    int fd;

    if (dir_fd < 0)
        return dir_fd;
    fd = openat(dir_fd, "launcher.log",
                O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : crosh_error_errno(err, "cannot open the launcher's log");
}

int launch_spawn(struct launch *launch, const char *name, const struct crosh_vm_config *config,
                 const struct image_files *files, const struct launch_how *how,
                 struct crosh_error *err)
{
    cleanup_free char *runtime = crosh_vm_runtime_dir(name, err);
    cleanup_free char *data = crosh_vm_dir(name);
    cleanup(argv_fini) struct argv argv = {0};
    cleanup_close int log_fd = -1;
    cleanup_close int ours = -1;
    cleanup_close int theirs = -1;
    int fds[2];
    int rc;

    *launch = (struct launch){.pidfd = -1};
    if (runtime == NULL)
        return err->code;
    build_argv(&argv, name, runtime, data, config, files, how);
    if (data == NULL || argv.failed)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    log_fd = open_log(name, err);
    if (log_fd < 0)
        return log_fd;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return crosh_error_errno(err, "socketpair");
    ours = fds[0];
    theirs = fds[1];
    rc = fork_launcher(argv.words, theirs, log_fd, how->network, &launch->pidfd, err);
    if (rc < 0)
        return rc;
    launch->control = crosh_priv_control_adopt(move_fd(ours), err);
    if (launch->control == NULL) {
        launch_kill(launch);
        launch_fini(launch);
        return err->code;
    }
    return 0;
}

bool launch_wait_gone(int pidfd, int timeout_ms)
{
    struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
    int n;

    do
        n = poll(&pfd, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

void launch_kill(struct launch *launch)
{
    if (launch->pidfd < 0)
        return;
    /* By request it takes its helpers along and notes how it ended. */
    if (launch->control == NULL ||
        crosh_priv_control_stop(launch->control, true, 0, KILL_WAIT_MS, NULL) < 0)
        (void)syscall(SYS_pidfd_send_signal, launch->pidfd, SIGTERM, NULL, 0);
    if (!launch_wait_gone(launch->pidfd, KILL_WAIT_MS)) {
        (void)syscall(SYS_pidfd_send_signal, launch->pidfd, SIGKILL, NULL, 0);
        (void)launch_wait_gone(launch->pidfd, KILL_WAIT_MS);
    }
}

void launch_fini(struct launch *launch)
{
    crosh_priv_control_close(launch->control);
    if (launch->pidfd >= 0)
        (void)close(launch->pidfd);
    *launch = (struct launch){.pidfd = -1};
}
