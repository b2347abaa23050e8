/* SPDX-License-Identifier: MIT */
/* Fuzzes a client of a hostile SFTP server: all that it says, while a listing and files are asked
 * for. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "modules/sftp/calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entries(struct sftp_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        const char *name = entries->entry[i].name;

        if (!sftp_name_is_valid((const uint8_t *)name, strlen(name)))
            abort();
    }
    sftp_entries_free(entries);
}

static void use(struct sftp_client *client)
{
    struct sftp_entries entries = {0};
    struct sftp_handle handle;
    struct sftp_attrs attrs;
    struct statvfs vfs;
    char *path = NULL;

    if (sftp_realpath(client, ".", &path) == 0)
        free(path);
    (void)sftp_stat(client, "/", &attrs);
    if (sftp_list(client, "/", &entries) == 0)
        check_entries(&entries);
    (void)sftp_statvfs(client, "/", &vfs);
    (void)sftp_mkdir(client, "/x", 0755, &attrs);
    if (sftp_create(client, "/y", SFTP_OPEN_WRITE, 0644, &handle, &attrs) == 0)
        (void)sftp_close(client, &handle);
}

/* The answers as a parser sees them: no thread between, so every run is the same. */
static void parse(const uint8_t *data, size_t size)
{
    const struct sftp_reply reply = {.type = size > 0 ? data[0] : 0,
                                     .body = {.data = data + 1, .size = size > 0 ? size - 1 : 0}};
    struct sftp_entries entries = {0};
    struct sftp_handle handle;
    struct sftp_attrs attrs;
    const uint8_t *bytes;
    size_t count;

    (void)sftp_reply_status(&reply);
    (void)sftp_reply_handle(&reply, &handle);
    (void)sftp_reply_attrs(&reply, &attrs);
    if (sftp_reply_data(&reply, &bytes, &count) == 0 && count > size)
        abort();
    (void)sftp_reply_entries(&reply, &entries);
    check_entries(&entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sftp_client *client;
    int fds[2];

    parse(data, size);
    /* All is said at once, which a socket holds. */
    if (size > 65536 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return 0;
    if (write(fds[1], data, size) == (ssize_t)size && shutdown(fds[1], SHUT_WR) == 0) {
        client = sftp_client_new(sftp_link_fd(fds[0]), 1000, NULL);
        if (client != NULL)
            use(client);
        sftp_client_free(client);
    } else {
        (void)close(fds[0]);
    }
    (void)close(fds[1]);
    return 0;
}
