/* SPDX-License-Identifier: MIT */
/* Implements the keeper's client. */
#include "lib/net/client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/vm/dirs.h"

#define KEEPER         CROSH_LIBEXECDIR "/crosh-net"
#define START_WAIT_MS  60000
#define ANSWER_WAIT_MS 60000
#define READY_FD       3
/* Somebody else starts or ends a keeper at this moment. */
#define RETRY_MS 20
#define TRIES    3

static int open_directory(char **path, struct crosh_error *err)
{
    cleanup_free char *runtime = crosh_runtime_dir(err);

    if (runtime == NULL)
        return err != NULL ? err->code : -EIO;
    if (asprintf(path, "%s/%s", runtime, CROSH_NET_DIR) < 0) {
        *path = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    return crosh_priv_dir_open(*path, err);
}

static int connect_keeper(int dir_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir_fd,
                   CROSH_NET_SOCKET);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return move_fd(fd);
}

/* In the child: the keeper, in a session of its own, orphaned. */
static _Noreturn void become_keeper(const char *directory, int dir_fd, int ready)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = openat(dir_fd, "keeper.log",
                     O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    int pipe_fd = fcntl(ready, F_DUPFD_CLOEXEC, READY_FD + 1);
    sigset_t none;

    (void)setsid();
    if (fork() != 0)
        _exit(0);
    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, &action, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)umask(077);
    if (null_fd >= 0 && log >= 0 && pipe_fd >= 0 && fchdir(dir_fd) == 0 && dup2(null_fd, 0) >= 0 &&
        dup2(log, 1) >= 0 && dup2(log, 2) >= 0 && dup2(pipe_fd, READY_FD) >= 0) {
        (void)syscall(SYS_close_range, READY_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        (void)execl(KEEPER, KEEPER, "--directory", directory, "--ready-fd", "3", (char *)NULL);
    }
    dprintf(pipe_fd, "%d\n%s: %s\n\n", -errno, KEEPER, strerror(errno));
    _exit(127);
}

/* What a keeper that cannot begin says: code, message, hint, a line each. Nothing: it has begun. */
static int hear_keeper(int fd, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(START_WAIT_MS);
    char text[1024];
    size_t used = 0;
    char *message, *hint;
    int code;

    for (;;) {
        ssize_t n;

        code = deadline_poll(fd, POLLIN, deadline);
        if (code < 0)
            return crosh_error_set(err, code, "the keeper of the VMs' network does not begin");
        n = read(fd, text + used, sizeof(text) - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    if (used == 0)
        return 0;
    message = strchr(text, '\n');
    code = atoi(text);
    if (message == NULL || code >= 0)
        return crosh_error_set(err, -EIO, "the keeper of the VMs' network died");
    *message++ = '\0';
    hint = message + strcspn(message, "\n");
    if (*hint != '\0')
        *hint++ = '\0';
    hint[strcspn(hint, "\n")] = '\0';
    crosh_error_set(err, code, "%s", message);
    if (*hint != '\0')
        crosh_error_hint(err, "%s", hint);
    return code;
}

static int start_keeper(const char *directory, int dir_fd, struct crosh_error *err)
{
    cleanup_close int ready = -1;
    int fds[2];
    pid_t pid;
    int code;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "pipe");
    ready = fds[0];
    pid = fork();
    if (pid == 0)
        become_keeper(directory, dir_fd, fds[1]);
    (void)close(fds[1]);
    if (pid < 0)
        return crosh_error_errno(err, "cannot fork");
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    code = hear_keeper(ready, err);
    /* Another one has begun meanwhile, or is about to end. */
    return code == -EAGAIN ? 0 : code;
}

static int reach_keeper(bool start, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(START_WAIT_MS);
    cleanup_free char *directory = NULL;
    cleanup_close int dir_fd = open_directory(&directory, err);

    if (dir_fd < 0)
        return dir_fd;
    for (;;) {
        int fd = connect_keeper(dir_fd);
        int code;

        if (fd >= 0)
            return fd;
        if (fd != -ENOENT && fd != -ECONNREFUSED)
            return crosh_error_set(err, fd, "cannot reach the keeper of the VMs' network: %s",
                                   strerror(-fd));
        if (!start)
            return crosh_error_set(err, -ENOTCONN, "no VM of this session has a network");
        code = start_keeper(directory, dir_fd, err);
        if (code < 0)
            return code;
        if (deadline_now() >= deadline)
            return crosh_error_set(err, -ETIMEDOUT,
                                   "the keeper of the VMs' network does not begin");
        (void)poll(NULL, 0, RETRY_MS);
    }
}

static void drop_fds(int *fds, size_t *count)
{
    while (count != NULL && *count > 0)
        (void)close(fds[--*count]);
}

int crosh_priv_net_call(Net__Request *request, bool start, Net__Response **response, int *fds,
                        size_t *count, struct crosh_error *err)
{
    ProtobufCMessage *message = NULL;
    int tries = TRIES;
    int code;

    request->version = 1;
    do {
        cleanup_close int fd = reach_keeper(start, err);

        if (fd < 0)
            return fd;
        code = crosh_priv_net_send(fd, &request->base, NULL, 0);
        if (code == 0)
            code = deadline_poll(fd, POLLIN, deadline_in(ANSWER_WAIT_MS));
        if (code == 0)
            code = crosh_priv_net_receive(fd, &net__response__descriptor, &message, fds, count);
        /* It ended just then, for want of VMs. */
    } while ((code == 0 || code == -EPIPE || code == -ECONNRESET) && --tries > 0);
    if (code != 1)
        return crosh_error_set(err, code < 0 ? code : -EPIPE,
                               "the keeper of the VMs' network does not answer");
    *response = (Net__Response *)message;
    code = (*response)->code;
    if (code < 0) {
        crosh_error_set(err, code, "%s",
                        (*response)->message[0] != '\0' ? (*response)->message : strerror(-code));
        if ((*response)->hint[0] != '\0')
            crosh_error_hint(err, "%s", (*response)->hint);
        drop_fds(fds, count);
        crosh_priv_net_response_free(move_ptr(*response));
    }
    return code;
}

void crosh_priv_net_response_free(Net__Response *response)
{
    if (response != NULL)
        net__response__free_unpacked(response, NULL);
}
