/* SPDX-License-Identifier: MIT */
/* "vmc share" and "unshare": directories of the host's in a VM, for now and for its next starts. */
#include "modules/vmc/share.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/unix-socket.h"
#include "lib/base/virtiofsd.h"
#include "lib/vm/control-share.h"
#include "lib/vm/runtime.h"
#include "lib/vm/store.h"
#include "modules/vmc/image.h"
#include "modules/vmc/spawn.h"
#include "modules/vmc/vmc.h"

#define KEEPER CROSH_LIBEXECDIR "/crosh-share"

#define LOCK_WAIT_MS       1000
#define CONTROL_TIMEOUT_MS 5000
/* For the guest to find the device and mount it; the launcher's own bound is a bit lower. */
#define SHARE_TIMEOUT_MS 30000

/* ---- How it is written ---- */

/* Cuts the last ":PART" off text; NULL: there is none. */
static char *cut_part(char *text)
{
    char *colon = strrchr(text, ':');

    if (colon == NULL || colon == text || strchr(colon, '/') != NULL)
        return NULL;
    *colon = '\0';
    return colon + 1;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Takes ":ro" and ":NAME" off text, unless there is a directory of that very name. */
static void split(char *text, char **name, bool *read_only)
{
    char *part;

    *name = NULL;
    *read_only = false;
    if (is_directory(text) || (part = cut_part(text)) == NULL)
        return;
    if (strcmp(part, "ro") == 0) {
        *read_only = true;
        if (is_directory(text) || (part = cut_part(text)) == NULL)
            return;
    }
    *name = part;
}

int share_add(const char *text, struct crosh_vm_config *config, const char **name,
              struct crosh_error *err)
{
    cleanup_free char *copy = strdup(text);
    cleanup_free char *path = NULL;
    char *own_name;
    bool read_only;
    int rc;

    if (copy == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    split(copy, &own_name, &read_only);
    path = realpath(copy, NULL);
    if (path == NULL)
        return crosh_error_errno(err, "the directory %s", copy);
    if (!is_directory(path))
        return crosh_error_set(err, -ENOTDIR, "%s is not a directory", copy);
    if (own_name == NULL)
        own_name = strrchr(path, '/') + 1;
    if (!crosh_priv_vm_config_is_name(own_name, CROSH_VM_SHARE_NAME)) {
        crosh_error_set(err, CROSH_EUSAGE,
                        "a shared directory's name has up to %d letters, digits, '.', '_' and '-', "
                        "unlike '%s'",
                        CROSH_VM_SHARE_NAME, own_name);
        return crosh_error_hint(err, "give it one: %s:NAME", copy);
    }
    (void)crosh_priv_vm_config_remove_share(config, own_name);
    rc = crosh_priv_vm_config_add_share(config, path, own_name, read_only, err);
    if (rc == 0 && name != NULL)
        *name = config->shares[config->share_count - 1].name;
    return rc;
}

/* ---- Who serves it ---- */

static char *socket_path(const char *runtime, const char *name)
{
    char *path;

    return asprintf(&path, "%s/" SHARE_SOCKET "%s", runtime, name) < 0 ? NULL : path;
}

int share_listen(const char *runtime, const char *name, struct crosh_error *err)
{
    cleanup_free char *path = socket_path(runtime, name);
    cleanup_free char *daemon = virtiofsd_find();

    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (daemon == NULL) {
        crosh_error_set(err, -ENOENT, "virtiofsd, which shares directories, is not installed");
        return crosh_error_hint(err,
                                "Debian, Ubuntu: apt install virtiofsd, or qemu-system-common");
    }
    return unix_listen(path, err);
}

/* Descriptors as the keeper is given them, from SPAWN_FIRST_FD on. */
enum { KEEPER_LISTEN, KEEPER_VM, KEEPER_FDS };

int share_serve(const char *runtime, const struct crosh_vm_config *config,
                const struct crosh_vm_share *share, int listen_fd, int vm_pidfd, int log_fd,
                struct crosh_error *err)
{
    const int fds[KEEPER_FDS] = {[KEEPER_LISTEN] = listen_fd, [KEEPER_VM] = vm_pidfd};
    cleanup(argv_fini) struct argv argv = {0};
    cleanup_close int pidfd = -1;

    argv_add(&argv, "%s", KEEPER);
    argv_add(&argv, "--source=%s", share->path);
    argv_add(&argv, "--socket=%s/" SHARE_SOCKET "%s", runtime, share->name);
    argv_add(&argv, "--listen-fd=%d", SPAWN_FIRST_FD + KEEPER_LISTEN);
    argv_add(&argv, "--vm-fd=%d", SPAWN_FIRST_FD + KEEPER_VM);
    if (share->read_only)
        argv_add(&argv, "--read-only");
    if (image_shares_with_containers(config))
        argv_add(&argv, "--own-id");
    if (argv.failed)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return spawn_orphan(argv.words, fds, KEEPER_FDS, log_fd, &pidfd, err);
}

/* ---- The commands ---- */

/* One change of a VM's shares. */
struct change {
    const char *vm;
    int lock;
    struct crosh_vm_config config;
    bool is_alive;
    char *runtime; /* of one that is */
    struct crosh_control *control;
};

static void change_fini(struct change *change)
{
    crosh_priv_control_close(change->control);
    crosh_priv_vm_config_fini(&change->config);
    free(change->runtime);
    if (change->lock >= 0)
        (void)close(change->lock);
}

static int change_begin(struct change *change, const char *vm, struct crosh_error *err)
{
    int rc = crosh_priv_vm_require(vm, err);

    *change = (struct change){.vm = vm, .lock = -1};
    if (rc < 0)
        return rc;
    change->lock = crosh_priv_vm_operation_lock(vm, LOCK_WAIT_MS, err);
    if (change->lock < 0)
        return change->lock;
    rc = crosh_priv_vm_config_load(vm, &change->config, err);
    if (rc < 0)
        return rc;
    change->is_alive = crosh_priv_vm_probe_locked(vm) == CROSH_VM_ALIVE;
    if (!change->is_alive)
        return 0;
    change->runtime = crosh_priv_vm_runtime_recorded(vm);
    if (change->runtime == NULL)
        return crosh_error_set(err, -EIO, "VM %s does not say where it runs", vm);
    change->control = crosh_priv_control_open(vm, CONTROL_TIMEOUT_MS, err);
    return change->control != NULL ? 0 : err->code;
}

/* Moves the socket's file out of the way or back: without it the keeper ends with its daemon. */
static void rename_socket(const struct change *change, const char *name, bool back)
{
    cleanup_free char *here = socket_path(change->runtime, name);
    cleanup_free char *there = NULL;

    if (here == NULL || asprintf(&there, "%s~", here) < 0) {
        there = NULL;
        return;
    }
    (void)rename(back ? there : here, back ? here : there);
}

static void remove_socket(const struct change *change, const char *name)
{
    cleanup_free char *path = socket_path(change->runtime, name);
    cleanup_free char *moved = NULL;

    if (path != NULL)
        (void)unlink(path);
    if (path != NULL && asprintf(&moved, "%s~", path) >= 0)
        (void)unlink(moved);
    else
        moved = NULL;
}

/* A descriptor of the VM's process, which has just answered. */
static int open_launcher(const struct change *change, struct crosh_error *err)
{
    Control__StatusReply *status = NULL;
    int rc = crosh_priv_control_status(change->control, CONTROL_TIMEOUT_MS, &status, err);

    if (rc < 0)
        return rc;
    rc = (int)syscall(SYS_pidfd_open, status->pid, 0);
    if (rc < 0)
        rc = crosh_error_errno(err, "the launcher of VM %s (%d)", change->vm, status->pid);
    protobuf_c_message_free_unpacked(&status->base, NULL);
    return rc;
}

/* Has the running VM have it now. */
static int attach(const struct change *change, const struct crosh_vm_share *share,
                  struct crosh_error *err)
{
    cleanup_close int pidfd = open_launcher(change, err);
    cleanup_free char *log_path = NULL;
    cleanup_close int log_fd = -1;
    cleanup_close int listen_fd = -1;
    int rc;

    if (pidfd < 0)
        return pidfd;
    if (asprintf(&log_path, "%s/launcher.log", change->runtime) < 0) {
        log_path = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (log_fd < 0)
        return crosh_error_errno(err, "%s", log_path);
    listen_fd = share_listen(change->runtime, share->name, err);
    if (listen_fd < 0)
        return listen_fd;
    rc = share_serve(change->runtime, &change->config, share, listen_fd, pidfd, log_fd, err);
    if (rc == 0)
        rc = crosh_priv_control_share_attach(change->control, share->name, share->read_only,
                                             SHARE_TIMEOUT_MS, err);
    if (rc < 0)
        remove_socket(change, share->name);
    return rc;
}

static const char *state_of(const Control__Response *live, const char *name)
{
    for (size_t i = 0; live != NULL && i < live->n_shares; i++)
        if (strcmp(live->shares[i]->tag, name) == 0)
            return live->shares[i]->mounted ? "mounted" : "attached";
    return live != NULL ? "from the next start on" : "-";
}

static int list(struct crosh_context *ctx, const struct change *change, bool as_json,
                struct crosh_error *err)
{
    const struct crosh_vm_config *config = &change->config;
    Control__Response *live = NULL;
    json_t *array = json_array();
    int rc = 0;

    if (change->control != NULL)
        rc = crosh_priv_control_share_list(change->control, CONTROL_TIMEOUT_MS, &live, err);
    if (!as_json && rc == 0 && config->share_count > 0)
        (void)fprintf(crosh_stdout(ctx), "%-16s %-10s %-22s %s\n", "NAME", "MODE", "STATE",
                      "DIRECTORY");
    for (size_t i = 0; rc == 0 && i < config->share_count; i++) {
        const struct crosh_vm_share *share = &config->shares[i];
        const char *state = state_of(live, share->name);

        if (as_json)
            (void)json_array_append_new(array, json_pack("{s:s, s:s, s:b, s:b}", "name",
                                                         share->name, "path", share->path,
                                                         "read_only", share->read_only, "mounted",
                                                         strcmp(state, "mounted") == 0));
        else
            (void)fprintf(crosh_stdout(ctx), "%-16s %-10s %-22s %s\n", share->name,
                          share->read_only ? "read-only" : "writable", state, share->path);
    }
    if (as_json && rc == 0) {
        (void)json_dumpf(array, crosh_stdout(ctx), JSON_INDENT(2));
        (void)fputc('\n', crosh_stdout(ctx));
    }
    json_decref(array);
    crosh_priv_control_response_free(live);
    return rc;
}

static const struct crosh_vm_share *find(const struct crosh_vm_config *config, const char *text)
{
    cleanup_free char *path = realpath(text, NULL);

    for (size_t i = 0; i < config->share_count; i++)
        if (strcmp(config->shares[i].name, text) == 0)
            return &config->shares[i];
    for (size_t i = 0; i < config->share_count; i++)
        if (strcmp(config->shares[i].path, path != NULL ? path : text) == 0)
            return &config->shares[i];
    return NULL;
}

static int add(struct crosh_context *ctx, struct change *change, const char *text,
               struct crosh_error *err)
{
    const struct crosh_vm_share *share;
    const size_t before = change->config.share_count;
    const char *name;
    int rc = share_add(text, &change->config, &name, err);

    if (rc < 0)
        return rc;
    if (change->config.share_count == before) {
        crosh_error_set(err, -EEXIST, "VM %s has a shared directory %s already", change->vm, name);
        return crosh_error_hint(err,
                                "give another name: %s:NAME; or take it away: vmc unshare %s %s",
                                text, change->vm, name);
    }
    share = find(&change->config, name);
    if (change->is_alive) {
        rc = attach(change, share, err);
        /* It was started without what that needs: the next time it will have it. */
        if (rc == -EOPNOTSUPP) {
            crosh_warn(ctx, "%s: %s is shared from the next start on", err->message, name);
            *err = (struct crosh_error){0};
            rc = 0;
        }
    }
    return rc < 0 ? rc : crosh_priv_vm_update(change->vm, &change->config, err);
}

/* Whether the running VM has it, and can give it back. */
static int find_live(const struct change *change, const char *name, bool *has, bool *can_detach,
                     struct crosh_error *err)
{
    Control__Response *live = NULL;
    int rc = crosh_priv_control_share_list(change->control, CONTROL_TIMEOUT_MS, &live, err);

    *has = *can_detach = false;
    for (size_t i = 0; rc == 0 && i < live->n_shares; i++)
        if (strcmp(live->shares[i]->tag, name) == 0) {
            *has = true;
            *can_detach = live->shares[i]->detachable;
        }
    crosh_priv_control_response_free(live);
    return rc;
}

static int take_away(struct crosh_context *ctx, struct change *change, const char *text,
                     struct crosh_error *err)
{
    const struct crosh_vm_share *share = find(&change->config, text);
    cleanup_free char *name = share != NULL ? strdup(share->name) : NULL;
    bool has = false, can_detach = false;
    int rc = 0;

    if (share == NULL) {
        crosh_error_set(err, -ENOENT, "VM %s has no shared directory %s", change->vm, text);
        return crosh_error_hint(err, "see those that it has: vmc share %s", change->vm);
    }
    if (name == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (change->is_alive)
        rc = find_live(change, name, &has, &can_detach, err);
    if (rc == 0 && can_detach) {
        rename_socket(change, name, false);
        rc = crosh_priv_control_share_detach(change->control, name, SHARE_TIMEOUT_MS, err);
        if (rc < 0)
            rename_socket(change, name, true);
        else
            remove_socket(change, name);
    } else if (rc == 0 && has) {
        crosh_warn(ctx, "VM %s has %s since its start, and until it is stopped", change->vm, name);
    }
    if (rc < 0)
        return rc;
    (void)crosh_priv_vm_config_remove_share(&change->config, name);
    return crosh_priv_vm_update(change->vm, &change->config, err);
}

int vmc_share(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *path = crosh_args_string(args, "path");
    struct change change;
    int rc = change_begin(&change, crosh_args_string(args, "vm"), err);

    if (rc == 0)
        rc = path != NULL ? add(ctx, &change, path, err)
                          : list(ctx, &change, crosh_args_has(args, "json"), err);
    change_fini(&change);
    return rc;
}

int vmc_unshare(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct change change;
    int rc = change_begin(&change, crosh_args_string(args, "vm"), err);

    if (rc == 0)
        rc = take_away(ctx, &change, crosh_args_string(args, "path"), err);
    change_fini(&change);
    return rc;
}
