/* SPDX-License-Identifier: MIT */
/* Images for containers: sent to a VM's LXD as two files, and the default one, built here. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/sha256.h"
#include "lib/vm/dirs.h"
#include "modules/vmc/builder.h"
#include "modules/vmc/container/container.h"

#define DEFAULT_NAME "penguin"
#define CHUNK_SIZE   (256u * 1024u)

static int add_file(struct sha256 *sha, int fd, struct crosh_error *err)
{
    cleanup_free char *data = malloc(CHUNK_SIZE);
    ssize_t n;

    if (data == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return crosh_error_errno(err, "the image's file");
    while ((n = read(fd, data, CHUNK_SIZE)) > 0)
        sha256_add(sha, data, (size_t)n);
    return n < 0 ? crosh_error_errno(err, "the image's file") : 0;
}

/* LXD's fingerprint of an image of two files: the checksum of one behind the other. */
static int fingerprint(int metadata, int rootfs, struct container_image *image,
                       struct crosh_error *err)
{
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;
    int r;

    sha256_init(&sha);
    r = add_file(&sha, metadata, err);
    if (r == 0)
        r = add_file(&sha, rootfs, err);
    sha256_finish(&sha, digest);
    for (size_t i = 0; i < SHA256_SIZE; i++)
        (void)snprintf(image->fingerprint + 2 * i, 3, "%02x", digest[i]);
    return r;
}

struct upload {
    struct progress *progress;
    uint64_t total;
    unsigned int shown;
};

static void on_upload(void *data, uint64_t up, uint64_t down)
{
    struct upload *upload = data;
    unsigned int percent = (unsigned int)(up * 100 / upload->total);
    char text[32];

    (void)down;
    if (percent == upload->shown || percent > 100)
        return;
    upload->shown = percent;
    (void)snprintf(text, sizeof(text), "sending %u%%", percent);
    progress_detail(upload->progress, text);
}

int container_image_upload(struct container_work *work, int rootfs, int metadata,
                           struct container_image *image, struct crosh_error *err)
{
    const struct http_part parts[] = {
        {.name = "metadata", .filename = "metadata", .fd = metadata},
        {.name = "rootfs", .filename = "rootfs", .fd = rootfs},
    };
    struct upload upload = {.progress = &work->progress};
    struct http_request request = {
        .method = "POST",
        .path = "/1.0/images",
        .parts = parts,
        .part_count = 2,
        .progress = on_upload,
        .data = &upload,
        .deadline = work->deadline,
    };
    cleanup(lxd_reply_fini) struct lxd_reply reply = {0};
    json_t *known = NULL;
    struct stat st[2];
    int r = fingerprint(metadata, rootfs, image, err);

    if (r == 0)
        r = lxd_get(work->lxd, &known, err, "/1.0/images/%s", image->fingerprint);
    json_decref(known);
    if (r != -ENOENT)
        return r;
    if (fstat(metadata, &st[0]) < 0 || fstat(rootfs, &st[1]) < 0)
        return crosh_error_errno(err, "the image's files");
    upload.total = (uint64_t)st[0].st_size + (uint64_t)st[1].st_size + 1;
    progress_begin(&work->progress, "image");
    r = lxd_perform(work->lxd, &request, &reply, err);
    if (r < 0) {
        progress_fail(&work->progress);
        return crosh_error_wrap(err, "the image cannot be sent");
    }
    return container_wait(work, "image", reply.operation, NULL, err);
}

/* Builds the image on this host, if it is not there or what it is made of has changed. */
static int build(struct container_work *work, const char *directory, struct crosh_error *err)
{
    const char *const argv[] = {BUILDER,    DEFAULT_NAME, "--stages", "--if-needed",
                                "--output", directory,    NULL};
    struct builder_words words = {0};
    int r = builder_run(work->ctx, &work->progress, argv, &words, err);

    if (r > 0) {
        progress_fail(&work->progress);
        return builder_failed(&words, err);
    }
    return r;
}

static int open_file(const char *directory, const char *name, struct crosh_error *err)
{
    cleanup_free char *path = NULL;
    int fd;

    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : crosh_error_errno(err, "%s", path);
}

int container_image_default(struct container_work *work, struct container_image *image,
                            struct crosh_error *err)
{
    cleanup_free char *images = crosh_priv_images_dir();
    cleanup_free char *directory = NULL;
    cleanup_close int rootfs = -1;
    cleanup_close int metadata = -1;
    int r;

    if (images == NULL || asprintf(&directory, "%s/" DEFAULT_NAME, images) < 0) {
        directory = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    r = crosh_priv_make_dirs(images, err);
    if (r == 0)
        r = build(work, directory, err);
    if (r == 0)
        r = rootfs = open_file(directory, "rootfs.squashfs", err);
    if (r >= 0)
        r = metadata = open_file(directory, "metadata.tar.xz", err);
    return r < 0 ? r : container_image_upload(work, rootfs, metadata, image, err);
}
