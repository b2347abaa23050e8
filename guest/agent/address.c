/* SPDX-License-Identifier: MIT */
/* Addresses of the agent: parsing, listening, dialling, and whom to trust. */
#include "guest/agent/address.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* Connections that wait to be accepted while a burst comes in. */
#define BACKLOG 128

struct address address_vsock(unsigned int cid, unsigned int port)
{
    return (struct address){
        .vm = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port},
        .size = sizeof(struct sockaddr_vm),
    };
}

/* A decimal number of 32 bits that ends at end's character. */
static int parse_u32(const char *text, const char **rest, unsigned int *value)
{
    unsigned long long number;
    char *stop;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    number = strtoull(text, &stop, 10);
    if (errno != 0 || number > UINT32_MAX)
        return -EINVAL;
    *rest = stop;
    *value = (unsigned int)number;
    return 0;
}

int address_parse(struct address *address, const char *text, unsigned int cid,
                  struct crosh_error *err)
{
    if (strncmp(text, "unix:", 5) == 0) {
        const char *path = text + 5;

        *address = (struct address){.un = {.sun_family = AF_UNIX}};
        if (*path == '\0' || strlen(path) >= sizeof(address->un.sun_path))
            return crosh_error_set(err, -EINVAL, "'%s': a unix socket's path has 1 to %zu bytes",
                                   text, sizeof(address->un.sun_path) - 1);
        strcpy(address->un.sun_path, path);
        address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
        return 0;
    }
    if (strncmp(text, "vsock:", 6) == 0) {
        const char *rest = text + 6;
        unsigned int port;

        if (parse_u32(rest, &rest, &port) == 0) {
            if (*rest == ':') {
                cid = port;
                if (parse_u32(rest + 1, &rest, &port) < 0)
                    rest = "?";
            }
            if (*rest == '\0') {
                *address = address_vsock(cid, port);
                return 0;
            }
        }
    }
    return crosh_error_set(err, -EINVAL, "'%s' is not vsock:PORT, vsock:CID:PORT or unix:PATH",
                           text);
}

int address_listen(const struct address *address, struct crosh_error *err)
{
    cleanup_close int fd =
        socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask;
    int r;

    if (fd < 0)
        return crosh_error_errno(err, "cannot make a socket");
    if (address->any.sa_family == AF_UNIX)
        (void)unlink(address->un.sun_path);
    mask = umask(0177);
    r = bind(fd, &address->any, address->size);
    (void)umask(mask);
    if (r < 0)
        return crosh_error_errno(err, "cannot bind the socket");
    if (listen(fd, BACKLOG) < 0)
        return crosh_error_errno(err, "cannot listen");
    return move_fd(fd);
}

int address_dial(const struct address *address)
{
    cleanup_close int fd =
        socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, &address->any, address->size) < 0 && errno != EINPROGRESS)
        return -errno;
    return move_fd(fd);
}

bool address_is_trusted_peer(int fd)
{
    struct address peer = {.size = 0};
    socklen_t size = sizeof(peer.un);

    if (getpeername(fd, &peer.any, &size) < 0)
        return false;
    if (peer.any.sa_family == AF_VSOCK)
        return peer.vm.svm_cid == VMADDR_CID_HOST;
    if (peer.any.sa_family == AF_UNIX) {
        struct ucred ucred;

        size = sizeof(ucred);
        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) == 0 &&
               (ucred.uid == geteuid() || ucred.uid == 0);
    }
    return false;
}
