/* SPDX-License-Identifier: MIT */
/* Runs a transfer: its beginning, its progress, what goes wrong, its end. */
#include "modules/sftp/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <crosh/progress.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/sanitize.h"
#include "lib/files/files.h"
#include "modules/sftp/transfer-internal.h"

/* A file is two or three round trips: so many files at once hide them. */
#define THREADS 16
/* Between two looks at the progress and at Ctrl-C. */
#define TICK_MS 100
/* How long what is under way at Ctrl-C may take to come, before the connection is given up. */
#define DRAIN_MS 2000
/* Warnings that are printed; the rest is a number. */
#define NOTES_MAX 1000u

struct transfer *transfer_new(struct crosh_context *ctx, struct sftp_client *client,
                              const struct sftp_where *where, int timeout_ms,
                              const struct transfer_options *options, struct crosh_error *err)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));

    if (transfer != NULL) {
        transfer->ctx = ctx;
        transfer->client = client;
        transfer->where = where;
        transfer->options = *options;
        transfer->notes_end = &transfer->notes;
        (void)pthread_mutex_init(&transfer->lock, NULL);
        transfer->checker = checker_new(where, timeout_ms, transfer_is_stopped, transfer);
        transfer->pool = pool_new(THREADS, transfer);
        if (transfer->checker != NULL && transfer->pool != NULL)
            return transfer;
        transfer_free(transfer);
    }
    (void)crosh_error_set(err, -ENOMEM, "out of memory");
    return NULL;
}

void transfer_free(struct transfer *transfer)
{
    if (transfer == NULL)
        return;
    pthread_mutex_lock(&transfer->lock);
    transfer->is_stopped = true;
    pthread_mutex_unlock(&transfer->lock);
    pool_free(transfer->pool);
    checker_free(transfer->checker);
    for (struct note *note = transfer->notes, *next; note != NULL; note = next) {
        next = note->next;
        free(note);
    }
    for (size_t i = 0; i < transfer->line_count; i++)
        free(transfer->lines[i]);
    free(transfer->lines);
    free(transfer->unkept_first);
    (void)pthread_mutex_destroy(&transfer->lock);
    free(transfer);
}

/* ---- What goes wrong ---- */

bool transfer_is_stopped(void *opaque)
{
    struct transfer *transfer = opaque;
    bool is_stopped;

    pthread_mutex_lock(&transfer->lock);
    is_stopped = transfer->is_stopped;
    pthread_mutex_unlock(&transfer->lock);
    return is_stopped;
}

void transfer_stop(struct transfer *transfer, const struct crosh_error *why)
{
    pthread_mutex_lock(&transfer->lock);
    if (!transfer->is_stopped)
        transfer->error = *why;
    transfer->is_stopped = true;
    pthread_mutex_unlock(&transfer->lock);
}

void transfer_warn(struct transfer *transfer, const char *path, const char *message)
{
    size_t size = strlen(path) + strlen(message) + 3;
    struct note *note = NULL;

    pthread_mutex_lock(&transfer->lock);
    if (transfer->counts.left_out++ < NOTES_MAX)
        note = malloc(sizeof(*note) + size);
    if (note != NULL) {
        (void)snprintf(note->text, size, "%s: %s", path, message);
        note->next = NULL;
        *transfer->notes_end = note;
        transfer->notes_end = &note->next;
    }
    pthread_mutex_unlock(&transfer->lock);
}

/* Whether nothing else would go better. */
static bool is_hopeless(int code)
{
    return code == -ENOSPC || code == -EDQUOT || code == -EROFS || code == -ENOMEM ||
           code == -EMFILE || code == -ENFILE;
}

void transfer_trouble(struct transfer *transfer, bool is_top, const char *path, int code,
                      const char *message)
{
    int state = sftp_client_state(transfer->client);
    struct crosh_error why = {0};

    if (code == -ECANCELED)
        return; /* by transfer_stop(), which knows why */
    if (state != 0) {
        if (state == -ETIMEDOUT)
            (void)crosh_error_set(&why, -ETIMEDOUT, "%s does not answer", transfer->where->name);
        else
            (void)crosh_error_set(&why, CROSH_ELOST, "the connection to %s is lost",
                                  transfer->where->name);
        (void)crosh_error_hint(&why, "the same command goes on where this one has stopped");
        transfer_stop(transfer, &why);
        return;
    }
    if (message == NULL)
        message = strerror(-code);
    if (is_top || is_hopeless(code)) {
        (void)crosh_error_set(&why, code, "%s: %s", path, message);
        transfer_stop(transfer, &why);
    } else {
        transfer_warn(transfer, path, message);
    }
}

void transfer_unkept(struct transfer *transfer, const char *path, int code)
{
    if (code == -ECANCELED || sftp_client_state(transfer->client) != 0) {
        transfer_trouble(transfer, false, path, code, NULL);
        return;
    }
    pthread_mutex_lock(&transfer->lock);
    if (transfer->unkept++ == 0 &&
        asprintf(&transfer->unkept_first, "%s: %s", path, strerror(-code)) < 0)
        transfer->unkept_first = NULL;
    pthread_mutex_unlock(&transfer->lock);
}

/* ---- What is done ---- */

void transfer_advance(struct transfer *transfer, int64_t bytes)
{
    pthread_mutex_lock(&transfer->lock);
    transfer->done += (uint64_t)bytes;
    pthread_mutex_unlock(&transfer->lock);
}

void transfer_expect(struct transfer *transfer, uint64_t bytes)
{
    pthread_mutex_lock(&transfer->lock);
    transfer->total += bytes;
    pthread_mutex_unlock(&transfer->lock);
}

void transfer_count(struct transfer *transfer, enum transfer_action action, const char *path,
                    uint64_t bytes)
{
    static const char *const words[] = {"copy", "make", "delete", NULL};
    struct transfer_counts *counts = &transfer->counts;
    uint64_t *const of[] = {&counts->copied, &counts->made, &counts->deleted, &counts->unchanged};
    char *line = NULL;

    pthread_mutex_lock(&transfer->lock);
    ++*of[action];
    if (action == TRANSFER_COPIED)
        counts->bytes += bytes;
    if (transfer->options.has_lines && words[action] != NULL &&
        asprintf(&line, "%s %s", words[action], path) >= 0) {
        /* Room grows by doubling, at powers of two. */
        size_t count = transfer->line_count;
        char **more =
            (count & (count - 1)) != 0
                ? transfer->lines
                : reallocarray(transfer->lines, count == 0 ? 1 : count * 2, sizeof(*more));

        if (more != NULL) {
            transfer->lines = more;
            transfer->lines[transfer->line_count++] = line;
        } else {
            free(line);
        }
    }
    pthread_mutex_unlock(&transfer->lock);
}

static int by_path(const void *a, const void *b)
{
    const char *one = *(char *const *)a, *two = *(char *const *)b;
    int order = strcmp(strchr(one, ' '), strchr(two, ' '));

    /* What is removed comes before what is made in its place. */
    return order != 0 ? order : strcmp(one, two);
}

void transfer_print_lines(struct transfer *transfer, FILE *out)
{
    if (transfer->line_count > 0)
        qsort(transfer->lines, transfer->line_count, sizeof(*transfer->lines), by_path);
    for (size_t i = 0; i < transfer->line_count; i++) {
        char clean[4096];

        text_sanitize(clean, sizeof(clean), transfer->lines[i]);
        (void)fprintf(out, "%s\n", clean);
    }
}

/* ---- Beginnings ---- */

/* The root's own contents are the first job; the reference is taken. */
static int start_root(struct tree *root, struct crosh_error *err)
{
    struct item *item = item_new(root, "");

    if (item == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    item->is_top = true;
    item_start(item, true);
    return 0;
}

static void attributes_of_remote(struct tree *tree, const struct sftp_attrs *attrs)
{
    tree->has_attributes = (attrs->flags & SFTP_ATTR_MODE) != 0;
    tree->attributes =
        (struct files_attributes){.mode = attrs->mode & 0777, .mtime = {.tv_sec = attrs->mtime}};
}

/* The directory here that is to be like the one there; -1 when it need not be there. */
static int open_sync_target(const struct transfer *transfer, const char *here,
                            struct crosh_error *err)
{
    int fd;

    if (!transfer->options.is_dry && mkdir(here, 0777) < 0 && errno != EEXIST)
        return crosh_error_errno(err, "cannot make '%s'", here);
    fd = open(here, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && (errno != ENOENT || !transfer->options.is_dry))
        return crosh_error_errno(err, "%s", here);
    return fd < 0 ? -1 : fd;
}

static int get_tree(struct transfer *transfer, const char *there, const char *here, bool is_into,
                    const struct sftp_attrs *attrs, struct crosh_error *err)
{
    cleanup(files_target_fini) struct files_target target = {.dir_fd = -1};
    cleanup_free char *name = NULL;
    struct tree *root;
    int fd, r = 0;

    if (transfer->options.is_sync) {
        err->code = 0;
        fd = open_sync_target(transfer, here, err);
        if (err->code < 0)
            return err->code;
    } else {
        r = files_target_open(&target, here, is_into, err);
        if (r < 0)
            return r;
        name = target.name != NULL ? strdup(target.name) : files_source_name(there);
        if (name == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        fd = name[0] == '\0' ? move_fd(target.dir_fd)
                             : files_directory_make(target.dir_fd, name, err);
        if (fd < 0)
            return fd;
    }
    root = tree_new_root(transfer, true, fd, here, there);
    if (root == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (name != NULL && name[0] != '\0') {
        attributes_of_remote(root, attrs);
        transfer_count(transfer, TRANSFER_MADE, there, 0);
    }
    return start_root(root, err);
}

static int get_one(struct transfer *transfer, const char *there, const char *here, bool is_into,
                   const struct sftp_attrs *attrs, struct crosh_error *err)
{
    cleanup(files_target_fini) struct files_target target = {.dir_fd = -1};
    cleanup_free char *name = NULL;
    struct tree *root;
    struct item *item;
    int r = files_target_open(&target, here, is_into, err);

    if (r < 0)
        return r;
    name = target.name != NULL ? strdup(target.name) : files_source_name(there);
    root = name != NULL ? tree_new_root(transfer, true, move_fd(target.dir_fd), here, "") : NULL;
    item = root != NULL ? item_new(root, name) : NULL;
    if (item == NULL || (item->there = strdup(there)) == NULL) {
        item_free(item);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    item->attrs = *attrs;
    item->is_top = true;
    item_start(item, false);
    return 0;
}

int transfer_get(struct transfer *transfer, const char *there, const char *here, bool is_into,
                 struct crosh_error *err)
{
    struct sftp_attrs attrs;
    int r = sftp_stat(transfer->client, there, &attrs);

    if (r < 0)
        return crosh_error_set(err, r, "%s: %s", there, strerror(-r));
    if (S_ISDIR(attrs.mode))
        return get_tree(transfer, there, here, is_into, &attrs, err);
    if (transfer->options.is_sync)
        return crosh_error_set(err, -ENOTDIR, "%s is not a directory", there);
    return get_one(transfer, there, here, is_into, &attrs, err);
}

/* Where the copy of what is called name goes: path itself, or into it. */
static int find_remote_target(struct transfer *transfer, const char *path, const char *name,
                              bool is_into, char **target, struct crosh_error *err)
{
    size_t length = strlen(path);
    struct sftp_attrs attrs;
    int r = sftp_stat(transfer->client, path, &attrs);

    if (r == 0 && S_ISDIR(attrs.mode) && !transfer->options.is_sync)
        *target = name[0] != '\0' ? path_join(path, name) : strdup(path);
    else if (r == 0 && (is_into || path[length - 1] == '/') && !S_ISDIR(attrs.mode))
        return crosh_error_set(err, -ENOTDIR, "%s is not a directory", path);
    else if (r < 0 && (r != -ENOENT || is_into))
        return crosh_error_set(err, r, "%s: %s", path, strerror(-r));
    else
        *target = strdup(path);
    return *target != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
}

static int put_tree(struct transfer *transfer, const char *here, int fd, const struct stat *st,
                    const char *there, bool has_name, struct crosh_error *err)
{
    struct tree *root = tree_new_root(transfer, false, fd, here, there);
    struct sftp_attrs attrs = {0};
    int r = 0;

    if (root == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (!transfer->options.is_dry)
        r = sftp_mkdir(transfer->client, there, 0700, &attrs);
    if (r < 0 &&
        !(r == -EEXIST && sftp_stat(transfer->client, there, &attrs) == 0 && S_ISDIR(attrs.mode))) {
        r = r == -EEXIST ? crosh_error_set(err, -ENOTDIR,
                                           "%s is there already and is not a directory", there)
                         : crosh_error_set(err, r, "cannot make %s: %s", there, strerror(-r));
        tree_unref(root);
        return r;
    }
    if (r == 0 && !transfer->options.is_dry)
        transfer_count(transfer, TRANSFER_MADE, there, 0);
    if (has_name && (r == 0 || !transfer->options.is_sync)) {
        root->has_attributes = true;
        root->attributes = (struct files_attributes){.mode = st->st_mode, .mtime = st->st_mtim};
    }
    return start_root(root, err);
}

/* The directory that a path is in, opened. */
static int open_parent(const char *path, struct crosh_error *err)
{
    const char *slash = strrchr(path, '/');
    cleanup_free char *parent =
        slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    int fd = parent != NULL ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    return fd < 0 ? crosh_error_errno(err, "%s", path) : fd;
}

static int put_one(struct transfer *transfer, const char *here, const char *name,
                   const struct stat *st, char *there, struct crosh_error *err)
{
    struct tree *root;
    struct item *item = NULL;
    int fd = open_parent(here, err);

    if (fd < 0) {
        free(there);
        return fd;
    }
    root = tree_new_root(transfer, false, fd, here, "");
    if (root != NULL)
        item = item_new(root, name);
    if (item == NULL) {
        free(there);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    item->there = there;
    item->attrs = (struct sftp_attrs){.size = (uint64_t)st->st_size, .mode = st->st_mode};
    item->mtime = st->st_mtim;
    item->is_top = true;
    item_start(item, false);
    return 0;
}

int transfer_put(struct transfer *transfer, const char *here, const char *there, bool is_into,
                 struct crosh_error *err)
{
    cleanup_free char *name = files_source_name(here);
    cleanup_free char *target = NULL;
    struct stat st;
    int fd, r;

    if (name == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (stat(here, &st) < 0)
        return crosh_error_errno(err, "%s", here);
    if (transfer->options.is_sync && !S_ISDIR(st.st_mode))
        return crosh_error_set(err, -ENOTDIR, "%s is not a directory", here);
    r = find_remote_target(transfer, there, name, is_into, &target, err);
    if (r < 0)
        return r;
    if (!S_ISDIR(st.st_mode))
        return put_one(transfer, here, name, &st, move_ptr(target), err);
    fd = open(here, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return crosh_error_errno(err, "%s", here);
    return put_tree(transfer, here, fd, &st, target, name[0] != '\0', err);
}

/* ---- The end ---- */

static void print_notes(struct transfer *transfer)
{
    for (const struct note *note = transfer->notes; note != NULL; note = note->next) {
        char clean[1024];

        text_sanitize(clean, sizeof(clean), note->text);
        crosh_warn(transfer->ctx, "%s", clean);
    }
    if (transfer->counts.left_out > NOTES_MAX)
        crosh_warn(transfer->ctx, "and %llu more",
                   (unsigned long long)(transfer->counts.left_out - NOTES_MAX));
    if (transfer->unkept > 0) {
        char clean[1024] = "";

        if (transfer->unkept_first != NULL)
            text_sanitize(clean, sizeof(clean), transfer->unkept_first);
        crosh_warn(transfer->ctx,
                   "permissions or times could not be set as the sources have them: %llu of them, "
                   "first that of %s",
                   (unsigned long long)transfer->unkept, clean);
    }
}

static void show(struct transfer *transfer, struct crosh_progress *progress)
{
    uint64_t done, total;

    pthread_mutex_lock(&transfer->lock);
    done = transfer->done;
    total = transfer->total;
    pthread_mutex_unlock(&transfer->lock);
    crosh_progress_set_total(progress, total);
    crosh_progress_update(progress, done);
}

static void stop_for_user(struct transfer *transfer)
{
    struct crosh_error why = {0};

    (void)crosh_error_set(&why, -EINTR, "interrupted");
    (void)crosh_error_hint(&why, "the same command goes on where this one has stopped");
    transfer_stop(transfer, &why);
}

int transfer_finish(struct transfer *transfer, const char *title, struct transfer_counts *counts,
                    struct crosh_error *err)
{
    struct crosh_progress *progress =
        title != NULL ? crosh_progress_new(transfer->ctx, title, "B", 0) : NULL;
    int64_t deadline = DEADLINE_NEVER;

    while (!pool_wait(transfer->pool, TICK_MS)) {
        if (crosh_is_interrupted(transfer->ctx) != 0 && deadline == DEADLINE_NEVER) {
            stop_for_user(transfer);
            deadline = deadline_in(DRAIN_MS);
        }
        if (deadline_now() > deadline)
            sftp_client_abort(transfer->client);
        show(transfer, progress);
    }
    show(transfer, progress);
    crosh_progress_finish(progress, transfer->error.code == 0);
    print_notes(transfer);
    *counts = transfer->counts;
    if (transfer->error.code == 0)
        return 0;
    *err = transfer->error;
    /* It may quote the server. */
    text_sanitize(err->message, sizeof(err->message), transfer->error.message);
    return err->code;
}
