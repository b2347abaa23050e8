/* SPDX-License-Identifier: MIT */
/* Starts crosh-vm, and the processes that serve it directories. */
#include "modules/vmc/launch.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/runtime.h"
#include "modules/vmc/share.h"
#include "modules/vmc/spawn.h"

#define LAUNCHER CROSH_LIBEXECDIR "/crosh-vm"
#define AGENT    CROSH_LIBEXECDIR "/crosh-agent"

/* Where the launcher finds its end of the control stream, and its network card's descriptors. */
#define CONTROL_FD SPAWN_FIRST_FD
#define NETWORK_FD (CONTROL_FD + 1)
_Static_assert(SPAWN_MAX_FDS >= 1 + CROSH_NET_FDS_MAX, "they can be given");

#define KILL_WAIT_MS 3000

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

/* The launcher takes what follows a comma as another property, unless there are two. NULL without
   memory. */
static char *double_commas(const char *from)
{
    char *text = malloc(2 * strlen(from) + 1);
    char *to = text;

    if (text == NULL)
        return NULL;
    for (; *from != '\0'; from++) {
        if (*from == ',')
            *to++ = ',';
        *to++ = *from;
    }
    *to = '\0';
    return text;
}

static void argv_add_disk(struct argv *argv, const struct crosh_vm_disk *disk)
{
    cleanup_free char *text = double_commas(disk->path);

    argv_add(argv, "--disk%s=%s", disk->read_only ? "-ro" : "", text != NULL ? text : "");
    argv->failed |= text == NULL;
}

static void argv_add_share(struct argv *argv, const char *runtime,
                           const struct crosh_vm_share *share)
{
    cleanup_free char *text = double_commas(runtime);

    argv_add(argv, "--fs=tag=%s,socket=%s/" SHARE_SOCKET "%s,mount%s", share->name,
             text != NULL ? text : "", share->name, share->read_only ? ",ro" : "");
    argv->failed |= text == NULL;
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
    for (i = 0; i < config->share_count; i++)
        argv_add_share(argv, runtime, &config->shares[i]);
    for (i = 0; config->ports != NULL && config->ports[i] != NULL; i++)
        argv_add(argv, "--port=%s", config->ports[i]);
    if (config->shared_memory)
        argv_add(argv, "--shared-memory");
    if (config->huge_pages)
        argv_add(argv, "--hugepages");
    /* A kernel of the user's own may lack the driver of MMIO: the user knows. */
    if (files->has_mmio || strcmp(how->transport, "auto") != 0)
        argv_add(argv, "--transport=%s", how->transport);
    argv_add(argv, "--accel=%s", how->accel);
    argv_add(argv, "--vsock=%s", how->vsock);
    argv_add(argv, "--cid=%u", how->cid);
    argv_add_network(argv, how->network);
    argv_add(argv, "--control-fd=%d", CONTROL_FD);
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

/* The sockets of the shares, before anybody dials them. */
static int listen_shares(const char *runtime, const struct crosh_vm_config *config,
                         int fds[CROSH_VM_MAX_SHARES], struct crosh_error *err)
{
    for (size_t i = 0; i < config->share_count; i++) {
        fds[i] = share_listen(runtime, config->shares[i].name, err);
        if (fds[i] < 0)
            return fds[i];
    }
    return 0;
}

static int serve_shares(const char *runtime, const struct crosh_vm_config *config,
                        const int fds[CROSH_VM_MAX_SHARES], int vm_pidfd, int log_fd,
                        struct crosh_error *err)
{
    for (size_t i = 0; i < config->share_count; i++) {
        int rc = share_serve(runtime, config, &config->shares[i], fds[i], vm_pidfd, log_fd, err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Sockets of shares; -1: none. */
struct share_fds {
    int fd[CROSH_VM_MAX_SHARES];
};

#define SHARE_FDS_NONE                                                                             \
    {                                                                                              \
        .fd = { -1, -1, -1, -1 }                                                                   \
    }
_Static_assert(CROSH_VM_MAX_SHARES == 4, "as many as SHARE_FDS_NONE has");

static void close_share_fds(struct share_fds *fds)
{
    for (size_t i = 0; i < CROSH_VM_MAX_SHARES; i++)
        if (fds->fd[i] >= 0)
            (void)close(fds->fd[i]);
}

int launch_spawn(struct launch *launch, const char *name, const struct crosh_vm_config *config,
                 const struct image_files *files, const struct launch_how *how,
                 struct crosh_error *err)
{
    cleanup_free char *runtime = crosh_vm_runtime_dir(name, err);
    cleanup_free char *data = crosh_vm_dir(name);
    cleanup(argv_fini) struct argv argv = {0};
    cleanup(close_share_fds) struct share_fds shares = SHARE_FDS_NONE;
    cleanup_close int log_fd = -1;
    cleanup_close int ours = -1;
    cleanup_close int theirs = -1;
    int given[SPAWN_MAX_FDS];
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
    rc = listen_shares(runtime, config, shares.fd, err);
    if (rc < 0)
        return rc;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return crosh_error_errno(err, "socketpair");
    ours = fds[0];
    theirs = fds[1];
    given[0] = theirs;
    for (size_t i = 0; i < how->network->fd_count; i++)
        given[1 + i] = how->network->fd[i];
    rc = spawn_orphan(argv.words, given, 1 + how->network->fd_count, log_fd, &launch->pidfd, err);
    if (rc < 0)
        return rc;
    launch->control = crosh_priv_control_adopt(move_fd(ours), err);
    if (launch->control == NULL ||
        serve_shares(runtime, config, shares.fd, launch->pidfd, log_fd, err) < 0) {
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
