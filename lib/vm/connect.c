/* SPDX-License-Identifier: MIT */
/* Streams into the guest through the launcher's hybrid vsock socket. */
#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/unix-socket.h"
#include "lib/base/deadline.h"
#include "lib/vm/runtime.h"
#include "lib/vm/store.h"

/* "OK <n>\n" with a 32-bit number. */
#define REPLY_MAX 32

/*
 * Reads the reply line byte by byte: what follows the newline is the guest's
 * stream and the caller's. -ECONNREFUSED at end of file, -EBADMSG for anything
 * but "OK <n>".
 */
static int read_reply(int fd, int64_t deadline)
{
    char line[REPLY_MAX];
    size_t used = 0;

    while (used + 1 < sizeof(line)) {
        ssize_t n = read(fd, line + used, 1);

        if (n == 0)
            return -ECONNREFUSED;
        if (n < 0) {
            int rc;

            if (errno == ECONNRESET)
                return -ECONNREFUSED;
            if (errno != EAGAIN && errno != EINTR)
                return -errno;
            rc = deadline_poll(fd, POLLIN, deadline);
            if (rc < 0)
                return rc;
            continue;
        }
        if (line[used] == '\n') {
            line[used] = '\0';
            return strncmp(line, "OK ", 3) == 0 ? 0 : -EBADMSG;
        }
        used++;
    }
    return -EBADMSG;
}

static int handshake(int fd, unsigned int port, int64_t deadline)
{
    char request[REPLY_MAX];
    int length = snprintf(request, sizeof(request), "CONNECT %u\n", port);
    ssize_t n;

    /* A fresh socket's buffer takes so short a line at once or never. */
    n = send(fd, request, (size_t)length, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EPIPE ? -ECONNREFUSED : -errno;
    if (n != length)
        return -EIO;
    return read_reply(fd, deadline);
}

static int not_running(const char *name, struct crosh_error *err)
{
    crosh_error_set(err, -ENOTCONN, "VM %s is not running", name);
    (void)crosh_error_hint(err, "start it: vmc start %s", name);
    return -ENOTCONN;
}

static int refused(const char *name, unsigned int port, struct crosh_error *err)
{
    if (crosh_vm_state(name) == CROSH_VM_STARTING) {
        crosh_error_set(err, -ECONNREFUSED, "VM %s is still starting", name);
        (void)crosh_error_hint(err, "try again in a moment, or look at: vmc logs %s", name);
    } else {
        crosh_error_set(err, -ECONNREFUSED, "nothing in VM %s listens on vsock port %u", name,
                        port);
        (void)crosh_error_hint(err, "look at: vmc logs %s", name);
    }
    return -ECONNREFUSED;
}

int crosh_vm_connect(const char *name, unsigned int port, int timeout_ms, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(timeout_ms);
    cleanup_close int dir_fd = -1;
    cleanup_close int fd = -1;
    int flags;
    int rc = crosh_priv_vm_require(name, err);

    if (rc < 0)
        return rc;
    dir_fd = crosh_priv_vm_runtime_find(name, err);
    if (dir_fd < 0)
        return dir_fd == -ENOENT ? not_running(name, err) : dir_fd;
    fd = unix_connect_at(dir_fd, "vsock.sock", timeout_ms);
    if (fd == -ENOENT || fd == -ECONNREFUSED)
        return not_running(name, err);
    rc = fd < 0 ? fd : handshake(fd, port, deadline);
    if (rc == -ECONNREFUSED)
        return refused(name, port, err);
    if (rc == -ETIMEDOUT) {
        crosh_error_set(err, rc, "VM %s did not accept a stream to port %u within %.1f s", name,
                        port, timeout_ms / 1000.0);
        (void)crosh_error_hint(err, "look at: vmc logs %s", name);
        return rc;
    }
    if (rc == -EBADMSG)
        return crosh_error_set(err, rc, "the launcher of VM %s gave a reply that makes no sense",
                               name);
    if (rc < 0)
        return crosh_error_set(err, rc, "cannot reach VM %s: %s", name, strerror(-rc));
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
        return crosh_error_errno(err, "cannot reach VM %s", name);
    return move_fd(fd);
}
