/* SPDX-License-Identifier: MIT */
/* The store of VMs under <data>/vms: listing, making and destroying. */
#include "lib/vm/store.h"

#include <crosh/vm.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/dirs.h"
#include "lib/vm/runtime.h"

/* What is being destroyed: moved out of sight at once, removed at leisure. */
#define TRASH_PREFIX ".trash-"

static int out_of_memory(struct crosh_error *err)
{
    return crosh_error_set(err, -ENOMEM, "out of memory");
}

static void cleanup_closedir_fn(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}
#define cleanup_closedir cleanup(cleanup_closedir_fn)

static bool has_config(int vms_fd, const char *name)
{
    char path[CROSH_VM_NAME_MAX + sizeof("/config.json")];
    struct stat st;

    /* A name that does not fit is no VM's: the directory may hold anything. */
    if (snprintf(path, sizeof(path), "%s/config.json", name) >= (int)sizeof(path))
        return false;
    return fstatat(vms_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool crosh_vm_exists(const char *name)
{
    cleanup_free char *vms = crosh_priv_vms_dir();
    cleanup_close int fd = -1;

    if (vms == NULL || crosh_vm_check_name(name, NULL) < 0)
        return false;
    fd = open(vms, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && has_config(fd, name);
}

int crosh_priv_vm_or_container(char **vm, char **container, struct crosh_error *err)
{
    if (*container != NULL || crosh_vm_exists(*vm) || !crosh_vm_exists(CROSH_DEFAULT_VM))
        return 0;
    *container = *vm;
    *vm = strdup(CROSH_DEFAULT_VM);
    return *vm != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
}

int crosh_priv_vm_require(const char *name, struct crosh_error *err)
{
    int rc = crosh_vm_check_name(name, err);

    if (rc < 0 || crosh_vm_exists(name))
        return rc;
    crosh_error_set(err, -ENOENT, "there is no VM named %s", name);
    (void)crosh_error_hint(err, "see what there is: vmc list");
    return -ENOENT;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int append_name(char ***names, size_t *count, const char *name)
{
    char **grown = reallocarray(*names, *count + 2, sizeof(*grown));

    if (grown == NULL)
        return -ENOMEM;
    *names = grown;
    grown[*count] = strdup(name);
    grown[*count + 1] = NULL;
    return grown[(*count)++] != NULL ? 0 : -ENOMEM;
}

char **crosh_vm_names(struct crosh_error *err)
{
    cleanup_free char *vms = crosh_priv_vms_dir();
    cleanup_closedir DIR *dir = vms != NULL ? opendir(vms) : NULL;
    char **names = calloc(1, sizeof(*names));
    const struct dirent *entry;
    size_t count = 0;

    if (vms == NULL || names == NULL) {
        free(names);
        (void)out_of_memory(err);
        return NULL;
    }
    if (dir == NULL && errno == ENOENT)
        return names;
    if (dir == NULL) {
        (void)crosh_error_errno(err, "cannot list %s", vms);
        free(names);
        return NULL;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (crosh_vm_check_name(entry->d_name, NULL) < 0 || !has_config(dirfd(dir), entry->d_name))
            continue;
        if (append_name(&names, &count, entry->d_name) < 0) {
            crosh_strv_free(names);
            (void)out_of_memory(err);
            return NULL;
        }
    }
    qsort(names, count, sizeof(*names), compare_names);
    return names;
}

/* Finishes what a killed "destroy" began. */
static void empty_trash(const char *vms)
{
    cleanup_closedir DIR *dir = opendir(vms);
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        cleanup_free char *path = NULL;

        if (strncmp(entry->d_name, TRASH_PREFIX, strlen(TRASH_PREFIX)) != 0)
            continue;
        if (asprintf(&path, "%s/%s", vms, entry->d_name) < 0)
            return;
        (void)crosh_priv_remove_tree(path, NULL);
    }
}

/*
 * Locks the store against every other change to it, waiting for those under
 * way: they take milliseconds.
 */
static int lock_store(struct crosh_error *err)
{
    cleanup_free char *vms = crosh_priv_vms_dir();
    cleanup_free char *path = NULL;
    cleanup_close int fd = -1;
    int rc;

    if (vms == NULL || asprintf(&path, "%s/.lock", vms) < 0)
        return out_of_memory(err);
    rc = crosh_priv_make_dirs(vms, err);
    if (rc < 0)
        return rc;
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return crosh_error_errno(err, "cannot open %s", path);
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR)
            return crosh_error_errno(err, "cannot lock %s", path);
    }
    empty_trash(vms);
    return move_fd(fd);
}

int crosh_priv_vm_create(const char *name, struct crosh_vm_config *config, struct crosh_error *err)
{
    cleanup_free char *dir = NULL;
    cleanup_close int lock = -1;
    int rc = crosh_vm_check_name(name, err);

    if (rc < 0)
        return rc;
    lock = lock_store(err);
    if (lock < 0)
        return lock;
    if (crosh_vm_exists(name)) {
        crosh_error_set(err, -EEXIST, "VM %s exists already", name);
        (void)crosh_error_hint(err, "start it: vmc start %s", name);
        return -EEXIST;
    }
    dir = crosh_vm_dir(name);
    if (dir == NULL)
        return out_of_memory(err);
    /* A directory without a configuration is what a killed "create" left: use it. */
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return crosh_error_errno(err, "cannot make %s", dir);
    rc = crosh_priv_vm_config_save(name, config, err);
    if (rc < 0)
        (void)rmdir(dir);
    return rc;
}

int crosh_priv_vm_update(const char *name, struct crosh_vm_config *config, struct crosh_error *err)
{
    cleanup_close int lock = lock_store(err);
    int rc;

    if (lock < 0)
        return lock;
    rc = crosh_priv_vm_require(name, err);
    if (rc < 0)
        return rc;
    return crosh_priv_vm_config_save(name, config, err);
}

int crosh_priv_vm_destroy(const char *name, struct crosh_error *err)
{
    cleanup_free char *dir = crosh_vm_dir(name);
    cleanup_free char *vms = crosh_priv_vms_dir();
    cleanup_free char *runtime = crosh_vm_runtime_dir(name, err);
    cleanup_free char *recorded = crosh_priv_vm_runtime_recorded(name);
    cleanup_free char *trash = NULL;
    cleanup_close int lock = -1;
    int rc;

    if (runtime == NULL)
        return err != NULL ? err->code : -EIO;
    if (dir == NULL || vms == NULL || asprintf(&trash, "%s/" TRASH_PREFIX "%s", vms, name) < 0)
        return out_of_memory(err);
    lock = lock_store(err);
    if (lock < 0)
        return lock;
    if (rename(dir, trash) < 0 && errno != ENOENT)
        return crosh_error_errno(err, "cannot remove %s", dir);
    rc = crosh_priv_remove_tree(trash, err);
    if (rc == 0)
        rc = crosh_priv_remove_tree(runtime, err);
    /* Where it last ran, when that was elsewhere: gone already, or not reachable, is as well. */
    if (recorded != NULL)
        (void)crosh_priv_remove_tree(recorded, NULL);
    return rc;
}
