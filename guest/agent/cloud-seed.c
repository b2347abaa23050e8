/* SPDX-License-Identifier: MIT */
/* Writes the seed of cloud-init's data source NoCloud: a directory with two files. */
#include "guest/agent/cloud-seed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "lib/base/cleanup.h"

#define PATH_SIZE 256

/* Places of its configuration; a root without any has no cloud-init. */
static const char *const settings[] = {"/etc/cloud/cloud.cfg", "/usr/etc/cloud/cloud.cfg"};

/* Seeds that win over ours, or are ours. */
static const char *const seeds[] = {"nocloud", "nocloud-net"};

/* The directories on the way to the seed; a root that has cloud-init but has not run it lacks the
 * last ones. */
static const char *const way[] = {"/var", "/var/lib", "/var/lib/cloud", "/var/lib/cloud/seed"};

static bool exists(const char *prefix, const char *path)
{
    char full[PATH_SIZE];
    struct stat st;

    return snprintf(full, sizeof(full), "%s%s", prefix, path) < (int)sizeof(full) &&
           lstat(full, &st) == 0;
}

static bool is_wanted(const char *prefix)
{
    bool has_cloud_init = false;

    for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
        has_cloud_init |= exists(prefix, settings[i]);
    for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds) && has_cloud_init; i++) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "/var/lib/cloud/seed/%s", seeds[i]);
        if (exists(prefix, path))
            return false;
    }
    return has_cloud_init;
}

static int write_file(int dir, const char *name, const char *text)
{
    cleanup_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* There is no partition to grow: the root is a layer on the VM's own disk. */
static const char vendor[] = "#cloud-config\ngrowpart: {mode: 'off'}\nresize_rootfs: false\n";

/* The files, in a directory that gets its name once they are whole. */
static int write_seed(const char *prefix, const char *vm)
{
    static const char *const files[] = {"meta-data", "vendor-data", "user-data"};
    cleanup_close int parent = -1;
    cleanup_close int dir = -1;
    char path[PATH_SIZE];
    char meta[PATH_SIZE];

    for (size_t i = 0; i < sizeof(way) / sizeof(*way); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", prefix, way[i]);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -1;
    }
    parent = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || (mkdirat(parent, "new", 0755) < 0 && errno != EEXIST))
        return -1;
    dir = openat(parent, "new", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return -1;
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        (void)unlinkat(dir, files[i], 0);
    (void)snprintf(meta, sizeof(meta), "instance-id: \"crosh-%s\"\nlocal-hostname: \"%s\"\n", vm,
                   vm);
    if (write_file(dir, "meta-data", meta) < 0 || write_file(dir, "vendor-data", vendor) < 0 ||
        write_file(dir, "user-data", "") < 0)
        return -1;
    return renameat(parent, "new", parent, seeds[0]);
}

void cloud_seed_write(const char *prefix, const char *vm)
{
    if (is_wanted(prefix) && write_seed(prefix, vm) < 0)
        agent_log_errno("cannot write a seed for cloud-init");
}
