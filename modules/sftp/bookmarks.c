/* SPDX-License-Identifier: MIT */
/* Edits gtk-3.0/bookmarks: a line is a URI, a space and a label. */
#include "modules/sftp/bookmarks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* A longer file is none of bookmarks. */
#define FILE_MAX (1024 * 1024)

/* The file itself, where a link of that name leads to; it need not be there yet. NULL: nowhere. */
static char *find_file(void)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    cleanup_free char *directory = NULL;
    char *path = NULL, *real;
    struct stat st;
    int r = -1;

    if (base != NULL && base[0] == '/')
        r = asprintf(&directory, "%s/gtk-3.0", base);
    else if (home != NULL && home[0] == '/')
        r = asprintf(&directory, "%s/.config/gtk-3.0", home);
    if (r < 0) {
        directory = NULL;
        return NULL;
    }
    if (stat(directory, &st) < 0 || !S_ISDIR(st.st_mode) ||
        asprintf(&path, "%s/bookmarks", directory) < 0)
        return NULL;
    real = realpath(path, NULL);
    if (real == NULL && errno == ENOENT && lstat(path, &st) < 0)
        return path;
    free(path);
    return real;
}

/* The whole text, on the heap; an absent file is an empty one. NULL with errno. */
static char *read_text(const char *path, mode_t *mode)
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
    return move_ptr(text);
}

/* Puts the text in the file's place, whole or not at all. */
static int replace(const char *path, const char *text, mode_t mode)
{
    cleanup_free char *fresh = NULL;
    cleanup_close int fd = -1;
    size_t size = strlen(text);

    if (asprintf(&fresh, "%s.XXXXXX", path) < 0) {
        fresh = NULL;
        return -ENOMEM;
    }
    fd = mkostemp(fresh, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, text, size) == (ssize_t)size && fchmod(fd, mode) == 0 && rename(fresh, path) == 0)
        return 0;
    (void)unlink(fresh);
    return errno != 0 ? -errno : -EIO;
}

/* "file:///home/jane/crosh/penguin", with all but the plainest characters as %XX. */
static char *make_uri(const char *directory)
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

static char *make_line(const char *uri, const char *directory)
{
    char *line = NULL;

    return asprintf(&line, "%s %s (crosh)\n", uri, strrchr(directory, '/') + 1) >= 0 ? line : NULL;
}

/* Where a line of the text begins so; NULL: nowhere. */
static char *find_line(char *text, const char *beginning)
{
    for (char *line = text; line != NULL && *line != '\0';
         line = strchr(line, '\n') != NULL ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, beginning, strlen(beginning)) == 0)
            return line;
    }
    return NULL;
}

/* Whether a line is for the URI: alone, or with a label. */
static bool has_uri(char *text, const char *uri)
{
    size_t length = strlen(uri);

    for (char *line = find_line(text, uri); line != NULL;
         line = strchr(line, '\n') != NULL ? find_line(strchr(line, '\n') + 1, uri) : NULL) {
        if (strchr(" \n", line[length]) != NULL)
            return true;
    }
    return false;
}

int bookmarks_add(const char *directory)
{
    cleanup_free char *path = find_file();
    cleanup_free char *uri = make_uri(directory);
    cleanup_free char *line = uri != NULL ? make_line(uri, directory) : NULL;
    cleanup_free char *text = NULL;
    cleanup_free char *longer = NULL;
    const char *between;
    mode_t mode;

    if (path == NULL)
        return 0;
    if (line == NULL)
        return -ENOMEM;
    text = read_text(path, &mode);
    if (text == NULL)
        return -errno;
    if (strchr(strrchr(directory, '/'), '\n') != NULL || has_uri(text, uri))
        return 0;
    between = text[0] != '\0' && text[strlen(text) - 1] != '\n' ? "\n" : "";
    if (asprintf(&longer, "%s%s%s", text, between, line) < 0) {
        longer = NULL;
        return -ENOMEM;
    }
    return replace(path, longer, mode);
}

int bookmarks_remove(const char *directory)
{
    cleanup_free char *path = find_file();
    cleanup_free char *uri = make_uri(directory);
    cleanup_free char *line = uri != NULL ? make_line(uri, directory) : NULL;
    cleanup_free char *text = NULL;
    char *found;
    mode_t mode;

    if (path == NULL)
        return 0;
    if (line == NULL)
        return -ENOMEM;
    text = read_text(path, &mode);
    if (text == NULL)
        return -errno;
    found = find_line(text, line);
    if (found == NULL)
        return 0;
    memmove(found, found + strlen(line), strlen(found + strlen(line)) + 1);
    return replace(path, text, mode);
}
