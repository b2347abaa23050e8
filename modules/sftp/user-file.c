/* SPDX-License-Identifier: MIT */
/* Reads the desktop's small files, and replaces them whole. */
#include "modules/sftp/user-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* A longer file is none of bookmarks or places. */
#define FILE_MAX (1024 * 1024)

bool user_file_is_own(const char *directory)
{
    struct stat st;

    return stat(directory, &st) == 0 && st.st_uid == geteuid();
}

char *user_file_read(const char *path, mode_t *mode)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    cleanup_free char *text = NULL;
    struct stat st;
    size_t used = 0;

    *mode = 0600;
    if (fd < 0)
        return errno == ENOENT ? strdup("") : NULL;
    if (fstat(fd, &st) < 0)
        return NULL;
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        errno = EINVAL;
        return NULL;
    }
    *mode = st.st_mode & 07777;
    text = malloc((size_t)st.st_size + 1);
    if (text == NULL)
        return NULL;
    while (used < (size_t)st.st_size) {
        ssize_t n = read(fd, text + used, (size_t)st.st_size - used);

        if (n < 0)
            return NULL;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    if (strlen(text) != used) {
        errno = EINVAL; /* what is behind a NUL would be lost */
        return NULL;
    }
    return move_ptr(text);
}

int user_file_replace(const char *path, const char *text, size_t size, mode_t mode)
{
    cleanup_free char *fresh = NULL;
    cleanup_close int fd = -1;

    if (asprintf(&fresh, "%s.XXXXXX", path) < 0) {
        fresh = NULL;
        return -ENOMEM;
    }
    fd = mkostemp(fresh, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, text, size) == (ssize_t)size && fchmod(fd, mode) == 0 && fsync(fd) == 0 &&
        rename(fresh, path) == 0)
        return 0;
    (void)unlink(fresh);
    return errno != 0 ? -errno : -EIO;
}

char *user_file_uri(const char *directory)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-._~";
    char *uri = malloc(strlen(directory) * 3 + sizeof("file://"));
    char *at;

    if (uri == NULL)
        return NULL;
    at = stpcpy(uri, "file://");
    for (; *directory != '\0'; directory++) {
        if (strchr(plain, *directory) != NULL)
            *at++ = *directory;
        else
            at += sprintf(at, "%%%02X", (unsigned char)*directory);
    }
    *at = '\0';
    return uri;
}

char *user_file_label(const char *directory)
{
    char *label = NULL;

    return asprintf(&label, "%s (crosh)", strrchr(directory, '/') + 1) >= 0 ? label : NULL;
}
