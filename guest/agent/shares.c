/* SPDX-License-Identifier: MIT */
/* Implements the mounts of the host's directories. */
#include "guest/agent/shares.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "lib/base/cleanup.h"

/* Longest tag of virtio-fs (virtio 1.2 section 5.11.4). */
#define TAG_MAX 36

struct place {
    char path[sizeof(SHARES_DIRECTORY) + 1 + TAG_MAX + 1];
};

/* A tag is one name below the directory, or nothing. */
static int place_of(const char *tag, struct place *place)
{
    if (tag[0] == '\0' || tag[0] == '.' || strlen(tag) > TAG_MAX || strchr(tag, '/') != NULL)
        return EINVAL;
    (void)snprintf(place->path, sizeof(place->path), SHARES_DIRECTORY "/%s", tag);
    return 0;
}

/* Whether something is mounted there: it is on another file system than its parent. */
static bool is_mounted(const struct place *place)
{
    struct stat parent, here;

    return stat(SHARES_DIRECTORY, &parent) == 0 && stat(place->path, &here) == 0 &&
           parent.st_dev != here.st_dev;
}

static int make_directory(const char *path)
{
    return mkdir(path, 0755) < 0 && errno != EEXIST ? errno : 0;
}

int shares_mount(const char *tag, bool read_only)
{
    struct place place;
    int error = place_of(tag, &place);

    if (error == 0)
        error = make_directory("/mnt");
    if (error == 0)
        error = make_directory(SHARES_DIRECTORY);
    if (error == 0)
        error = make_directory(place.path);
    if (error != 0 || is_mounted(&place))
        return error;
    if (mount(tag, place.path, "virtiofs", MS_NOSUID | MS_NODEV | (read_only ? MS_RDONLY : 0),
              NULL) == 0)
        return 0;
    error = errno;
    (void)rmdir(place.path);
    return error;
}

/* Whether the process sees a mount of the file system of that device. */
static bool has_mounted(const char *pid, dev_t dev)
{
    cleanup_free char *line = NULL;
    cleanup_fclose FILE *mounts = NULL;
    char path[64];
    size_t room = 0;
    bool found = false;

    (void)snprintf(path, sizeof(path), "/proc/%.16s/mountinfo", pid);
    mounts = fopen(path, "re");
    while (!found && mounts != NULL && getline(&line, &room, mounts) > 0) {
        unsigned int own_major, own_minor;

        found = sscanf(line, "%*d %*d %u:%u", &own_major, &own_minor) == 2 &&
                makedev(own_major, own_minor) == dev;
    }
    return found;
}

static void close_directory(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

/* Whether it is mounted elsewhere, too: in a container, for instance, whose processes tell. */
static bool is_in_use(dev_t dev)
{
    cleanup(close_directory) DIR *processes = opendir("/proc");
    const struct dirent *entry;
    bool found = false;

    while (!found && processes != NULL && (entry = readdir(processes)) != NULL)
        found =
            entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && has_mounted(entry->d_name, dev);
    return found;
}

int shares_unmount(const char *tag)
{
    struct place place;
    struct stat st;
    struct statvfs how;
    bool was_mounted;
    int error = place_of(tag, &place);

    if (error != 0)
        return error;
    was_mounted =
        is_mounted(&place) && stat(place.path, &st) == 0 && statvfs(place.path, &how) == 0;
    if (umount2(place.path, UMOUNT_NOFOLLOW) < 0)
        return errno;
    if (was_mounted && is_in_use(st.st_dev)) {
        (void)shares_mount(tag, (how.f_flag & ST_RDONLY) != 0);
        return EBUSY;
    }
    if (rmdir(place.path) < 0)
        agent_log_errno("cannot remove %s", place.path);
    return 0;
}
