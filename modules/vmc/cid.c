/* SPDX-License-Identifier: MIT */
/* Chooses context ids; each VM's is noted in <runtime>/NAME/cid. */
#include "modules/vmc/cid.h"

#include <crosh/vm.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/runtime.h"

/* More VMs than this one user's machine runs. */
#define CID_COUNT 1024u

static void cleanup_closedir_fn(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

/* The id that a VM has noted; 0: none. */
static uint32_t read_cid(int runtime_fd, const char *name)
{
    char path[CROSH_VM_NAME_MAX + sizeof("/cid")];
    char text[16];
    cleanup_close int fd = -1;
    ssize_t size;

    (void)snprintf(path, sizeof(path), "%.*s/cid", CROSH_VM_NAME_MAX, name);
    fd = openat(runtime_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    size = read(fd, text, sizeof(text) - 1);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    return (uint32_t)strtoul(text, NULL, 10);
}

static int write_cid(int runtime_fd, const char *name, uint32_t cid, struct crosh_error *err)
{
    char path[CROSH_VM_NAME_MAX + sizeof("/cid")];
    cleanup_close int fd = -1;

    (void)snprintf(path, sizeof(path), "%s/cid", name);
    fd = openat(runtime_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || dprintf(fd, "%u\n", cid) < 0)
        return crosh_error_errno(err, "cannot note the context id of VM %s", name);
    return 0;
}

static void collect(int runtime_fd, const char *self, bool *taken)
{
    cleanup(cleanup_closedir_fn) DIR *dir = NULL;
    const struct dirent *entry;
    int copy = openat(runtime_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (copy < 0)
        return;
    dir = fdopendir(copy);
    if (dir == NULL) {
        (void)close(copy);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        uint32_t cid;

        if (strcmp(entry->d_name, self) == 0 || crosh_vm_check_name(entry->d_name, NULL) < 0)
            continue;
        cid = read_cid(runtime_fd, entry->d_name);
        if (cid < CID_FIRST || cid >= CID_FIRST + CID_COUNT)
            continue;
        if (crosh_priv_vm_probe(entry->d_name) != CROSH_VM_DEAD)
            taken[cid - CID_FIRST] = true;
    }
}

int cid_reserve(const char *name, uint32_t *cid, struct crosh_error *err)
{
    cleanup_free char *runtime = crosh_runtime_dir(err);
    cleanup_close int runtime_fd = -1;
    cleanup_close int lock = -1;
    bool taken[CID_COUNT] = {false};
    uint32_t i;

    if (runtime == NULL)
        return err != NULL ? err->code : -EIO;
    runtime_fd = open(runtime, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (runtime_fd < 0)
        return crosh_error_errno(err, "%s", runtime);
    lock = openat(runtime_fd, ".cid.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        return crosh_error_errno(err, "%s/.cid.lock", runtime);
    collect(runtime_fd, name, taken);
    for (i = 0; i < CID_COUNT; i++) {
        if (taken[i])
            continue;
        *cid = CID_FIRST + i;
        return write_cid(runtime_fd, name, *cid, err);
    }
    return crosh_error_set(err, -EBUSY, "%u VMs run already", CID_COUNT);
}
