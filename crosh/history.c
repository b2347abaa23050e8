/* SPDX-License-Identifier: MIT */
/* Keeps the history in a file that several shells may share. */
#include "crosh/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* Longer lines are not worth their place in the file. */
#define LINE_SIZE_MAX 65536
/* A file larger than this is not ours. */
#define FILE_SIZE_MAX (64 << 20)

struct lines {
    char **items;
    size_t count;
};

struct history {
    char *path;
    size_t size; /* the most lines to keep */
    struct lines lines;
};

static void lines_clear(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->items[i]);
    free(lines->items);
    memset(lines, 0, sizeof(*lines));
}

static void drop(struct lines *lines, size_t index)
{
    free(lines->items[index]);
    lines->count--;
    memmove(&lines->items[index], &lines->items[index + 1],
            (lines->count - index) * sizeof(*lines->items));
}

/* Appends, without a duplicate and within bounds. Takes line over; false for lack of memory. */
static bool append(struct lines *lines, char *line, size_t size)
{
    if (lines->items == NULL)
        lines->items = calloc(HISTORY_MAX + 1, sizeof(*lines->items));
    if (lines->items == NULL || line == NULL) {
        free(line);
        return false;
    }
    for (size_t i = 0; i < lines->count; i++) {
        if (strcmp(lines->items[i], line) == 0) {
            drop(lines, i);
            break;
        }
    }
    lines->items[lines->count++] = line;
    while (lines->count > size)
        drop(lines, 0);
    return true;
}

/* In the file a line break within an entry is "\n", a backslash "\\". */
static char *unescape(const char *text, size_t length)
{
    char *line = malloc(length + 1);
    size_t used = 0;

    if (line == NULL)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\' && i + 1 < length && (text[i + 1] == 'n' || text[i + 1] == '\\'))
            line[used++] = text[++i] == 'n' ? '\n' : '\\';
        else
            line[used++] = text[i];
    }
    line[used] = '\0';
    return line;
}

static void put_escaped(FILE *out, const char *line)
{
    for (; *line != '\0'; line++) {
        if (*line == '\n' || *line == '\\')
            (void)fputs(*line == '\n' ? "\\n" : "\\\\", out);
        else
            (void)fputc(*line, out);
    }
    (void)fputc('\n', out);
}

/* Reads the file into lines; no file is an empty one. */
static int read_file(const char *path, struct lines *lines, struct crosh_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    cleanup_fclose FILE *file = NULL;
    cleanup_free char *line = NULL;
    size_t size = 0;
    ssize_t length;
    struct stat st;

    if (fd < 0)
        return errno == ENOENT ? 0 : crosh_error_errno(err, "%s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_SIZE_MAX)
        return crosh_error_set(err, -EINVAL, "%s: this is no history file", path);
    file = fdopen(fd, "r");
    if (file == NULL)
        return crosh_error_errno(err, "%s", path);
    fd = -1;
    while ((length = getline(&line, &size, file)) > 0) {
        if (line[length - 1] == '\n')
            length--;
        if (length == 0 || length > LINE_SIZE_MAX || memchr(line, '\0', (size_t)length) != NULL)
            continue;
        if (!append(lines, unescape(line, (size_t)length), HISTORY_MAX))
            return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

/* Makes the directories above the file; what exists stays as it is. */
static int make_parents(const char *path)
{
    cleanup_free char *copy = strdup(path);

    if (copy == NULL)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

/* Replaces the file: whoever reads it sees the old or the new one, whole. */
static int write_file(const char *path, const struct lines *lines, struct crosh_error *err)
{
    cleanup_free char *temporary = NULL;
    cleanup_fclose FILE *file = NULL;
    bool failed;
    int fd;

    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        temporary = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return crosh_error_errno(err, "%s", path);
    file = fdopen(fd, "w");
    if (file == NULL) {
        (void)close(fd);
        (void)unlink(temporary);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < lines->count; i++)
        put_escaped(file, lines->items[i]);
    failed = fflush(file) != 0 || ferror(file) != 0;
    if (failed || rename(temporary, path) < 0) {
        int r = crosh_error_errno(err, "%s", path);

        (void)unlink(temporary);
        return r;
    }
    return 0;
}

/* Reads what other shells wrote, adds a line (NULL: clears all), writes it back; all under a lock.
 */
static int update(struct history *history, const char *added, struct crosh_error *err)
{
    struct lines merged = {0};
    cleanup_free char *lock_path = NULL;
    cleanup_close int lock = -1;
    int r = make_parents(history->path);

    if (r < 0) {
        errno = -r;
        return crosh_error_errno(err, "%s", history->path);
    }
    if (asprintf(&lock_path, "%s.lock", history->path) < 0) {
        lock_path = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return crosh_error_errno(err, "%s", lock_path);
    while (flock(lock, LOCK_EX) < 0) {
        if (errno != EINTR)
            return crosh_error_errno(err, "%s", lock_path);
    }
    if (added != NULL) {
        r = read_file(history->path, &merged, err);
        if (r == 0 && !append(&merged, strdup(added), history->size))
            r = crosh_error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0)
        r = write_file(history->path, &merged, err);
    if (r == 0) {
        lines_clear(&history->lines);
        history->lines = merged;
    } else {
        lines_clear(&merged);
    }
    return r;
}

struct history *history_new(const char *path, struct crosh_error *err)
{
    struct history *history = calloc(1, sizeof(*history));

    if (history == NULL)
        return NULL;
    history->size = HISTORY_MAX;
    if (path != NULL) {
        history->path = strdup(path);
        if (history->path == NULL) {
            free(history);
            return NULL;
        }
        if (read_file(path, &history->lines, err) < 0)
            lines_clear(&history->lines);
    }
    return history;
}

void history_free(struct history *history)
{
    if (history == NULL)
        return;
    lines_clear(&history->lines);
    free(history->path);
    free(history);
}

void history_set_size(struct history *history, size_t size)
{
    history->size = size < HISTORY_MAX ? size : HISTORY_MAX;
}

char *history_default_path(void)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    int r = -1;

    /* The XDG base directory specification has relative paths ignored. */
    if (state != NULL && state[0] == '/')
        r = asprintf(&path, "%s/crosh/history", state);
    else if (home != NULL && home[0] == '/')
        r = asprintf(&path, "%s/.local/state/crosh/history", home);
    return r < 0 ? NULL : path;
}

int history_add(struct history *history, const char *line, struct crosh_error *err)
{
    size_t length = strlen(line);
    int r;

    if (line[0] == ' ' || line[strspn(line, " \t\n")] == '\0' || length > LINE_SIZE_MAX)
        return 0;
    r = history->path != NULL ? update(history, line, err) : -ENOENT;
    if (r < 0 && !append(&history->lines, strdup(line), history->size))
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return r < 0 && history->path != NULL ? r : 1;
}

int history_clear(struct history *history, struct crosh_error *err)
{
    if (history->path != NULL)
        return update(history, NULL, err);
    lines_clear(&history->lines);
    return 0;
}

size_t history_count(const struct history *history)
{
    return history->lines.count;
}

const char *history_line(const struct history *history, size_t index)
{
    return history->lines.items[index];
}
