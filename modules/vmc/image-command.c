/* SPDX-License-Identifier: MIT */
/* "vmc image": builds, lists, shows and removes images. */
#include <crosh/module.h>
#include <crosh/vm.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/vm/config.h"
#include "lib/vm/dirs.h"
#include "modules/vmc/builder.h"
#include "modules/vmc/image-store.h"
#include "modules/vmc/image.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

static const char *const buildable[] = {"termina", "penguin", "micro", NULL};

/* Runs the builder, and shows how far it is. */
static int make(struct crosh_context *ctx, const char *name, const char *const *argv,
                const char *done, struct crosh_error *err)
{
    cleanup_free char *images = crosh_priv_images_dir();
    struct builder_words words = {0};
    struct progress progress;
    const int64_t began = deadline_now();
    int rc;

    if (images == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    rc = crosh_priv_make_dirs(images, err);
    if (rc < 0)
        return rc;
    progress_init(&progress, ctx);
    rc = builder_run(ctx, &progress, argv, &words, err);
    if (rc > 0) {
        progress_fail(&progress);
        return builder_failed(&words, err);
    }
    if (rc == 0)
        (void)fprintf(crosh_stderr(ctx), "the image %s is %s (%.1f s)\n", name, done,
                      (double)(deadline_now() - began) / 1000.0);
    return rc;
}

static int build(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "name");
    const char *mirror = crosh_args_string(args, "mirror");
    const char *suite = crosh_args_string(args, "suite");
    cleanup_free char *dir = image_dir(name);
    const char *argv[10] = {BUILDER, name, "--stages", "--output", dir};
    size_t count = 5;

    if (mirror != NULL) {
        argv[count++] = "--mirror";
        argv[count++] = mirror;
    }
    if (suite != NULL) {
        argv[count++] = "--suite";
        argv[count++] = suite;
    }
    return make(ctx, name, argv, "built", err);
}

static int import(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "name");
    const char *const options[] = {"kernel", "modules"};
    cleanup_free char *dir = image_dir(name);
    const char *argv[14] = {BUILDER,
                            "import",
                            "--stages",
                            "--output",
                            dir,
                            "--source",
                            crosh_args_string(args, "source")};
    size_t count = 7;
    int rc = image_check_name(name, err);

    if (rc < 0)
        return rc;
    if (strcmp(name, IMAGE_MICRO) == 0 || strcmp(name, IMAGE_TERMINA) == 0)
        return crosh_error_set(err, CROSH_EUSAGE, "%s is the name of an image that is built", name);
    if (image_is_there(name)) {
        crosh_error_set(err, -EEXIST, "there is an image named %s already", name);
        return crosh_error_hint(err, "remove it first: vmc image remove %s", name);
    }
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        if (crosh_args_string(args, options[i]) == NULL)
            continue;
        argv[count++] = i == 0 ? "--kernel" : "--modules";
        argv[count++] = crosh_args_string(args, options[i]);
    }
    return make(ctx, name, argv, "imported", err);
}

/* How many VMs have the image, and one that runs; running is the caller's, or NULL. */
static size_t count_users(const char *name, char **running)
{
    char **vms = crosh_vm_names(NULL);
    size_t count = 0;

    *running = NULL;
    for (size_t i = 0; vms != NULL && vms[i] != NULL; i++) {
        struct crosh_vm_config config;

        if (crosh_priv_vm_config_load(vms[i], &config, NULL) < 0)
            continue;
        if (strcmp(image_name(&config), name) == 0) {
            count++;
            if (*running == NULL && crosh_vm_state(vms[i]) != CROSH_VM_STOPPED)
                *running = strdup(vms[i]);
        }
        crosh_priv_vm_config_fini(&config);
    }
    crosh_strv_free(vms);
    return count;
}

static const char *text_of(const json_t *manifest, const char *object, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(manifest, object), key));

    return text != NULL ? text : "-";
}

static json_t *to_json(const char *name, json_t *manifest, bool is_whole)
{
    cleanup_free char *running = NULL;
    json_t *object = is_whole ? json_deep_copy(manifest) : json_object();

    (void)json_object_set_new(object, "name", json_string(name));
    (void)json_object_set_new(object, "size", json_integer((json_int_t)image_size(manifest)));
    if (!is_whole && manifest != NULL)
        (void)json_object_update_new(
            object, json_pack("{s:s, s:s}", "kernel", text_of(manifest, "kernel", "release"),
                              "agent", text_of(manifest, "agent", "version")));
    (void)json_object_set_new(object, "vms", json_integer((json_int_t)count_users(name, &running)));
    return object;
}

static int print_json(struct crosh_context *ctx, json_t *value, struct crosh_error *err)
{
    cleanup_free char *text = json_dumps(value, JSON_INDENT(2));

    json_decref(value);
    if (text == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)fprintf(crosh_stdout(ctx), "%s\n", text);
    return 0;
}

static void add_row(struct crosh_table *table, const char *name, const json_t *manifest)
{
    cleanup_free char *running = NULL;
    char size[32] = "-";
    char users[24];
    const char *cells[6] = {name, "damaged", size, "-", users, NULL};

    (void)snprintf(users, sizeof(users), "%zu", count_users(name, &running));
    if (manifest != NULL) {
        cells[1] = json_string_value(json_object_get(manifest, "image"));
        if (cells[1] == NULL)
            cells[1] = "-";
        (void)text_size(image_size(manifest), size, sizeof(size));
        cells[3] = text_of(manifest, "kernel", "release");
    }
    crosh_table_row(table, cells);
}

static int list(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const headers[] = {"NAME", "KIND", "SIZE", "KERNEL", "VMS", NULL};
    const bool as_json = crosh_args_has(args, "json");
    struct crosh_table *table = as_json ? NULL : crosh_table_new(headers);
    char **names = image_names(err);
    json_t *all = json_array();
    size_t i;

    for (i = 0; names != NULL && names[i] != NULL; i++) {
        json_t *manifest;

        (void)image_manifest(names[i], &manifest, NULL);
        if (as_json)
            (void)json_array_append_new(all, to_json(names[i], manifest, false));
        else
            add_row(table, names[i], manifest);
        json_decref(manifest);
    }
    if (names != NULL && as_json) {
        (void)print_json(ctx, json_incref(all), err);
    } else if (names != NULL && i > 0) {
        crosh_page_output(ctx);
        crosh_table_print(table, ctx);
    } else if (names != NULL) {
        (void)fprintf(crosh_stderr(ctx),
                      "There are no images yet. Build one: vmc image build termina\n");
    }
    json_decref(all);
    crosh_table_free(table);
    if (names == NULL)
        return err->code;
    crosh_strv_free(names);
    return 0;
}

static void print_files(FILE *out, const json_t *manifest)
{
    json_t *files = json_object_get(manifest, "files");
    const char *name;
    json_t *file;

    json_object_foreach(files, name, file)
    {
        const char *sum = json_string_value(json_object_get(file, "sha256"));
        char size[32];

        (void)text_size((uint64_t)json_integer_value(json_object_get(file, "size")), size,
                        sizeof(size));
        (void)fprintf(out, "  %-16s %8s  %s\n", name, size, sum != NULL ? sum : "-");
    }
}

static int info(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "name");
    cleanup_free char *running = NULL;
    cleanup_free char *dir = NULL;
    FILE *out = crosh_stdout(ctx);
    json_t *manifest;
    char size[32];
    int rc = image_check_name(name, err);

    if (rc == 0)
        rc = image_manifest(name, &manifest, err);
    if (rc < 0)
        return rc;
    if (crosh_args_has(args, "json")) {
        rc = print_json(ctx, to_json(name, manifest, true), err);
        json_decref(manifest);
        return rc;
    }
    dir = image_dir(name);
    (void)fprintf(out, "name:     %s\n", name);
    (void)fprintf(out, "where:    %s\n", dir != NULL ? dir : "-");
    (void)fprintf(out, "size:     %s\n", text_size(image_size(manifest), size, sizeof(size)));
    (void)fprintf(out, "kernel:   %s (from %s)\n", text_of(manifest, "kernel", "release"),
                  text_of(manifest, "kernel", "source"));
    (void)fprintf(out, "agent:    %s\n", text_of(manifest, "agent", "version"));
    if (json_object_get(manifest, "root") != NULL)
        (void)fprintf(out, "root:     %s, %s\n", text_of(manifest, "root", "type"),
                      text_of(manifest, "root", "suite"));
    if (json_object_get(manifest, "packages") != NULL)
        (void)fprintf(out, "packages: %zu (lxd %s)\n",
                      json_object_size(json_object_get(manifest, "packages")),
                      text_of(manifest, "packages", "lxd"));
    (void)fprintf(out, "VMs:      %zu\nfiles:\n", count_users(name, &running));
    print_files(out, manifest);
    json_decref(manifest);
    return 0;
}

static int remove_image(struct crosh_context *ctx, const struct crosh_args *args,
                        struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "name");
    cleanup_free char *running = NULL;
    char question[CROSH_VM_NAME_MAX + 80];
    size_t users;
    json_t *manifest;
    int rc = image_check_name(name, err);

    if (rc < 0)
        return rc;
    /* One that is damaged can be removed, too. */
    rc = image_manifest(name, &manifest, err);
    json_decref(manifest);
    if (rc == -ENOENT)
        return rc;
    users = count_users(name, &running);
    if (running != NULL) {
        crosh_error_set(err, -EBUSY, "VM %s runs from the image %s", running, name);
        return crosh_error_hint(err, "end it first: vmc stop %s", running);
    }
    if (users > 0 && !crosh_args_has(args, "yes")) {
        if (!crosh_is_interactive(ctx)) {
            crosh_error_set(err, CROSH_EUSAGE, "%zu VMs have the image %s", users, name);
            return crosh_error_hint(err, "agree beforehand: vmc image remove -y %s", name);
        }
        (void)snprintf(question, sizeof(question), "%zu VMs have the image %s. Remove it?", users,
                       name);
        if (!crosh_confirm(ctx, question))
            return CROSH_EXIT_FAILURE;
    }
    *err = (struct crosh_error){0};
    return image_remove(name, err);
}

/* clang-format off */
static const struct crosh_param build_params[] = {
    {.name = "mirror", .type = CROSH_TYPE_STRING, .value_name = "URL",
     .summary = "Debian's packages from there (this system's own mirror)"},
    {.name = "suite", .type = CROSH_TYPE_STRING, .value_name = "RELEASE",
     .summary = "of this release (this system's, or bookworm)"},
    {.name = "name", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_CHOICE, .choices = buildable, .value_name = "NAME",
     .summary = "Which image"},
    {.name = NULL},
};

static const struct crosh_param import_params[] = {
    {.name = "kernel", .type = CROSH_TYPE_PATH, .value_name = "FILE",
     .summary = "Boot this kernel; \"distribution\": the one that termina has (the image's own)"},
    {.name = "modules", .type = CROSH_TYPE_PATH, .value_name = "DIR",
     .summary = "The modules of that kernel (/lib/modules/RELEASE)"},
    {.name = "name", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "NAME", .summary = "The new image's name"},
    {.name = "source", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_PATH, .value_name = "SOURCE",
     .summary = "A directory, a tar archive, or a disk image"},
    {.name = NULL},
};

static const struct crosh_param list_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    {.name = NULL},
};

static const struct crosh_param info_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    {.name = "name", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "NAME", .summary = "The image",
     .complete = image_complete},
    {.name = NULL},
};

static const struct crosh_param remove_params[] = {
    {.name = "yes", .short_name = 'y', .type = CROSH_TYPE_FLAG, .summary = "Do not ask"},
    {.name = "name", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "NAME", .summary = "The image",
     .complete = image_complete},
    {.name = NULL},
};

static const struct crosh_command build_command = {
    CROSH_COMMAND_HEADER,
    .name = "build",
    .summary = "Build an image on this machine",
    .help = "termina is a small Debian with LXD, for containers; penguin is the Debian that containers "
            "are made from by default; micro is a kernel with busybox. The last two are built by "
            "themselves when they are needed. Packages come from the mirror that this system "
            "uses; root is not needed where users may have namespaces. VMs take a newer image "
            "when they start the next time, and keep their data.\n\n"
            "Ctrl-C ends the building, and leaves an image that was there before as it is.",
    .examples = "vmc image build termina\ttakes a minute or two\n",
    .params = build_params,
    .run = build,
};

static const struct crosh_command import_command = {
    CROSH_COMMAND_HEADER,
    .name = "import",
    .summary = "Make an image of a root file system that others made",
    .help = "SOURCE is a directory, a tar archive (gzip, xz, zstd, bzip2), or a disk image, raw, packed "
            "or qcow2, that is ext4 or has a partition with it, as the cloud images of Debian have. "
            "It is only read, and must be whole by itself. The newest kernel of its own that has its "
            "modules is booted, from the root or from a partition for /boot; a kernel that is installed "
            "in a VM later is not.\n\n"
            "VMs get the root with a layer of their own over it, on their data disk; the disks that "
            "its fstab names are not there. If it has an init, that is process 1, and the agent "
            "runs beside it: vsh, sftp and ping need nothing to be set up. Its network is its own "
            "business, by DHCP; a card that it leaves off for half a minute is set up by the agent. "
            "cloud-init finds a seed of the VM's, unless the root has one, and a disk with the label "
            "cidata beside it.",
    .examples = "vmc image import debian debian-12-genericcloud-amd64.qcow2\ta cloud image\n"
                "vmc start --image debian web\ta VM of it\n"
                "vsh web -- systemctl is-system-running --wait\tuntil its system is up\n",
    .params = import_params,
    .run = import,
};

static const struct crosh_command list_command = {
    CROSH_COMMAND_HEADER,
    .name = "list",
    .summary = "List the images that VMs can boot from",
    .params = list_params,
    .run = list,
};

static const struct crosh_command info_command = {
    CROSH_COMMAND_HEADER,
    .name = "info",
    .summary = "Show what an image is made of",
    .help = "With --json also the versions of all its packages.",
    .params = info_params,
    .run = info,
};

static const struct crosh_command remove_command = {
    CROSH_COMMAND_HEADER,
    .name = "remove",
    .summary = "Remove an image",
    .help = "The data of VMs that have it stays. One from which a VM runs is not removed.",
    .params = remove_params,
    .run = remove_image,
};
/* clang-format on */

static const struct crosh_command *const subcommands[] = {
    &build_command, &import_command, &list_command, &info_command, &remove_command, NULL,
};

const struct crosh_command vmc_image_command = {
    CROSH_COMMAND_HEADER,
    .name = "image",
    .summary = "Build images for VMs and look after them",
    .subcommands = subcommands,
};
