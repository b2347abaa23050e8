/* SPDX-License-Identifier: MIT */
/* Finds what a VM boots from, running the image builder (crosh-mkimage) where something lacks. */
#include "modules/vmc/image.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/dirs.h"
#include "modules/vmc/builder.h"
#include "modules/vmc/image-store.h"

#define AGENT  CROSH_LIBEXECDIR "/crosh-agent"
#define UNPACK CROSH_LIBEXECDIR "/crosh-vmlinux"

void image_files_fini(struct image_files *files)
{
    free(files->kernel);
    free(files->initrd);
    free(files->root);
    *files = (struct image_files){0};
}

static int out_of_memory(struct crosh_error *err)
{
    return crosh_error_set(err, -ENOMEM, "out of memory");
}

/*
 * What the manifest tells: the image's kind and root, and of the initramfs's modules whether there
 * are none, and one of them.
 */
static void read_manifest(const char *dir, struct image_files *files)
{
    cleanup_free char *path = NULL;
    json_t *manifest, *modules, *module;
    const char *root, *kind;
    size_t i;

    if (asprintf(&path, "%s/manifest.json", dir) < 0) {
        path = NULL;
        return;
    }
    manifest = json_load_file(path, 0, NULL);
    modules = json_object_get(manifest, "modules");
    files->has_no_modules = manifest != NULL && json_array_size(modules) == 0;
    json_array_foreach(modules, i, module)
    {
        const char *name = json_is_string(module) ? strrchr(json_string_value(module), '/') : NULL;

        if (name != NULL && strcmp(name, "/virtio_mmio.ko") == 0)
            files->has_mmio = true;
    }
    files->has_layer = json_object_get(json_object_get(manifest, "root"), "layer") != NULL;
    kind = json_string_value(json_object_get(manifest, "image"));
    files->has_containers = kind != NULL && strcmp(kind, IMAGE_TERMINA) == 0;
    root = json_string_value(json_object_get(json_object_get(manifest, "root"), "file"));
    if (root != NULL && strchr(root, '/') == NULL && asprintf(&files->root, "%s/%s", dir, root) < 0)
        files->root = NULL;
    json_decref(manifest);
}

static int run_builder(struct crosh_context *ctx, struct progress *progress, const char *output,
                       const struct crosh_vm_config *config, struct crosh_error *err)
{
    /* A kernel of the user's own is booted with what the small image has. */
    const bool is_micro = config->kernel != NULL || strcmp(image_name(config), IMAGE_MICRO) == 0;
    const char *argv[10] = {BUILDER, is_micro ? IMAGE_MICRO : "refresh", "--output", output,
                            is_micro ? "--if-needed" : NULL};
    struct builder_words words = {0};
    int rc;

    if (config->kernel != NULL) {
        argv[5] = "--kernel";
        argv[6] = config->kernel;
    }
    if (config->kernel != NULL && config->modules != NULL) {
        argv[7] = "--modules";
        argv[8] = config->modules;
    }
    rc = builder_run(ctx, progress, argv, &words, err);
    if (rc <= 0)
        return rc;
    progress_fail(progress);
    return builder_failed(&words, err);
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* Whether nobody has written to the image's files since its manifest was made or touched. */
static bool is_untouched(const char *dir, const struct timespec *since)
{
    static const struct {
        const char *name;
        bool is_optional;
    } files[] = {{"initramfs", false}, {"vmlinuz", false}, {"vmlinux", true}};
    size_t i;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        cleanup_free char *path = NULL;
        struct stat st;

        if (asprintf(&path, "%s/%s", dir, files[i].name) < 0) {
            path = NULL;
            return false;
        }
        if (stat(path, &st) < 0 ? !files[i].is_optional : is_later(&st.st_mtim, since))
            return false;
    }
    return true;
}

/*
 * Whether the manifest can be read and the files have the sizes that it gives. A damaged
 * image is the builder's to mend, and to tell of.
 */
static bool is_whole(const char *dir, const char *manifest_path)
{
    json_t *manifest = json_load_file(manifest_path, JSON_REJECT_DUPLICATES, NULL);
    json_t *files = json_object_get(manifest, "files");
    bool result = json_is_string(json_object_get(manifest, "sum")) && json_object_size(files) > 0;
    const char *name;
    json_t *entry;

    json_object_foreach(files, name, entry)
    {
        cleanup_free char *path = NULL;
        struct stat st;

        if (asprintf(&path, "%s/%s", dir, name) < 0) {
            path = NULL;
            result = false;
        } else if (stat(path, &st) < 0 ||
                   st.st_size != json_integer_value(json_object_get(entry, "size"))) {
            result = false;
        }
    }
    json_decref(manifest);
    return result;
}

/*
 * Whether the image is younger than the programs that make it up and than its own
 * files, which is all that the builder would find out, in a tenth of the time.
 */
static bool is_fresh(const char *dir)
{
    static const char *const programs[] = {BUILDER, AGENT};
    cleanup_free char *manifest = NULL;
    struct stat image;
    size_t i;

    if (asprintf(&manifest, "%s/manifest.json", dir) < 0)
        return false;
    if (stat(manifest, &image) < 0)
        return false;
    for (i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        struct stat program;

        if (stat(programs[i], &program) < 0 || program.st_ctim.tv_sec >= image.st_mtim.tv_sec)
            return false;
    }
    return is_untouched(dir, &image.st_mtim) && is_whole(dir, manifest);
}

/* Notes that the builder found the image in order. */
static void touch(const char *dir)
{
    cleanup_free char *manifest = NULL;

    if (asprintf(&manifest, "%s/manifest.json", dir) >= 0)
        (void)utimensat(AT_FDCWD, manifest, NULL, 0);
}

/* The uncompressed kernel where there is one: the guest need not unpack itself. */
static char *kernel_of(const char *dir)
{
    cleanup_free char *path = NULL;

    if (asprintf(&path, "%s/vmlinux", dir) >= 0 && access(path, R_OK) == 0)
        return move_ptr(path);
    free(path);
    path = NULL;
    if (asprintf(&path, "%s/vmlinuz", dir) < 0)
        path = NULL;
    return move_ptr(path);
}

/* Takes what the user did not give from the image's directory. */
static int take_from(const char *dir, struct image_files *files, struct crosh_error *err)
{
    if (files->kernel == NULL)
        files->kernel = kernel_of(dir);
    if (files->initrd == NULL) {
        read_manifest(dir, files);
        if (asprintf(&files->initrd, "%s/initramfs", dir) < 0)
            files->initrd = NULL;
    }
    if (files->kernel == NULL || files->initrd == NULL)
        return out_of_memory(err);
    if (access(files->kernel, R_OK) < 0)
        return crosh_error_errno(err, "the image's kernel %s", files->kernel);
    if (access(files->initrd, R_OK) < 0)
        return crosh_error_errno(err, "the image's initramfs %s", files->initrd);
    return 0;
}

const char *image_name(const struct crosh_vm_config *config)
{
    if (config->image != NULL)
        return config->image;
    return image_is_there(IMAGE_TERMINA) ? IMAGE_TERMINA : IMAGE_MICRO;
}

bool image_shares_with_containers(const struct crosh_vm_config *config)
{
    json_t *manifest = NULL;
    bool does;

    (void)image_manifest(image_name(config), &manifest, NULL);
    does = json_is_true(json_object_get(manifest, "shares_with_containers"));
    json_decref(manifest);
    return does;
}

/* penguin has neither kernel nor agent. */
static int refuse_container_image(const char *name, struct crosh_error *err)
{
    json_t *manifest = NULL;
    const char *kind;
    bool is_one;

    (void)image_manifest(name, &manifest, NULL);
    kind = json_string_value(json_object_get(manifest, "image"));
    is_one = kind != NULL && strcmp(kind, "penguin") == 0;
    json_decref(manifest);
    if (!is_one)
        return 0;
    (void)crosh_error_set(err, -EINVAL, "the image %s is one for containers, not for VMs", name);
    return crosh_error_hint(err, "make a container from it: vmc container VM %s", name);
}

/*
 * The named image. The small one is built first where it is missing or not up to date; into
 * others, which take long to build and are made at the user's word, only the agent is put.
 */
static int find_image(struct crosh_context *ctx, const struct crosh_vm_config *config,
                      struct progress *progress, struct image_files *files, struct crosh_error *err)
{
    cleanup_free char *images = crosh_priv_images_dir();
    cleanup_free char *dir = NULL;
    const char *name = image_name(config);
    int rc;

    if (images == NULL || asprintf(&dir, "%s/%s", images, name) < 0)
        return out_of_memory(err);
    rc = image_require(name, err);
    if (rc == 0)
        rc = refuse_container_image(name, err);
    if (rc < 0)
        return rc;
    if (!is_fresh(dir)) {
        rc = crosh_priv_make_dirs(images, err);
        if (rc == 0)
            rc = run_builder(ctx, progress, dir, config, err);
        if (rc < 0)
            return rc;
        touch(dir);
    }
    return take_from(dir, files, err);
}

/* What tells one version of a file from the next, in a line of text. */
static int describe_file(const char *path, char *text, size_t size)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -errno;
    (void)snprintf(text, size, "%llu:%llu %lld %lld.%09ld\n", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino, (long long)st.st_size,
                   (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    return 0;
}

static bool holds_text(const char *path, const char *text)
{
    cleanup_fclose FILE *file = fopen(path, "re");
    char line[160];

    return file != NULL && fgets(line, sizeof(line), file) != NULL && strcmp(line, text) == 0;
}

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool is_written = file != NULL && fputs(text, file) >= 0;

    return file != NULL && fclose(file) == 0 && is_written;
}

/* Whether the file begins as one that needs no unpacking. */
static bool is_elf(const char *path)
{
    cleanup_fclose FILE *file = fopen(path, "re");
    char magic[4];

    return file != NULL && fread(magic, sizeof(magic), 1, file) == 1 &&
           memcmp(magic,
                  "\x7f"
                  "ELF",
                  sizeof(magic)) == 0;
}

/*
 * The user's kernel, unpacked once for each version of the file and kept in the VM's
 * directory, so that the guest need not do it at every start; the file itself where
 * that cannot be, as the launcher will say best what is wrong with it.
 */
static int find_unpacked(struct crosh_context *ctx, const char *vm, const char *kernel,
                         struct progress *progress, char **found, struct crosh_error *err)
{
    cleanup_free char *dir = NULL;
    cleanup_free char *unpacked = NULL;
    cleanup_free char *new = NULL;
    cleanup_free char *note = NULL;
    struct builder_words words = {0};
    char version[160];
    int rc = 1;

    if (asprintf(&dir, "%s/kernel", vm) < 0 || asprintf(&unpacked, "%s/vmlinux", dir) < 0 ||
        asprintf(&new, "%s/vmlinux.new", dir) < 0 || asprintf(&note, "%s/version", dir) < 0)
        return out_of_memory(err);
    if (!is_elf(kernel) && describe_file(kernel, version, sizeof(version)) == 0) {
        if (holds_text(note, version) && access(unpacked, R_OK) == 0) {
            rc = 0;
        } else if (crosh_priv_make_dirs(dir, NULL) == 0) {
            const char *argv[] = {UNPACK, kernel, new, NULL};

            (void)unlink(note);
            (void)unlink(new);
            rc = builder_run(ctx, progress, argv, &words, err);
            if (rc == 0 && (rename(new, unpacked) < 0 || !write_text(note, version)))
                rc = 1;
        }
    }
    if (rc == -EINTR)
        return rc;
    if (rc != 0)
        progress_clear(progress);
    *found = strdup(rc == 0 ? unpacked : kernel);
    return *found != NULL ? 0 : out_of_memory(err);
}

int image_find(struct crosh_context *ctx, const char *name, const struct crosh_vm_config *config,
               struct progress *progress, struct image_files *files, struct crosh_error *err)
{
    cleanup_free char *vm = NULL;
    cleanup_free char *dir = NULL;
    int rc;

    *files = (struct image_files){0};
    if (config->initrd != NULL && (files->initrd = strdup(config->initrd)) == NULL)
        return out_of_memory(err);
    if (config->kernel == NULL)
        return find_image(ctx, config, progress, files, err);
    vm = crosh_vm_dir(name);
    if (vm == NULL)
        return out_of_memory(err);
    if (config->initrd != NULL)
        return find_unpacked(ctx, vm, config->kernel, progress, &files->kernel, err);
    if (asprintf(&dir, "%s/boot", vm) < 0)
        return out_of_memory(err);
    rc = run_builder(ctx, progress, dir, config, err);
    if (rc < 0)
        return rc;
    return take_from(dir, files, err);
}
