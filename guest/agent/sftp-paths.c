/* SPDX-License-Identifier: MIT */
/* The SFTP server's requests that name files by their paths. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/agent/sftp-internal.h"
#include "lib/base/cleanup.h"

void sftp_attrs_of_stat(struct sftp_attrs *attrs, const struct stat *st)
{
    *attrs = (struct sftp_attrs){
        .flags = SFTP_ATTR_SIZE | SFTP_ATTR_OWNER | SFTP_ATTR_MODE | SFTP_ATTR_TIMES,
        .size = (uint64_t)st->st_size,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .mode = st->st_mode,
        .atime = sftp_time(st->st_atime),
        .mtime = sftp_time(st->st_mtime),
    };
}

char *sftp_take_path(struct sftp_reader *request)
{
    size_t size;
    const uint8_t *data = sftp_read_string(request, &size);

    /* No file's name has a NUL in it, and what stands before one is another file's. */
    if (data == NULL || memchr(data, '\0', size) != NULL) {
        errno = EBADMSG;
        return NULL;
    }
    return strndup((const char *)data, size);
}

/* ---- Attributes ---- */

static int answer_stat(struct sftp_server *server, uint32_t id, struct sftp_reader *request,
                       int flags)
{
    cleanup_free char *path = sftp_take_path(request);
    struct stat st;

    if (path == NULL || fstatat(AT_FDCWD, path, &st, flags) < 0)
        return -errno;
    return sftp_answer_attrs(server, id, &st);
}

int sftp_do_lstat(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    return answer_stat(server, id, request, AT_SYMLINK_NOFOLLOW);
}

int sftp_do_stat(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    return answer_stat(server, id, request, 0);
}

/* The owner before the mode: a change of it takes set-user-id off. */
static int set_attributes(struct sftp_reader *request, int flags)
{
    cleanup_free char *path = sftp_take_path(request);
    struct sftp_attrs attrs;
    int r = 0;

    if (path == NULL)
        return -errno;
    sftp_read_attrs(request, &attrs);
    if (request->failed)
        return -EBADMSG;
    if ((attrs.flags & SFTP_ATTR_SIZE) != 0) {
        if (flags != 0 || attrs.size > INT64_MAX)
            return flags != 0 ? -EINVAL : -EFBIG;
        r = truncate(path, (off_t)attrs.size);
    }
    if (r == 0 && (attrs.flags & SFTP_ATTR_OWNER) != 0)
        r = fchownat(AT_FDCWD, path, attrs.uid, attrs.gid, flags);
    if (r == 0 && (attrs.flags & SFTP_ATTR_MODE) != 0)
        r = fchmodat(AT_FDCWD, path, attrs.mode & 07777, flags);
    if (r == 0 && (attrs.flags & SFTP_ATTR_TIMES) != 0)
        r = utimensat(AT_FDCWD, path,
                      (struct timespec[2]){{.tv_sec = attrs.atime}, {.tv_sec = attrs.mtime}},
                      flags);
    return r < 0 ? -errno : 0;
}

int sftp_do_setstat(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    (void)server, (void)id;
    return set_attributes(request, 0);
}

int sftp_do_lsetstat(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    (void)server, (void)id;
    return set_attributes(request, AT_SYMLINK_NOFOLLOW);
}

int sftp_do_statvfs(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    cleanup_free char *path = sftp_take_path(request);
    struct statvfs vfs;

    if (path == NULL || statvfs(path, &vfs) < 0)
        return -errno;
    return sftp_answer_statvfs(server, id, &vfs);
}

/* ---- Names ---- */

int sftp_do_remove(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    cleanup_free char *path = sftp_take_path(request);

    (void)server, (void)id;
    return path == NULL || unlink(path) < 0 ? -errno : 0;
}

int sftp_do_mkdir(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    cleanup_free char *path = sftp_take_path(request);
    struct sftp_attrs attrs;

    (void)server, (void)id;
    if (path == NULL)
        return -errno;
    sftp_read_attrs(request, &attrs);
    if (request->failed)
        return -EBADMSG;
    return mkdir(path, (attrs.flags & SFTP_ATTR_MODE) != 0 ? attrs.mode & 07777 : 0777) < 0 ? -errno
                                                                                            : 0;
}

int sftp_do_rmdir(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    cleanup_free char *path = sftp_take_path(request);

    (void)server, (void)id;
    return path == NULL || rmdir(path) < 0 ? -errno : 0;
}

/* The last component need not be there: programs ask before they make something. */
static char *resolve(const char *path)
{
    char *real = realpath(*path != '\0' ? path : ".", NULL);
    cleanup_free char *parent = NULL;
    const char *slash, *name;
    char *whole = NULL;

    if (real != NULL || errno != ENOENT)
        return real;
    slash = strrchr(path, '/');
    name = slash != NULL ? slash + 1 : path;
    if (*name == '\0' || strcmp(name, "..") == 0)
        return errno = ENOENT, NULL;
    parent =
        slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    real = parent != NULL ? realpath(parent, NULL) : NULL;
    if (real == NULL)
        return NULL;
    if (asprintf(&whole, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name) < 0)
        whole = NULL;
    free(real);
    return whole;
}

/* One name, without attributes (section 6.11). */
static int answer_name(struct sftp_server *server, uint32_t id, const char *name)
{
    const struct sftp_attrs none = {0};

    sftp_answer_begin(server, SFTP_NAME, id);
    sftp_packet_u32(&server->output, 1);
    sftp_packet_text(&server->output, name);
    sftp_packet_text(&server->output, name);
    sftp_packet_attrs(&server->output, &none);
    sftp_answer_end(server);
    return 1;
}

int sftp_do_realpath(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    cleanup_free char *path = sftp_take_path(request);
    cleanup_free char *real = path != NULL ? resolve(path) : NULL;

    return real != NULL ? answer_name(server, id, real) : -errno;
}

int sftp_do_readlink(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    cleanup_free char *path = sftp_take_path(request);
    char target[PATH_MAX];
    ssize_t n;

    if (path == NULL)
        return -errno;
    n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return -errno;
    target[n] = '\0';
    return answer_name(server, id, target);
}

/* Does something with two paths. */
static int with_two(struct sftp_reader *request, int (*work)(const char *first, const char *second))
{
    cleanup_free char *first = sftp_take_path(request);
    cleanup_free char *second = first != NULL ? sftp_take_path(request) : NULL;

    return second == NULL || work(first, second) < 0 ? -errno : 0;
}

/* Over nothing (section 6.5). */
static int rename_to_free(const char *from, const char *to)
{
    struct stat st;

    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    /* Not every file system can do it in one step. */
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (lstat(to, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

/* A link to a link is one, not to what that leads to. */
static int hard_link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int sftp_do_rename(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    (void)server, (void)id;
    return with_two(request, rename_to_free);
}

int sftp_do_posix_rename(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    (void)server, (void)id;
    return with_two(request, rename);
}

/* What it leads to comes first, as OpenSSH and all clients have it, unlike the draft. */
int sftp_do_symlink(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    (void)server, (void)id;
    return with_two(request, symlink);
}

int sftp_do_hardlink(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    (void)server, (void)id;
    return with_two(request, hard_link);
}
