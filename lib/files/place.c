/* SPDX-License-Identifier: MIT */
/* Makes what is received, safe from names and links that are there. */
#include "lib/files/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/sha256.h"

#define MODE_MASK   0777u
#define PART_SUFFIX ".crosh-part"

static int failed(struct crosh_error *err, const char *what, const char *name)
{
    return crosh_error_errno(err, "cannot %s '%s'", what, name);
}

/* ---- Files ---- */

void files_part_name(char part[NAME_MAX + 1], const char *name)
{
    size_t length = strlen(name);
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;

    if (length + 1 + sizeof(PART_SUFFIX) <= NAME_MAX + 1) {
        (void)snprintf(part, NAME_MAX + 1, ".%s" PART_SUFFIX, name);
        return;
    }
    sha256_init(&sha);
    sha256_add(&sha, name, length);
    sha256_finish(&sha, digest);
    (void)snprintf(part, NAME_MAX + 1, ".%.200s.%02x%02x%02x%02x%02x%02x" PART_SUFFIX, name,
                   digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]);
}

bool files_is_part_name(const char *name)
{
    size_t length = strlen(name);

    return name[0] == '.' && length > sizeof(PART_SUFFIX) &&
           strcmp(name + length - (sizeof(PART_SUFFIX) - 1), PART_SUFFIX) == 0;
}

int files_part_open(struct files_part *part, int dir_fd, const char *name, uint64_t *size,
                    struct crosh_error *err)
{
    *part = (struct files_part){.dir_fd = dir_fd, .fd = -1};
    (void)snprintf(part->name, sizeof(part->name), "%s", name);
    files_part_name(part->part, name);
    for (int attempt = 0; attempt < 2; attempt++) {
        cleanup_close int fd =
            openat(dir_fd, part->part,
                   O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600);
        struct stat st;
        int saved;

        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
            st.st_uid == geteuid()) {
            if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return crosh_error_set(err, -EBUSY, "another copy to '%s' is under way", name);
            *size = (uint64_t)st.st_size;
            part->fd = move_fd(fd);
            return 0;
        }
        if (fd < 0 && errno != ELOOP && errno != EACCES && errno != EISDIR && errno != ENXIO)
            return failed(err, "make", name);
        saved = errno;
        if (unlinkat(dir_fd, part->part, 0) < 0) {
            errno = errno == ENOENT ? saved : errno;
            return failed(err, "make", name);
        }
    }
    return crosh_error_set(err, -EEXIST, "cannot make '%s'", part->part);
}

int files_part_finish(struct files_part *part, const struct files_attributes *attributes,
                      struct crosh_error *err)
{
    struct stat st;
    int result = files_attributes_set(part->fd, attributes, part->name, err);

    if (result < 0 && !files_is_attributes_refused(result))
        return result;
    if (fstatat(part->dir_fd, part->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return crosh_error_set(err, -EISDIR, "'%s' is there already and is a directory",
                               part->name);
    if (renameat(part->dir_fd, part->part, part->dir_fd, part->name) < 0)
        return failed(err, "make", part->name);
    (void)close(move_fd(part->fd));
    return result < 0;
}

void files_part_drop(struct files_part *part, bool is_kept)
{
    if (part->fd < 0)
        return;
    if (!is_kept)
        (void)unlinkat(part->dir_fd, part->part, 0);
    (void)close(move_fd(part->fd));
}

/* ---- Directories and links ---- */

int files_directory_make(int dir_fd, const char *name, struct crosh_error *err)
{
    int fd;

    if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
        return failed(err, "make the directory", name);
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return crosh_error_set(err, -ENOTDIR, "'%s' is there already and is not a directory", name);
    return fd < 0 ? failed(err, "open the directory", name) : fd;
}

int files_directory_open(int dir_fd, const char *path)
{
    cleanup_close int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);

    while (fd >= 0 && *path != '\0') {
        char name[NAME_MAX + 1];
        size_t length = strcspn(path, "/");
        int next;

        if (length > NAME_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path, length);
        name[length] = '\0';
        next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return -1;
        (void)close(fd);
        fd = next;
        path += length + (path[length] == '/');
    }
    return move_fd(fd);
}

int files_link_make(int dir_fd, const char *name, const char *points_to,
                    const struct files_attributes *attributes, struct crosh_error *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, attributes->mtime};
    char part[NAME_MAX + 1];
    int result;

    files_part_name(part, name);
    if (unlinkat(dir_fd, part, 0) < 0 && errno != ENOENT)
        return failed(err, "replace", part);
    if (symlinkat(points_to, dir_fd, part) < 0)
        return failed(err, "make the link", name);
    (void)utimensat(dir_fd, part, times, AT_SYMLINK_NOFOLLOW);
    if (renameat(dir_fd, part, dir_fd, name) == 0)
        return 0;
    result = failed(err, "make the link", name);
    (void)unlinkat(dir_fd, part, 0);
    return result;
}

int files_attributes_set(int fd, const struct files_attributes *attributes, const char *name,
                         struct crosh_error *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, attributes->mtime};

    int result = 0;

    if (fchmod(fd, attributes->mode & MODE_MASK) < 0)
        result = failed(err, "set the mode of", name);
    if (futimens(fd, times) < 0 && result == 0)
        result = failed(err, "set the time of", name);
    return result;
}

bool files_is_attributes_refused(int code)
{
    return code == -EPERM || code == -EACCES || code == -EOPNOTSUPP || code == -ENOSYS ||
           code == -EINVAL;
}
