/* SPDX-License-Identifier: MIT */
/* "vmc container export" and "import": containers as files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <zstd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/lxd/instance.h"
#include "modules/vmc/container/container.h"

/* An export that was killed leaves its archive in the VM; LXD removes it after so long. */
#define EXPIRY_SECONDS 86400
/* The guest's processor has other work: it is the host that compresses. */
#define COMPRESSION_LEVEL 6

/* Zstandard, RFC 8878, 3.1.1. */
static const unsigned char zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

struct export
{
    struct progress *progress;
    int fd;
    ZSTD_CCtx *zstd;
    void *out;
    size_t out_size;
};

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static int compress(struct export *export, const char *bytes, size_t size, ZSTD_EndDirective end)
{
    ZSTD_inBuffer in = {.src = bytes, .size = size};
    size_t left;

    do {
        ZSTD_outBuffer out = {.dst = export->out, .size = export->out_size};
        int r;

        left = ZSTD_compressStream2(export->zstd, &out, &in, end);
        if (ZSTD_isError(left))
            return -EIO;
        r = write_all(export->fd, export->out, out.pos);
        if (r < 0)
            return r;
    } while (end == ZSTD_e_end ? left != 0 : in.pos < in.size);
    return 0;
}

static int on_archive(void *data, const char *bytes, size_t size)
{
    return compress(data, bytes, size, ZSTD_e_continue);
}

static void show(struct progress *progress, uint64_t bytes)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%.0f MiB", (double)bytes / 1048576.0);
    if (strcmp(text, progress->detail) != 0)
        progress_detail(progress, text);
}

static void on_export_progress(void *data, uint64_t up, uint64_t down)
{
    (void)up;
    show(((struct export *)data)->progress, down);
}

/* Takes the archive that the VM has made. */
static int fetch(struct container_work *work, const char *path, int fd, struct crosh_error *err)
{
    struct export export = {.progress = &work->progress,
                            .fd = fd,
                            .zstd = ZSTD_createCCtx(),
                            .out_size = ZSTD_CStreamOutSize()};
    cleanup_free void *out = malloc(export.out_size);
    struct http_request request = {
        .method = "GET",
        .path = path,
        .write = on_archive,
        .progress = on_export_progress,
        .data = &export,
        .deadline = work->deadline,
    };
    cleanup(lxd_reply_fini) struct lxd_reply reply = {0};
    int r;

    export.out = out;
    if (export.zstd == NULL || out == NULL ||
        ZSTD_isError(
            ZSTD_CCtx_setParameter(export.zstd, ZSTD_c_compressionLevel, COMPRESSION_LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(export.zstd, ZSTD_c_checksumFlag, 1))) {
        (void)ZSTD_freeCCtx(export.zstd);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    progress_begin(&work->progress, "copy");
    r = lxd_perform(work->lxd, &request, &reply, err);
    if (r == 0) {
        r = compress(&export, NULL, 0, ZSTD_e_end);
        if (r == 0 && fsync(fd) < 0)
            r = -errno;
        if (r < 0)
            (void)crosh_error_set(err, r, "cannot write: %s", strerror(-r));
    }
    (void)ZSTD_freeCCtx(export.zstd);
    if (r == 0)
        progress_done(&work->progress, -1);
    else
        progress_fail(&work->progress);
    return r;
}

/* The request for an archive that nobody keeps. */
static json_t *backup_request(const char *backup)
{
    time_t until = time(NULL) + EXPIRY_SECONDS;
    char text[32];
    struct tm tm;

    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&until, &tm));
    return json_pack("{s:s, s:s, s:s, s:b, s:b}", "name", backup, "expires_at", text,
                     "compression_algorithm", "none", "instance_only", 0, "optimized_storage", 0);
}

static int export_to(struct container_work *work, const char *name, int fd, struct crosh_error *err)
{
    cleanup_free char *backups = NULL;
    cleanup_free char *backup = NULL;
    cleanup_free char *archive = NULL;
    char own[48];
    struct crosh_error inner;
    json_t *body;
    int r;

    (void)snprintf(own, sizeof(own), "crosh-export-%ld-%ld", (long)time(NULL), (long)getpid());
    if (asprintf(&backups, "/1.0/instances/%s/backups", name) < 0)
        backups = NULL;
    if (backups == NULL || asprintf(&backup, "%s/%s", backups, own) < 0)
        backup = NULL;
    if (backup == NULL || asprintf(&archive, "%s/export", backup) < 0)
        archive = NULL;
    body = backup_request(own);
    if (archive == NULL || body == NULL)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    else
        r = container_do(work, "archive", "POST", backups, body, NULL, NULL, err);
    json_decref(body);
    if (r == 0)
        r = fetch(work, archive, fd, err);
    /* What was made goes, whatever happened; one that LXD still makes goes by its expiry. */
    lxd_ignore_interrupt(work->lxd);
    if (backup != NULL)
        (void)lxd_do(work->lxd, "DELETE", NULL, deadline_in(60000), &inner, "%s", backup);
    return r;
}

int container_export(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *name = container_name(args, "container", err);
    const char *file = crosh_args_string(args, "file");
    struct lxd *lxd = name != NULL ? container_open(ctx, args, err) : NULL;
    struct container_work work;
    cleanup_close int fd = -1;
    json_t *object = NULL;
    int r;

    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd,
                        deadline_in(crosh_args_number(args, "timeout", 3600) * 1000));
    r = container_get(lxd, name, &object, err);
    json_decref(object);
    if (r == 0) {
        fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        r = fd < 0 ? crosh_error_errno(err, "cannot make %s", file)
                   : export_to(&work, name, fd, err);
        if (r < 0 && fd >= 0)
            (void)unlink(file);
    }
    lxd_close(lxd);
    return r;
}

struct import {
    struct progress *progress;
    int fd;
    ZSTD_DCtx *zstd; /* NULL: the file goes as it is */
    void *in;
    size_t in_size;
    ZSTD_inBuffer pending;
    size_t wants; /* what the decompressor still expects; 0: a frame has ended */
    struct crosh_error *err;
};

static ssize_t read_file(struct import *import, void *buffer, size_t size)
{
    ssize_t n;

    do {
        n = read(import->fd, buffer, size);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? crosh_error_errno(import->err, "cannot read the file") : n;
}

static ssize_t on_read(void *data, char *buffer, size_t size)
{
    struct import *import = data;
    ZSTD_outBuffer out = {.dst = buffer, .size = size};

    if (import->zstd == NULL)
        return read_file(import, buffer, size);
    while (out.pos == 0) {
        size_t r;

        if (import->pending.pos == import->pending.size) {
            ssize_t n = read_file(import, import->in, import->in_size);

            if (n < 0)
                return n;
            if (n == 0)
                return import->wants == 0
                           ? 0
                           : crosh_error_set(import->err, -EBADMSG, "the file is cut short");
            import->pending = (ZSTD_inBuffer){.src = import->in, .size = (size_t)n};
        }
        r = ZSTD_decompressStream(import->zstd, &out, &import->pending);
        if (ZSTD_isError(r))
            return crosh_error_set(import->err, -EBADMSG, "the file is damaged: %s",
                                   ZSTD_getErrorName(r));
        import->wants = r;
    }
    return (ssize_t)out.pos;
}

static void on_import_progress(void *data, uint64_t up, uint64_t down)
{
    (void)down;
    show(((struct import *)data)->progress, up);
}

static int send_file(struct container_work *work, struct import *import, const char *name,
                     struct lxd_reply *reply, struct crosh_error *err)
{
    char header[LXD_NAME_MAX + 16];
    const char *headers[] = {"Content-Type: application/octet-stream", name != NULL ? header : NULL,
                             NULL};
    struct http_request request = {
        .method = "POST",
        .path = "/1.0/instances",
        .headers = headers,
        .read = on_read,
        .progress = on_import_progress,
        .data = import,
        .deadline = work->deadline,
    };
    int r;

    (void)snprintf(header, sizeof(header), "X-LXD-name: %s", name != NULL ? name : "");
    progress_begin(&work->progress, "copy");
    r = lxd_perform(work->lxd, &request, reply, err);
    if (r == 0)
        progress_done(&work->progress, -1);
    else
        progress_fail(&work->progress);
    return r;
}

/* Whether the file is compressed with zstd; leaves it at its start. */
static int is_zstd(int fd, struct crosh_error *err)
{
    unsigned char magic[sizeof(zstd_magic)];
    ssize_t n = pread(fd, magic, sizeof(magic), 0);

    if (n < 0)
        return crosh_error_errno(err, "cannot read the file");
    return n == (ssize_t)sizeof(magic) && memcmp(magic, zstd_magic, sizeof(magic)) == 0;
}

static int import_file(struct container_work *work, int fd, const char *name,
                       struct crosh_error *err)
{
    struct import import = {
        .progress = &work->progress, .fd = fd, .in_size = ZSTD_DStreamInSize(), .err = err};
    cleanup_free void *in = malloc(import.in_size);
    cleanup(lxd_reply_fini) struct lxd_reply reply = {0};
    int r = is_zstd(fd, err);

    if (r < 0)
        return r;
    import.in = in;
    if (r > 0)
        import.zstd = ZSTD_createDCtx();
    if (in == NULL || (r > 0 && import.zstd == NULL))
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = send_file(work, &import, name, &reply, err);
    (void)ZSTD_freeDCtx(import.zstd);
    return r < 0 ? r : container_wait(work, "container", reply.operation, NULL, err);
}

/* Under another name until it is whole, as any container that is made. */
static int import_as(struct container_work *work, int fd, const char *name, struct crosh_error *err)
{
    char making[LXD_NAME_MAX + 1];
    char id[LXD_OPERATION_ID_SIZE];
    struct crosh_error inner;
    json_t *object = NULL;
    int r = lxd_get(work->lxd, &object, err, "/1.0/instances/%s", name);

    json_decref(object);
    if (r == 0)
        return crosh_error_set(err, -EEXIST, "container %s is there already", name);
    container_making_name(name, making);
    if (r == -ENOENT)
        r = lxd_find_operation(work->lxd, making, id, err);
    if (r > 0)
        return crosh_error_set(err, -EBUSY, "container %s is being made", name);
    if (r == 0)
        r = container_making_remove(work, making, err);
    if (r < 0)
        return r;
    r = import_file(work, fd, making, err);
    if (r == 0)
        return container_making_finish(work, making, name, err);
    if (r != -EINTR && r != -ETIMEDOUT)
        (void)container_making_remove(work, making, &inner);
    return r;
}

int container_import(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *file = crosh_args_string(args, "file");
    const char *name = crosh_args_string(args, "container");
    struct container_work work;
    cleanup_close int fd = -1;
    struct lxd *lxd;
    int r;

    if (name != NULL && lxd_name_check(name, err) < 0)
        return err->code;
    fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return crosh_error_errno(err, "%s", file);
    lxd = container_open(ctx, args, err);
    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd,
                        deadline_in(crosh_args_number(args, "timeout", 3600) * 1000));
    /* Without a name LXD takes the one that is in the file. */
    r = name != NULL ? import_as(&work, fd, name, err) : import_file(&work, fd, NULL, err);
    if (r < 0)
        (void)crosh_error_wrap(err, "%s", file);
    lxd_close(lxd);
    return r;
}
