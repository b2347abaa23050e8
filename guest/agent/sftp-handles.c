/* SPDX-License-Identifier: MIT */
/* The SFTP server's open files and directories, and what is done with them. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent/sftp-internal.h"
#include "lib/base/cleanup.h"

/* A listing goes out in answers of about this many bytes. */
#define LISTING_SIZE (64u * 1024u)
/* The words that "ls -l" would have for an entry, without its name. */
#define LONG_MAX_SIZE 160

/* ---- Handles ---- */

static struct sftp_opened *find_place(struct sftp_server *server)
{
    struct sftp_opened *grown;

    for (size_t i = 0; i < server->opened_count; i++) {
        if (server->opened[i].fd < 0 && server->opened[i].dir == NULL)
            return &server->opened[i];
    }
    if (server->opened_count >= server->opened_max) {
        errno = EMFILE;
        return NULL;
    }
    grown = realloc(server->opened, (server->opened_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return NULL;
    server->opened = grown;
    return &server->opened[server->opened_count++];
}

/* Answers with a handle of what was opened. */
static int answer_handle(struct sftp_server *server, uint32_t id, struct sftp_opened *opened)
{
    opened->serial = ++server->last_serial;
    sftp_answer_begin(server, SFTP_HANDLE, id);
    sftp_packet_u32(&server->output, 2 * sizeof(uint32_t));
    sftp_packet_u32(&server->output, (uint32_t)(opened - server->opened));
    sftp_packet_u32(&server->output, opened->serial);
    sftp_answer_end(server);
    return 1;
}

struct sftp_opened *sftp_take_handle(struct sftp_server *server, struct sftp_reader *request)
{
    size_t size;
    const uint8_t *data = sftp_read_string(request, &size);
    struct sftp_reader handle = {.data = data, .size = size};
    uint32_t index = sftp_read_u32(&handle);
    uint32_t serial = sftp_read_u32(&handle);
    struct sftp_opened *opened;

    if (data == NULL || handle.failed || handle.size > 0 || index >= server->opened_count) {
        errno = data != NULL ? EBADF : EBADMSG;
        return NULL;
    }
    opened = &server->opened[index];
    if (opened->serial != serial || (opened->fd < 0 && opened->dir == NULL)) {
        errno = EBADF;
        return NULL;
    }
    return opened;
}

/* The same, of a file. */
static int take_file(struct sftp_server *server, struct sftp_reader *request)
{
    const struct sftp_opened *opened = sftp_take_handle(server, request);

    if (opened == NULL)
        return -errno;
    return opened->fd >= 0 ? opened->fd : -EBADF;
}

/* A descriptor of a file or a directory. */
static int take_any(struct sftp_server *server, struct sftp_reader *request)
{
    const struct sftp_opened *opened = sftp_take_handle(server, request);

    if (opened == NULL)
        return -errno;
    return opened->fd >= 0 ? opened->fd : dirfd(opened->dir);
}

static int close_opened(struct sftp_opened *opened)
{
    int r = 0;

    if (opened->dir != NULL)
        r = closedir(opened->dir);
    else if (opened->fd >= 0)
        r = close(opened->fd);
    opened->dir = NULL;
    opened->fd = -1;
    return r < 0 ? -errno : 0;
}

void sftp_handles_fini(struct sftp_server *server)
{
    for (size_t i = 0; i < server->opened_count; i++)
        (void)close_opened(&server->opened[i]);
    free(server->opened);
    server->opened = NULL;
    server->opened_count = 0;
}

/* ---- Files ---- */

static int flags_of(uint32_t wanted)
{
    int flags = O_NOCTTY | O_CLOEXEC | O_NONBLOCK;

    if ((wanted & SFTP_OPEN_READ) != 0 && (wanted & SFTP_OPEN_WRITE) != 0)
        flags |= O_RDWR;
    else if ((wanted & SFTP_OPEN_WRITE) != 0)
        flags |= O_WRONLY;
    if ((wanted & SFTP_OPEN_APPEND) != 0)
        flags |= O_APPEND;
    if ((wanted & SFTP_OPEN_CREATE) != 0)
        flags |= O_CREAT;
    if ((wanted & SFTP_OPEN_TRUNCATE) != 0)
        flags |= O_TRUNC;
    if ((wanted & SFTP_OPEN_EXCLUSIVE) != 0)
        flags |= O_EXCL;
    return flags;
}

/* A file to read or write; what one would wait for, a pipe's other end, is refused. */
static int open_file(const char *path, uint32_t wanted, const struct sftp_attrs *attrs)
{
    const mode_t mode = (attrs->flags & SFTP_ATTR_MODE) != 0 ? attrs->mode & 07777 : 0666;
    cleanup_close int fd = open(path, flags_of(wanted), mode);
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISFIFO(st.st_mode))
        return -EOPNOTSUPP;
    if (fcntl(fd, F_SETFL, (wanted & SFTP_OPEN_APPEND) != 0 ? O_APPEND : 0) < 0)
        return -errno;
    return move_fd(fd);
}

int sftp_do_open(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    cleanup_free char *path = sftp_take_path(request);
    uint32_t wanted = sftp_read_u32(request);
    struct sftp_opened *opened;
    struct sftp_attrs attrs;
    int fd;

    if (path == NULL)
        return -errno;
    sftp_read_attrs(request, &attrs);
    if (request->failed)
        return -EBADMSG;
    opened = find_place(server);
    if (opened == NULL)
        return -errno;
    *opened = (struct sftp_opened){.fd = -1};
    fd = open_file(path, wanted, &attrs);
    if (fd < 0)
        return fd;
    opened->fd = fd;
    return answer_handle(server, id, opened);
}

int sftp_do_close(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    struct sftp_opened *opened = sftp_take_handle(server, request);

    (void)id;
    return opened != NULL ? close_opened(opened) : -errno;
}

int sftp_do_read(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    int fd = take_file(server, request);
    uint64_t offset = sftp_read_u64(request);
    uint32_t size = sftp_read_u32(request);
    const size_t before = server->output.size;
    uint8_t *data;
    ssize_t n;

    if (request->failed)
        return -EBADMSG;
    if (fd < 0)
        return fd;
    if (offset > INT64_MAX)
        return -EINVAL;
    if (size > SFTP_SERVER_DATA_MAX)
        size = SFTP_SERVER_DATA_MAX;
    /* Where the data is to be in the answer, whose length is known only then. */
    sftp_answer_begin(server, SFTP_DATA, id);
    sftp_packet_u32(&server->output, 0);
    data = sftp_packet_space(&server->output, size);
    if (data == NULL)
        return -ENOMEM;
    do {
        n = pread(fd, data, size, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    if (n <= 0 && size > 0) {
        server->output.size = before;
        return n < 0 ? -errno : -ENODATA;
    }
    server->output.size -= size + sizeof(uint32_t);
    sftp_packet_u32(&server->output, (uint32_t)n);
    server->output.size += (size_t)n;
    sftp_answer_end(server);
    return 1;
}

int sftp_do_write(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    int fd = take_file(server, request);
    uint64_t offset = sftp_read_u64(request);
    size_t size;
    const uint8_t *data = sftp_read_string(request, &size);

    (void)id;
    if (request->failed)
        return -EBADMSG;
    if (fd < 0)
        return fd;
    while (size > 0) {
        ssize_t n;

        if (offset > INT64_MAX)
            return -EFBIG;
        n = pwrite(fd, data, size, (off_t)offset);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            offset += (uint64_t)n;
            size -= (size_t)n;
        }
    }
    return 0;
}

int sftp_do_fstat(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    int fd = take_any(server, request);
    struct stat st;

    if (fd < 0)
        return fd;
    return fstat(fd, &st) < 0 ? -errno : sftp_answer_attrs(server, id, &st);
}

int sftp_do_fsetstat(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    int fd = take_any(server, request);
    struct sftp_attrs attrs;
    int r = 0;

    (void)id;
    sftp_read_attrs(request, &attrs);
    if (request->failed)
        return -EBADMSG;
    if (fd < 0)
        return fd;
    if ((attrs.flags & SFTP_ATTR_SIZE) != 0)
        r = attrs.size > INT64_MAX ? (errno = EFBIG, -1) : ftruncate(fd, (off_t)attrs.size);
    if (r == 0 && (attrs.flags & SFTP_ATTR_OWNER) != 0)
        r = fchown(fd, attrs.uid, attrs.gid);
    if (r == 0 && (attrs.flags & SFTP_ATTR_MODE) != 0)
        r = fchmod(fd, attrs.mode & 07777);
    if (r == 0 && (attrs.flags & SFTP_ATTR_TIMES) != 0)
        r = futimens(fd, (struct timespec[2]){{.tv_sec = attrs.atime}, {.tv_sec = attrs.mtime}});
    return r < 0 ? -errno : 0;
}

int sftp_do_fsync(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    int fd = take_file(server, request);

    (void)id;
    if (fd < 0)
        return fd;
    return fsync(fd) < 0 ? -errno : 0;
}

int sftp_do_fstatvfs(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    int fd = take_any(server, request);
    struct statvfs vfs;

    if (fd < 0)
        return fd;
    return fstatvfs(fd, &vfs) < 0 ? -errno : sftp_answer_statvfs(server, id, &vfs);
}

/* ---- Directories ---- */

int sftp_do_opendir(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    cleanup_free char *path = sftp_take_path(request);
    struct sftp_opened *opened;
    DIR *dir;

    if (path == NULL)
        return -errno;
    opened = find_place(server);
    if (opened == NULL)
        return -errno;
    *opened = (struct sftp_opened){.fd = -1};
    dir = opendir(path);
    if (dir == NULL)
        return -errno;
    opened->dir = dir;
    return answer_handle(server, id, opened);
}

/* As "ls -l" has it, which is all that some clients show; owners by number, for who knows names. */
static void describe(char text[LONG_MAX_SIZE], const struct stat *st)
{
    static const char kinds[] = "?pc?d?b?-?l?s???";
    static const char bits[] = "rwxrwxrwx";
    struct tm when = {0};
    char mode[11], date[32] = "";

    mode[0] = kinds[(st->st_mode & S_IFMT) >> 12];
    for (int i = 0; i < 9; i++)
        mode[1 + i] = (st->st_mode >> (8 - i) & 1) != 0 ? bits[i] : '-';
    mode[10] = '\0';
    if (localtime_r(&st->st_mtime, &when) != NULL)
        (void)strftime(date, sizeof(date), "%b %e  %Y", &when);
    (void)snprintf(text, LONG_MAX_SIZE, "%s %3lu %-8u %-8u %8lld %s ", mode,
                   (unsigned long)st->st_nlink, st->st_uid, st->st_gid, (long long)st->st_size,
                   date);
}

static void add_entry(struct sftp_server *server, const char *name, const struct stat *st)
{
    struct sftp_attrs attrs;
    char text[LONG_MAX_SIZE];

    sftp_attrs_of_stat(&attrs, st);
    describe(text, st);
    sftp_packet_text(&server->output, name);
    sftp_packet_u32(&server->output, (uint32_t)(strlen(text) + strlen(name)));
    sftp_packet_bytes(&server->output, text, strlen(text));
    sftp_packet_bytes(&server->output, name, strlen(name));
    sftp_packet_attrs(&server->output, &attrs);
}

int sftp_do_readdir(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    const struct sftp_opened *opened = sftp_take_handle(server, request);
    const size_t before = server->output.size;
    const struct dirent *found = NULL;
    uint32_t count = 0, wire;
    size_t count_at;

    if (opened == NULL)
        return -errno;
    if (opened->dir == NULL)
        return -EBADF;
    sftp_answer_begin(server, SFTP_NAME, id);
    count_at = server->output.size;
    sftp_packet_u32(&server->output, 0);
    while (server->output.size - before < LISTING_SIZE && !server->output.failed) {
        struct stat st;

        errno = 0;
        found = readdir(opened->dir);
        if (found == NULL)
            break;
        /* One that was removed meanwhile. */
        if (fstatat(dirfd(opened->dir), found->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        add_entry(server, found->d_name, &st);
        count++;
    }
    if (count == 0) {
        server->output.size = before;
        return found == NULL && errno != 0 ? -errno : -ENODATA;
    }
    if (server->output.failed)
        return -ENOMEM;
    wire = htobe32(count);
    memcpy(server->output.data + count_at, &wire, sizeof(wire));
    sftp_answer_end(server);
    return 1;
}
