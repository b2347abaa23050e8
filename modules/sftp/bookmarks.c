/* SPDX-License-Identifier: MIT */
/* Edits gtk-3.0/bookmarks: a line is a URI, a space and a label. */
#include "modules/sftp/bookmarks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/user-file.h"

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
    if (stat(directory, &st) < 0 || !S_ISDIR(st.st_mode) || !user_file_is_own(directory) ||
        asprintf(&path, "%s/bookmarks", directory) < 0)
        return NULL;
    real = realpath(path, NULL);
    if (real == NULL && errno == ENOENT && lstat(path, &st) < 0)
        return path;
    free(path);
    return real;
}

static char *make_line(const char *uri, const char *directory)
{
    cleanup_free char *label = user_file_label(directory);
    char *line = NULL;

    return label != NULL && asprintf(&line, "%s %s\n", uri, label) >= 0 ? line : NULL;
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
    cleanup_free char *uri = user_file_uri(directory);
    cleanup_free char *line = uri != NULL ? make_line(uri, directory) : NULL;
    cleanup_free char *text = NULL;
    cleanup_free char *longer = NULL;
    const char *between;
    mode_t mode;

    if (path == NULL)
        return 0;
    if (line == NULL)
        return -ENOMEM;
    text = user_file_read(path, &mode);
    if (text == NULL)
        return -errno;
    if (strchr(strrchr(directory, '/'), '\n') != NULL || has_uri(text, uri))
        return 0;
    between = text[0] != '\0' && text[strlen(text) - 1] != '\n' ? "\n" : "";
    if (asprintf(&longer, "%s%s%s", text, between, line) < 0) {
        longer = NULL;
        return -ENOMEM;
    }
    return user_file_replace(path, longer, strlen(longer), mode);
}

int bookmarks_remove(const char *directory)
{
    cleanup_free char *path = find_file();
    cleanup_free char *uri = user_file_uri(directory);
    cleanup_free char *line = uri != NULL ? make_line(uri, directory) : NULL;
    cleanup_free char *text = NULL;
    char *found;
    mode_t mode;

    if (path == NULL)
        return 0;
    if (line == NULL)
        return -ENOMEM;
    text = user_file_read(path, &mode);
    if (text == NULL)
        return -errno;
    found = find_line(text, line);
    if (found == NULL)
        return 0;
    memmove(found, found + strlen(line), strlen(found + strlen(line)) + 1);
    return user_file_replace(path, text, strlen(text), mode);
}
