/* SPDX-License-Identifier: MIT */
/* Reads "CONNECT port" lines. */
#include "kvm/virtio/vsock-line.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define PORT_ANY UINT32_MAX

/* Parses a whole line; false when it is anything else. */
static bool parse(const char *line, size_t size, uint32_t *port)
{
    static const char word[] = "CONNECT ";
    const size_t skip = sizeof(word) - 1;
    uint64_t value = 0;

    if (size <= skip + 1 || memcmp(line, word, skip) != 0)
        return false;
    for (size_t i = skip; i < size - 1; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(line[i] - '0');
        if (value >= PORT_ANY)
            return false;
    }
    *port = (uint32_t)value;
    return true;
}

int vsock_line_read(struct vsock_line *line, int fd, uint32_t *port)
{
    char *at = line->text + line->used;
    ssize_t n = recv(fd, at, sizeof(line->text) - line->used, MSG_PEEK);
    const char *end;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -ECONNRESET;
    end = memchr(at, '\n', (size_t)n);
    if (end != NULL)
        n = end - at + 1;
    n = recv(fd, at, (size_t)n, 0);
    if (n <= 0)
        return -ECONNRESET;
    line->used += (size_t)n;
    if (end != NULL)
        return parse(line->text, line->used, port) ? 1 : -EBADMSG;
    return line->used < sizeof(line->text) ? 0 : -EMSGSIZE;
}
