/* SPDX-License-Identifier: MIT */
/* Names: which are acceptable, what a source is called at its target, what a target means. */
#include "lib/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/sha256.h"

bool files_name_is_valid(const uint8_t *name, size_t size)
{
    if (size == 0 || size > NAME_MAX || memchr(name, '\0', size) != NULL ||
        memchr(name, '/', size) != NULL)
        return false;
    return name[0] != '.' || (size != 1 && (size != 2 || name[1] != '.'));
}

char *files_source_name(const char *path)
{
    size_t end = strlen(path);
    size_t start;

    while (end > 0 && path[end - 1] == '/')
        end--;
    for (start = end; start > 0 && path[start - 1] != '/'; start--)
        ;
    if (!files_name_is_valid((const uint8_t *)path + start, end - start))
        return strdup("");
    return strndup(path + start, end - start);
}

int files_target_open(struct files_target *target, const char *path, bool is_into,
                      struct crosh_error *err)
{
    size_t length = strlen(path);
    cleanup_free char *parent = NULL;
    const char *slash;
    struct stat st;

    *target = (struct files_target){.dir_fd = -1};
    if (length == 0)
        path = ".";
    target->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target->dir_fd >= 0)
        return 0;
    if (errno != ENOENT && errno != ENOTDIR)
        return crosh_error_errno(err, "cannot open '%s'", path);
    if (is_into || path[length - 1] == '/')
        return crosh_error_set(
            err, errno == ENOENT ? -ENOENT : -ENOTDIR,
            errno == ENOENT ? "no such directory: '%s'" : "'%s' is not a directory", path);
    slash = strrchr(path, '/');
    parent = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    target->name = strdup(slash == NULL ? path : slash + 1);
    if (parent == NULL || target->name == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (!files_name_is_valid((const uint8_t *)target->name, strlen(target->name)))
        return crosh_error_set(err, -EINVAL, "'%s' cannot be a file's name", path);
    target->dir_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target->dir_fd < 0)
        return crosh_error_errno(err, "cannot open '%s'", parent);
    /* A copy must not replace what is no file, such as /dev/null. */
    if (fstatat(target->dir_fd, target->name, &st, 0) == 0 && !S_ISREG(st.st_mode))
        return crosh_error_set(err, -EEXIST, "'%s' is neither a file nor a directory", path);
    return 0;
}

void files_target_fini(struct files_target *target)
{
    if (target->dir_fd >= 0)
        (void)close(move_fd(target->dir_fd));
    free(move_ptr(target->name));
}

int files_failure(int32_t code, const char *message, struct crosh_error *err)
{
    return crosh_error_set(err, code < 0 && code > -4096 ? (int)code : -EIO, "%s",
                           *message != '\0' ? message : "the other end gave no reason");
}

int files_digest(int fd, uint64_t size, uint8_t *digest, bool (*is_stopped)(void *opaque),
                 void *opaque)
{
    cleanup_free uint8_t *data = malloc(FILES_PIECE);
    struct sha256 sha;
    uint64_t offset = 0;

    if (data == NULL)
        return -ENOMEM;
    sha256_init(&sha);
    while (offset < size) {
        size_t wanted = size - offset < FILES_PIECE ? (size_t)(size - offset) : FILES_PIECE;
        ssize_t n = pread(fd, data, wanted, (off_t)offset);

        if (is_stopped != NULL && is_stopped(opaque))
            return -ECANCELED;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -EIO : -errno;
        sha256_add(&sha, data, (size_t)n);
        offset += (uint64_t)n;
    }
    sha256_finish(&sha, digest);
    return 0;
}
