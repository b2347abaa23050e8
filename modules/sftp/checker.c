/* SPDX-License-Identifier: MIT */
/* Asks a server for checksums, by a shell in it; reads files again where it has none. */
#include "modules/sftp/checker.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/files/files.h"
#include "modules/sftp/calls.h"
#include "modules/sftp/window.h"

/* Two lines a question, a size and a path; one line an answer: the sum, or a dash. */
static const char sums_script[] = "echo crosh; while IFS= read -r n && IFS= read -r f; do "
                                  "if s=$(head -c \"$n\" \"$f\" | sha256sum); then printf "
                                  "\"%s\\n\" \"$s\"; else echo -; fi; done";
/* What a start-up file of the user may print before the script begins, and lines of answers. */
#define LINE_MAX_BYTES 4096
#define NOISE_LINES    100
/* A slow disk's rate, in bytes a millisecond: how long a sum may take. */
#define SLOWEST 5000
/* Between two looks at whether to stop, while waiting. */
#define TICK_MS 100

struct checker {
    const struct sftp_where *where;
    int timeout_ms;
    bool (*is_stopped)(void *opaque);
    void *opaque;
    pthread_mutex_t lock;
    struct sftp_link *link;
    bool is_tried;
    char line[LINE_MAX_BYTES];
    size_t filled;
};

struct checker *checker_new(const struct sftp_where *where, int timeout_ms,
                            bool (*is_stopped)(void *opaque), void *opaque)
{
    struct checker *checker = calloc(1, sizeof(*checker));

    if (checker == NULL)
        return NULL;
    checker->where = where;
    checker->timeout_ms = timeout_ms;
    checker->is_stopped = is_stopped;
    checker->opaque = opaque;
    (void)pthread_mutex_init(&checker->lock, NULL);
    return checker;
}

void checker_free(struct checker *checker)
{
    if (checker == NULL)
        return;
    sftp_link_free(checker->link);
    (void)pthread_mutex_destroy(&checker->lock);
    free(checker);
}

/* ---- Lines to and from the shell; all with the lock ---- */

static int await(struct checker *checker, short events, int64_t deadline)
{
    for (;;) {
        int64_t tick = deadline_in(TICK_MS);
        int r = deadline_poll(checker->link->fd, events, tick < deadline ? tick : deadline);

        if (r != -ETIMEDOUT || tick >= deadline)
            return r;
        if (checker->is_stopped(checker->opaque))
            return -ECANCELED;
    }
}

static int send_text(struct checker *checker, const char *text, int64_t deadline)
{
    struct sftp_link *link = checker->link;
    size_t size = strlen(text), sent = 0;

    while (sent < size) {
        ssize_t n = link->ops->write(link, text + sent, size - sent);
        int r = 0;

        if (n > 0)
            sent += (size_t)n;
        else if (n == 0 || n == -EAGAIN)
            r = await(checker, (short)(POLLIN | link->ops->write_events(link)), deadline);
        else
            r = (int)n;
        if (r < 0)
            return r;
    }
    return 0;
}

/* The next line, without its end, where line is; it stays until the next one. */
static int take_line(struct checker *checker, int64_t deadline, char line[LINE_MAX_BYTES])
{
    struct sftp_link *link = checker->link;

    for (;;) {
        char *end = memchr(checker->line, '\n', checker->filled);
        ssize_t n;
        int r = 0;

        if (end != NULL) {
            size_t length = (size_t)(end - checker->line);

            memcpy(line, checker->line, length);
            line[length] = '\0';
            checker->filled -= length + 1;
            memmove(checker->line, end + 1, checker->filled);
            return 0;
        }
        if (checker->filled == sizeof(checker->line))
            return -EBADMSG;
        n = link->ops->read(link, checker->line + checker->filled,
                            sizeof(checker->line) - checker->filled);
        if (n > 0)
            checker->filled += (size_t)n;
        else if (n == -EAGAIN)
            r = await(checker, POLLIN, deadline);
        else
            r = n == 0 ? -ECONNRESET : (int)n;
        if (r < 0)
            return r;
    }
}

static void give_up(struct checker *checker)
{
    sftp_link_free(move_ptr(checker->link));
}

/* Starts the shell, once: nobody is asked for a password a second time. */
static void start(struct checker *checker)
{
    const struct sftp_open_options options = {.timeout_ms = checker->timeout_ms};
    int64_t deadline = deadline_in(checker->timeout_ms);
    char line[LINE_MAX_BYTES];

    checker->is_tried = true;
    checker->link = sftp_where_run(checker->where, &options, sums_script, NULL);
    for (int i = 0; checker->link != NULL && i < NOISE_LINES; i++) {
        if (take_line(checker, deadline, line) < 0)
            break;
        if (strcmp(line, "crosh") == 0)
            return;
    }
    give_up(checker);
}

static int take_sum(const char *line, uint8_t digest[SHA256_SIZE])
{
    /* For a name that it would have to escape, sha256sum begins with a backslash. */
    if (strspn(line, "0123456789abcdef") != 2 * SHA256_SIZE)
        return -EOPNOTSUPP;
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        unsigned int byte;

        if (sscanf(line + 2 * i, "%2x", &byte) != 1)
            return -EOPNOTSUPP;
        digest[i] = (uint8_t)byte;
    }
    return 0;
}

static int ask(struct checker *checker, const char *path, uint64_t size,
               uint8_t digest[SHA256_SIZE])
{
    int64_t deadline = deadline_in(checker->timeout_ms + (int64_t)(size / SLOWEST));
    cleanup_free char *question = NULL;
    char line[LINE_MAX_BYTES];
    int r;

    if (!checker->is_tried)
        start(checker);
    /* A shell reads lines; names with an end of line in them are another's work. */
    if (checker->link == NULL || strchr(path, '\n') != NULL)
        return -EOPNOTSUPP;
    if (asprintf(&question, "%llu\n%s\n", (unsigned long long)size, path) < 0)
        return -ENOMEM;
    r = send_text(checker, question, deadline);
    if (r == 0)
        r = take_line(checker, deadline, line);
    if (r == 0)
        r = take_sum(line, digest);
    if (r < 0)
        give_up(checker); /* what it says from now on may belong to another question */
    return r < 0 && r != -ECANCELED ? -EOPNOTSUPP : r;
}

int checker_sums_match(struct checker *checker, const char *path, int fd, uint64_t size)
{
    uint8_t theirs[SHA256_SIZE], ours[SHA256_SIZE];
    int r;

    pthread_mutex_lock(&checker->lock);
    r = ask(checker, path, size, theirs);
    pthread_mutex_unlock(&checker->lock);
    if (r == 0)
        r = files_digest(fd, size, ours, checker->is_stopped, checker->opaque);
    return r < 0 ? r : memcmp(theirs, ours, sizeof(ours)) == 0;
}

/* ---- Reading again ---- */

struct comparison {
    int fd;
    bool differs;
    uint8_t *buffer;
    size_t room;
    bool (*is_stopped)(void *opaque);
    void *opaque;
};

static int compare(void *opaque, uint64_t offset, const uint8_t *data, size_t size)
{
    struct comparison *comparison = opaque;
    ssize_t n;

    if (size > comparison->room) {
        free(comparison->buffer);
        comparison->buffer = malloc(size);
        comparison->room = comparison->buffer != NULL ? size : 0;
        if (comparison->buffer == NULL)
            return -ENOMEM;
    }
    n = pread(comparison->fd, comparison->buffer, size, (off_t)offset);
    if (n < 0)
        return -errno;
    if ((size_t)n != size || memcmp(comparison->buffer, data, size) != 0)
        comparison->differs = true;
    return comparison->differs ? -EILSEQ : 0;
}

static bool is_comparison_stopped(void *opaque)
{
    const struct comparison *comparison = opaque;

    return comparison->is_stopped(comparison->opaque);
}

int checker_bytes_match(struct sftp_client *client, const char *path, int fd, uint64_t offset,
                        uint64_t end, bool (*is_stopped)(void *opaque), void *opaque)
{
    struct comparison comparison = {.fd = fd, .is_stopped = is_stopped, .opaque = opaque};
    const struct window_user user = {
        .take = compare,
        .is_stopped = is_comparison_stopped,
        .opaque = &comparison,
    };
    struct sftp_handle handle;
    int r = sftp_open(client, path, SFTP_OPEN_READ, 0, &handle);

    if (r < 0)
        return r;
    r = window_read(client, &handle, &offset, end, &user);
    (void)sftp_close(client, &handle);
    free(comparison.buffer);
    if (r == -EILSEQ || r == -ENODATA)
        return 0;
    return r < 0 ? r : 1;
}
