/* SPDX-License-Identifier: MIT */
/* Implements leases. */
#include "net/lease.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define LEASE_FILE "lease"

/* A descriptor of the VM's directory; negative errno: there is none. */
static int open_vm(const char *vm)
{
    cleanup_free char *path = crosh_vm_dir(vm);
    int fd = path != NULL ? open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;

    return fd >= 0 ? fd : -errno;
}

bool lease_read(const char *vm, const uint8_t *site, struct plan_place *place)
{
    cleanup_close int dir_fd = open_vm(vm);
    cleanup_close int fd = -1;
    char text[PLAN_TEXT_SIZE + 1];
    ssize_t size;

    if (dir_fd < 0)
        return false;
    fd = openat(dir_fd, LEASE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (size <= 0)
        return false;
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return plan_find(text, site, place);
}

int lease_write(const char *vm, const struct plan_place *place)
{
    cleanup_close int dir_fd = open_vm(vm);
    cleanup_close int fd = -1;
    char text[PLAN_TEXT_SIZE];

    if (dir_fd < 0)
        return dir_fd;
    fd = openat(dir_fd, LEASE_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                0600);
    if (fd < 0 || dprintf(fd, "%s\n", plan_text(&place->guest, true, text)) < 0 ||
        renameat(dir_fd, LEASE_FILE ".new", dir_fd, LEASE_FILE) < 0)
        return -errno;
    return 0;
}

void lease_mark_others(const char *vm, bool taken[PLAN_PLACES])
{
    static const uint8_t site[PLAN_SITE_BYTES];
    char **names = crosh_vm_names(NULL);
    struct plan_place place;

    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        if (strcmp(names[i], vm) != 0 && lease_read(names[i], site, &place))
            taken[place.number] = true;
    crosh_strv_free(names);
}
