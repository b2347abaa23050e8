/* SPDX-License-Identifier: MIT */
/* "vmc container VM CONTAINER": makes, starts and sets up a container, as far as each is needed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/lxd/instance.h"
#include "lib/vm/store.h"
#include "modules/vmc/automount.h"
#include "modules/vmc/container/container.h"
#include "modules/vmc/data-disk.h"
#include "modules/vmc/image.h"
#include "modules/vmc/image-store.h"

#define CERTIFICATE_MAX (64u * 1024u)
/* How often the time that LXD is waited for is shown. */
#define LXD_SHOW_MS 1000
/* In the VM, ids from here on are containers' (guest/image/termina/finish). */
#define CONTAINER_IDS 1000000

enum source_kind {
    SOURCE_DEFAULT,
    SOURCE_SERVER,
    SOURCE_FILES,
};

/* What the VM's image says of LXD in it. */
enum vm_kind {
    VM_HAS_LXD,
    VM_IS_SMALL,
    VM_IS_SMALL_YET, /* it would have one if it were started now */
};

struct creation {
    struct crosh_context *ctx;
    const struct crosh_args *args;
    const char *vm;
    const char *name;
    enum source_kind kind;
    int rootfs, metadata; /* SOURCE_FILES */
    char *certificate;    /* PEM; NULL: none was given */
    struct container_user user;
    struct lxd *lxd;
    struct container_work work;
};

static void creation_fini(struct creation *creation)
{
    lxd_close(creation->lxd);
    free(creation->certificate);
    if (creation->rootfs >= 0)
        (void)close(creation->rootfs);
    if (creation->metadata >= 0)
        (void)close(creation->metadata);
}

static int open_regular(const char *path, struct crosh_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return crosh_error_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return crosh_error_set(err, -EINVAL, "%s: not a regular file", path);
    return move_fd(fd);
}

static int read_certificate(struct creation *creation, const char *path, struct crosh_error *err)
{
    cleanup_close int fd = open_regular(path, err);
    ssize_t n;

    if (fd < 0)
        return fd;
    creation->certificate = calloc(1, CERTIFICATE_MAX + 1);
    if (creation->certificate == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    n = read(fd, creation->certificate, CERTIFICATE_MAX);
    if (n < 0)
        return crosh_error_errno(err, "%s", path);
    if (strstr(creation->certificate, "-----BEGIN CERTIFICATE-----") == NULL)
        return crosh_error_set(err, -EINVAL, "%s: not a certificate in PEM form", path);
    return 0;
}

/* Both original forms: a server and an image's name on it, or an image's two files. */
static int judge_source(struct creation *creation, struct crosh_error *err)
{
    const char *source = crosh_args_string(creation->args, "source");
    const char *image = crosh_args_string(creation->args, "image");
    const char *certificate = crosh_args_string(creation->args, "certificate");

    if (certificate != NULL && read_certificate(creation, certificate, err) < 0)
        return err->code;
    if (source == NULL)
        return 0;
    if (image == NULL) {
        (void)crosh_error_set(
            err, CROSH_EUSAGE,
            "%s: a server needs an image's name behind it, a root file its metadata", source);
        /* It may have been meant for the name of an image. */
        return strstr(source, "://") != NULL
                   ? err->code
                   : crosh_error_hint(err,
                                      "the one image that needs no server is the default one, for "
                                      "which nothing stands there: vmc container %s %s",
                                      creation->vm, creation->name);
    }
    if (strncmp(source, "http://", 7) == 0)
        return crosh_error_set(err, CROSH_EUSAGE, "%s: LXD takes images by https only", source);
    if (strstr(source, "://") != NULL) {
        if (strncmp(source, "https://", 8) != 0)
            return crosh_error_set(err, CROSH_EUSAGE, "%s: not a server (https://...)", source);
        creation->kind = SOURCE_SERVER;
        return 0;
    }
    creation->kind = SOURCE_FILES;
    creation->rootfs = open_regular(source, err);
    if (creation->rootfs < 0)
        return err->code;
    creation->metadata = open_regular(image, err);
    return creation->metadata < 0 ? err->code : 0;
}

static int judge_arguments(struct creation *creation, struct crosh_error *err)
{
    const char *again = crosh_args_string(creation->args, "container_name");
    const char *target = crosh_args_string(creation->args, "target");
    int r;

    creation->vm = crosh_args_string(creation->args, "vm");
    creation->name = container_name(creation->args, "container", err);
    if (creation->name == NULL)
        return err->code;
    if (again != NULL && strcmp(again, creation->name) != 0)
        return crosh_error_set(err, CROSH_EUSAGE, "--container_name: another name than %s",
                               creation->name);
    if (strncmp(creation->name, LXD_MAKING_PREFIX, strlen(LXD_MAKING_PREFIX)) == 0)
        return crosh_error_set(err, CROSH_EUSAGE,
                               "names that begin with " LXD_MAKING_PREFIX
                               " are for containers that are being made");
    if (target != NULL && !lxd_name_is_valid(target))
        return crosh_error_set(err, CROSH_EUSAGE,
                               "--target: '%s' cannot be the name of a cluster's member", target);
    r = container_user_choose(&creation->user, crosh_args_string(creation->args, "user"), err);
    return r < 0 ? r : judge_source(creation, err);
}

static int refuse_small_vm(const char *vm, enum vm_kind kind, struct crosh_error *err)
{
    (void)crosh_error_set(err, -EOPNOTSUPP, "VM %s is a small one, which has no containers", vm);
    if (kind == VM_IS_SMALL_YET)
        return crosh_error_hint(err,
                                "it runs from before there was the image " IMAGE_TERMINA
                                ", which it takes at its next start: vmc stop %s",
                                vm);
    return crosh_error_hint(err, "they are in VMs of the image " IMAGE_TERMINA
                                 ": vmc image build " IMAGE_TERMINA
                                 "; VMs that name no other take it from their next start on");
}

/* Whether the VM is of the small image, in which there is no LXD. */
static int find_kind(const char *vm, enum vm_kind *kind, struct crosh_error *err)
{
    cleanup(crosh_priv_vm_config_fini) struct crosh_vm_config config = {0};
    int r = crosh_priv_vm_config_load(vm, &config, err);

    *kind = VM_HAS_LXD;
    if (r < 0)
        return r;
    if (strcmp(image_name(&config), IMAGE_MICRO) == 0)
        *kind = VM_IS_SMALL;
    /* Each start of another image makes a data disk first. */
    else if (config.image == NULL && crosh_vm_state(vm) != CROSH_VM_STOPPED &&
             !data_disk_is_there(vm))
        *kind = VM_IS_SMALL_YET;
    return 0;
}

/* Whether the error is that of an LXD which is not there, or not yet. */
static bool is_no_lxd(int error)
{
    return error == -EREMOTEIO || error == -ECONNREFUSED;
}

/* Waits for the VM's LXD, and shows that. */
static int await_lxd(struct creation *creation, int64_t deadline, struct crosh_error *err)
{
    struct progress progress;

    progress_init(&progress, creation->ctx);
    progress_begin(&progress, "lxd");
    for (;;) {
        int64_t left = deadline - deadline_now();

        /* Below 0 it would wait for ever. */
        left = left < 0 ? 0 : left;
        creation->lxd = lxd_open(creation->vm, left < LXD_SHOW_MS ? (int)left : LXD_SHOW_MS,
                                 crosh_interrupt_fd(creation->ctx), err);
        if (creation->lxd != NULL || !is_no_lxd(err->code) || deadline_now() >= deadline)
            break;
        progress_tick(&progress);
    }
    progress_clear(&progress);
    return creation->lxd != NULL ? 0 : err->code;
}

/* A VM that does not run is started; then its LXD is waited for. */
static int reach(struct creation *creation, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(crosh_args_number(creation->args, "timeout", 900) * 1000);
    enum vm_kind kind = VM_HAS_LXD;
    int r = crosh_priv_vm_require(creation->vm, err);

    if (r == 0)
        r = find_kind(creation->vm, &kind, err);
    if (r < 0)
        return r;
    if (kind == VM_IS_SMALL && crosh_vm_state(creation->vm) == CROSH_VM_STOPPED)
        return refuse_small_vm(creation->vm, kind, err);
    if (crosh_vm_state(creation->vm) == CROSH_VM_STOPPED) {
        const char *const words[] = {"vmc", "start", "--no-shell", creation->vm, NULL};

        r = crosh_run_words(creation->ctx, words, err);
        if (r != 0)
            return r;
    }
    /* Somebody may have put one into a small VM, but it is not waited for. */
    r = await_lxd(creation, kind != VM_HAS_LXD ? 0 : deadline, err);
    if (kind != VM_HAS_LXD && is_no_lxd(r))
        return refuse_small_vm(creation->vm, kind, err);
    if (r < 0)
        return r;
    container_work_init(&creation->work, creation->ctx, creation->lxd, deadline);
    creation->work.target = crosh_args_string(creation->args, "target");
    return 0;
}

/*
 * The devices of a new container: the VM's shared directories, also those that come later. The
 * files belong to the host's user, who has the same number in the VM, and is the container's user.
 */
static json_t *share_with(const struct creation *creation, bool is_privileged, json_t *config)
{
    cleanup(crosh_priv_vm_config_fini) struct crosh_vm_config vm = {0};
    char ids[48];

    if (crosh_priv_vm_config_load(creation->vm, &vm, NULL) < 0 ||
        !image_shares_with_containers(&vm))
        return json_object();
    (void)snprintf(ids, sizeof(ids), "both %u %u", creation->user.host_uid, creation->user.uid);
    if (!is_privileged && creation->user.host_uid < CONTAINER_IDS)
        (void)json_object_set_new(config, "raw.idmap", json_string(ids));
    return json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s}}", "crosh-shared", "type", "disk", "source",
                     "/mnt/shared", "path", "/mnt/shared", "recursive", "true", "propagation",
                     "rslave", "required", "false");
}

/* What LXD is told of a new container. */
static json_t *new_instance(const struct creation *creation, json_t *source)
{
    const char *privileged = crosh_args_string(creation->args, "privileged");
    bool is_privileged = privileged != NULL && strcmp(privileged, "true") == 0;
    json_t *config =
        json_pack("{s:s, s:s, s:s}", CONTAINER_KEY_NAME, creation->name, CONTAINER_KEY_SETUP,
                  "pending", CONTAINER_KEY_USER, creation->user.name);
    json_t *devices;

    if (privileged != NULL)
        (void)json_object_set_new(config, "security.privileged", json_string(privileged));
    /* systemd confines its own services by mounts, which AppArmor refuses otherwise. */
    if (!is_privileged)
        (void)json_object_set_new(config, "security.nesting", json_string("true"));
    devices = share_with(creation, is_privileged, config);
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "container", "source", source, "config",
                     config, "devices", devices);
}

static int make_source(struct creation *creation, json_t **source, struct crosh_error *err)
{
    struct container_image image = {0};
    int r;

    if (creation->kind == SOURCE_SERVER) {
        *source =
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "image", "mode", "pull", "protocol",
                      "simplestreams", "server", crosh_args_string(creation->args, "source"),
                      "alias", crosh_args_string(creation->args, "image"));
        if (creation->certificate != NULL)
            (void)json_object_set_new(*source, "certificate", json_string(creation->certificate));
        return *source != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
    }
    r = creation->kind == SOURCE_FILES ? container_image_upload(&creation->work, creation->rootfs,
                                                                creation->metadata, &image, err)
                                       : container_image_default(&creation->work, &image, err);
    if (r < 0)
        return r;
    *source = json_pack("{s:s, s:s}", "type", "image", "fingerprint", image.fingerprint);
    return *source != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
}

static int describe(void *data, json_t **body, struct crosh_error *err)
{
    json_t *source = NULL;
    int r = make_source(data, &source, err);

    if (r < 0)
        return r;
    *body = new_instance(data, source);
    return *body != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
}

static int start(struct creation *creation, const struct lxd_instance *instance,
                 struct crosh_error *err)
{
    cleanup_free char *path = NULL;
    json_t *body;
    int r;

    if (instance->is_running)
        return 0;
    body = json_pack("{s:s, s:i}", "action",
                     strcmp(instance->status, "Frozen") == 0 ? "unfreeze" : "start", "timeout", -1);
    if (asprintf(&path, "/1.0/instances/%s/state", creation->name) < 0)
        path = NULL;
    r = body == NULL || path == NULL
            ? crosh_error_set(err, -ENOMEM, "out of memory")
            : container_do(&creation->work, "start", "PUT", path, body, NULL, NULL, err);
    json_decref(body);
    if (r == -ETIMEDOUT)
        return container_still_busy(&creation->work, creation->name, "starting");
    if (r < 0) {
        (void)crosh_error_wrap(err, "container %s does not start", creation->name);
        (void)crosh_error_hint(err, "look at: vmc container logs %s %s", creation->vm,
                               creation->name);
    }
    return r;
}

/* Sets its user up, unless that was done; one that somebody else made is theirs until asked. */
static int set_up(struct creation *creation, const json_t *object, struct crosh_error *err)
{
    const char *state = lxd_instance_config(object, CONTAINER_KEY_SETUP);
    const char *known = lxd_instance_config(object, CONTAINER_KEY_USER);
    bool is_asked = crosh_args_has(creation->args, "user");
    json_t *body;
    int r;

    if (is_asked ? known != NULL && strcmp(known, creation->user.name) == 0 && state != NULL &&
                       strcmp(state, "done") == 0
                 : state == NULL || strcmp(state, "done") == 0)
        return 0;
    r = container_setup(&creation->work, creation->name, &creation->user, err);
    if (r == -ETIMEDOUT)
        return container_still_busy(&creation->work, creation->name, "getting its user");
    if (r < 0)
        return r;
    body = json_pack("{s:{s:s, s:s}}", "config", CONTAINER_KEY_SETUP, "done", CONTAINER_KEY_USER,
                     creation->user.name);
    r = lxd_do(creation->lxd, "PATCH", body, creation->work.deadline, err, "/1.0/instances/%s",
               creation->name);
    json_decref(body);
    return r;
}

/* One that has an address was started before, and is up. */
static int wait_online(struct creation *creation, const struct lxd_instance *instance,
                       struct crosh_error *err)
{
    if (instance->is_running && instance->address_count > 0)
        return 0;
    return container_wait_online(&creation->work, creation->name,
                                 crosh_args_number(creation->args, "network-timeout", 0), err);
}

static int open_shell(struct creation *creation, const struct lxd_instance *instance,
                      const json_t *object, struct crosh_error *err)
{
    const char *known = lxd_instance_config(object, CONTAINER_KEY_USER);
    bool is_known =
        !crosh_args_has(creation->args, "user") && known != NULL && lxd_user_is_valid(known);
    const char *const words[] = {"vsh",
                                 "--user",
                                 is_known ? known : creation->user.name,
                                 container_vm_of(instance->location, creation->vm),
                                 creation->name,
                                 NULL};

    /* The connection is not needed any more, and a shell may last. */
    lxd_close(move_ptr(creation->lxd));
    return crosh_run_words(creation->ctx, words, err);
}

int container_create(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    cleanup(creation_fini) struct creation creation = {
        .ctx = ctx, .args = args, .rootfs = -1, .metadata = -1};
    struct lxd_instance instance;
    json_t *object = NULL;
    int r = judge_arguments(&creation, err);

    if (r == 0)
        r = reach(&creation, err);
    if (r != 0)
        return r;
    r = container_get(creation.lxd, creation.name, &object, err);
    if (r == 0 && creation.kind != SOURCE_DEFAULT)
        crosh_warn(ctx, "container %s is there already: nothing is taken from %s", creation.name,
                   crosh_args_string(args, "source"));
    if (r == -ENOENT) {
        r = container_make(&creation.work, creation.name, describe, &creation, err);
        if (r == 0)
            r = container_get(creation.lxd, creation.name, &object, err);
    }
    if (r == 0)
        r = lxd_instance_parse(&instance, object, err);
    if (r == 0)
        r = start(&creation, &instance, err);
    if (r == 0)
        r = set_up(&creation, object, err);
    if (r == 0)
        r = wait_online(&creation, &instance, err);
    if (r == 0 && strcmp(creation.name, AUTOMOUNT_CONTAINER) == 0)
        automount_begin(ctx, container_vm_of(instance.location, creation.vm), creation.name);
    if (r == 0 && crosh_args_has(args, "shell"))
        r = open_shell(&creation, &instance, object, err);
    json_decref(object);
    return r;
}
