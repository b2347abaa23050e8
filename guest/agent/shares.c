/* SPDX-License-Identifier: MIT */
/* Implements the mounts of the host's directories. */
#include "guest/agent/shares.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent/log.h"

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

int shares_unmount(const char *tag)
{
    struct place place;
    int error = place_of(tag, &place);

    if (error != 0)
        return error;
    if (umount2(place.path, UMOUNT_NOFOLLOW) < 0)
        return errno;
    if (rmdir(place.path) < 0)
        agent_log_errno("cannot remove %s", place.path);
    return 0;
}
