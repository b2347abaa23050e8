/* SPDX-License-Identifier: MIT */
/* Lists, reads and removes images. */
#include "modules/vmc/image-store.h"

#include <crosh/vm.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/dirs.h"
#include "modules/vmc/image.h"

static void close_directory(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

int image_check_name(const char *name, struct crosh_error *err)
{
    if (crosh_vm_check_name(name, NULL) == 0)
        return 0;
    crosh_error_set(err, CROSH_EUSAGE, "that cannot be the name of an image");
    return crosh_error_hint(err, "a name is 1 to %d lower-case letters, digits and dashes",
                            CROSH_VM_NAME_MAX);
}

char *image_dir(const char *name)
{
    cleanup_free char *images = crosh_priv_images_dir();
    char *dir = NULL;

    if (images == NULL || asprintf(&dir, "%s/%s", images, name) < 0)
        return NULL;
    return dir;
}

bool image_is_there(const char *name)
{
    cleanup_free char *dir = image_dir(name);
    cleanup_free char *manifest = NULL;

    return dir != NULL && asprintf(&manifest, "%s/manifest.json", dir) >= 0 &&
           access(manifest, F_OK) == 0;
}

int image_require(const char *name, struct crosh_error *err)
{
    int rc = image_check_name(name, err);

    if (rc < 0 || strcmp(name, IMAGE_MICRO) == 0 || image_is_there(name))
        return rc;
    crosh_error_set(err, -ENOENT, "there is no image named %s", name);
    if (strcmp(name, IMAGE_TERMINA) == 0)
        return crosh_error_hint(err, "build it: vmc image build %s", name);
    return crosh_error_hint(err, "see what there is: vmc image list");
}

static bool has_manifest(int images_fd, const char *name)
{
    char path[CROSH_VM_NAME_MAX + sizeof("/manifest.json")];

    return snprintf(path, sizeof(path), "%s/manifest.json", name) < (int)sizeof(path) &&
           faccessat(images_fd, path, F_OK, 0) == 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **image_names(struct crosh_error *err)
{
    cleanup_free char *images = crosh_priv_images_dir();
    cleanup(close_directory) DIR *dir = images != NULL ? opendir(images) : NULL;
    char **names = calloc(1, sizeof(*names));
    const struct dirent *entry;
    size_t count = 0;

    if (images == NULL || names == NULL) {
        free(names);
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    if (dir == NULL && errno != ENOENT) {
        free(names);
        (void)crosh_error_errno(err, "cannot list %s", images);
        return NULL;
    }
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char **grown;

        if (crosh_vm_check_name(entry->d_name, NULL) < 0 ||
            !has_manifest(dirfd(dir), entry->d_name))
            continue;
        grown = reallocarray(names, count + 2, sizeof(*grown));
        if (grown != NULL) {
            names = grown;
            names[count + 1] = NULL;
            names[count] = strdup(entry->d_name);
        }
        if (grown == NULL || names[count] == NULL) {
            names[count] = NULL;
            crosh_strv_free(names);
            (void)crosh_error_set(err, -ENOMEM, "out of memory");
            return NULL;
        }
        count++;
    }
    qsort(names, count, sizeof(*names), compare);
    return names;
}

int image_manifest(const char *name, json_t **manifest, struct crosh_error *err)
{
    cleanup_free char *dir = image_dir(name);
    cleanup_free char *path = NULL;
    json_error_t where;

    *manifest = NULL;
    if (dir == NULL || asprintf(&path, "%s/manifest.json", dir) < 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (access(path, F_OK) < 0) {
        crosh_error_set(err, -ENOENT, "there is no image named %s", name);
        return crosh_error_hint(err, "see what there is: vmc image list");
    }
    *manifest = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(*manifest)) {
        json_decref(*manifest);
        *manifest = NULL;
        crosh_error_set(err, -EBADMSG, "the image %s is damaged: %s cannot be read", name, path);
        return crosh_error_hint(err, "remove it, and build or import it again: vmc image remove %s",
                                name);
    }
    return 0;
}

uint64_t image_size(const json_t *manifest)
{
    json_t *files = json_object_get(manifest, "files");
    const char *name;
    json_t *file;
    uint64_t sum = 0;

    json_object_foreach(files, name, file)
    {
        json_int_t size = json_integer_value(json_object_get(file, "size"));

        if (size > 0)
            sum += (uint64_t)size;
    }
    return sum;
}

int image_remove(const char *name, struct crosh_error *err)
{
    cleanup_free char *images = crosh_priv_images_dir();
    cleanup_free char *dir = image_dir(name);
    cleanup_free char *lock = NULL;
    cleanup_free char *trash = NULL;
    cleanup_close int fd = -1;
    int rc;

    if (images == NULL || dir == NULL || asprintf(&lock, "%s/.%s.lock", images, name) < 0 ||
        asprintf(&trash, "%s/.%s.build.removed", images, name) < 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return crosh_error_errno(err, "cannot open %s", lock);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return crosh_error_set(err, -EBUSY, "the image %s is being built", name);
    /* At once, under a name that the next build cleans up if we are killed. */
    rc = crosh_priv_remove_tree(trash, err);
    if (rc < 0)
        return rc;
    if (rename(dir, trash) < 0)
        return crosh_error_errno(err, "cannot remove the image %s", name);
    rc = crosh_priv_remove_tree(trash, err);
    (void)unlink(lock);
    return rc;
}

void image_complete(struct crosh_context *ctx, const struct crosh_args *args, const char *prefix,
                    struct crosh_matches *matches)
{
    char **names = image_names(NULL);

    (void)ctx;
    (void)args;
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        if (strncmp(names[i], prefix, strlen(prefix)) == 0)
            crosh_match_add(matches, names[i], "image");
    }
    crosh_strv_free(names);
}
