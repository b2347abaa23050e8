/* SPDX-License-Identifier: MIT */
/* Where crosh keeps its files, by the XDG base directory specification. */
#include "lib/vm/dirs.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

static char *format(const char *fmt, ...) CROSH_PRINTF(1, 2);

static char *format(const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    return text;
}

/* The variable's value; the specification has relative paths ignored. */
static const char *xdg(const char *variable)
{
    const char *value = getenv(variable);

    return value != NULL && value[0] == '/' ? value : NULL;
}

static char *home_dir(void)
{
    const char *home = getenv("HOME");
    struct passwd entry;
    struct passwd *found = NULL;
    char buffer[4096];

    if (home != NULL && home[0] == '/')
        return strdup(home);
    if (getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found != NULL &&
        found->pw_dir[0] == '/')
        return strdup(found->pw_dir);
    return strdup("/");
}

char *crosh_data_dir(void)
{
    const char *data = xdg("XDG_DATA_HOME");
    cleanup_free char *home = NULL;

    if (data != NULL)
        return format("%s/crosh", data);
    home = home_dir();
    return home != NULL ? format("%s/.local/share/crosh", home) : NULL;
}

static char *below_data(const char *name)
{
    cleanup_free char *data = crosh_data_dir();

    return data != NULL ? format("%s/%s", data, name) : NULL;
}

char *crosh_priv_vms_dir(void)
{
    return below_data("vms");
}

char *crosh_priv_images_dir(void)
{
    return below_data("images");
}

char *crosh_vm_dir(const char *name)
{
    cleanup_free char *vms = crosh_priv_vms_dir();

    return vms != NULL ? format("%s/%s", vms, name) : NULL;
}

/* Opens a directory that is this user's alone. remedy goes before the command that mends its mode.
 */
static int open_private(const char *path, const char *remedy, struct crosh_error *err)
{
    cleanup_close int fd = -1;
    struct stat st;

    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        crosh_error_errno(err, "cannot use %s as a private directory", path);
        return crosh_error_hint(err, "move away what is there, or set XDG_RUNTIME_DIR");
    }
    if (fstat(fd, &st) < 0)
        return crosh_error_errno(err, "%s", path);
    if (st.st_uid != geteuid()) {
        crosh_error_set(err, -EPERM, "the directory %s belongs to user %u, not to you", path,
                        (unsigned int)st.st_uid);
        (void)crosh_error_hint(err, "set XDG_RUNTIME_DIR to a directory of your own");
        return -EPERM;
    }
    if ((st.st_mode & 077) != 0) {
        crosh_error_set(err, -EPERM, "the directory %s is open to others (mode %03o)", path,
                        (unsigned int)st.st_mode & 0777);
        (void)crosh_error_hint(err, "%s: chmod 700 %s", remedy, path);
        return -EPERM;
    }
    return move_fd(fd);
}

int crosh_priv_dir_open(const char *path, struct crosh_error *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return crosh_error_errno(err, "cannot make the directory %s", path);
    return open_private(path, "look at what is in it, then", err);
}

/*
 * The specification: owned by the user, mode 0700. In one that others may write to, they could
 * put a directory of theirs in the place of ours.
 */
static int check_runtime(const char *path, struct crosh_error *err)
{
    cleanup_free char *real = realpath(path, NULL);
    int fd;

    if (real == NULL) {
        crosh_error_errno(err, "XDG_RUNTIME_DIR (%s)", path);
        return crosh_error_hint(err, "make the directory that XDG_RUNTIME_DIR names, or unset it");
    }
    fd = open_private(real, "unset XDG_RUNTIME_DIR, or", err);
    if (fd < 0)
        return crosh_error_wrap(err, "XDG_RUNTIME_DIR cannot be used");
    (void)close(fd);
    return 0;
}

char *crosh_runtime_dir(struct crosh_error *err)
{
    const char *runtime = xdg("XDG_RUNTIME_DIR");
    cleanup_free char *path = NULL;
    cleanup_close int fd = -1;

    if (runtime != NULL && check_runtime(runtime, err) < 0)
        return NULL;
    path = runtime != NULL ? format("%s/crosh", runtime)
                           : format("/tmp/crosh-%u", (unsigned int)geteuid());
    if (path == NULL) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    fd = crosh_priv_dir_open(path, err);
    return fd >= 0 ? move_ptr(path) : NULL;
}

char *crosh_vm_runtime_dir(const char *name, struct crosh_error *err)
{
    cleanup_free char *runtime = crosh_runtime_dir(err);
    char *path;

    if (runtime == NULL)
        return NULL;
    path = format("%s/%s", runtime, name);
    if (path == NULL)
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
    return path;
}

int crosh_priv_make_dirs(const char *path, struct crosh_error *err)
{
    cleanup_free char *copy = strdup(path);
    char *slash;

    if (copy == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            return crosh_error_errno(err, "cannot make the directory %s", copy);
        *slash = '/';
    }
    if (mkdir(copy, 0700) < 0 && errno != EEXIST)
        return crosh_error_errno(err, "cannot make the directory %s", copy);
    return 0;
}

int crosh_priv_remove_tree(const char *path, struct crosh_error *err)
{
    char *const roots[] = {(char *)(uintptr_t)path, NULL};
    /* Mounts within are not entered. (Not nftw(): by its FTW_MOUNT files of an overlay, whose
       device is that of the layer below, would be left.) */
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    FTSENT *entry;
    int error = 0;

    if (walk == NULL)
        return crosh_error_errno(err, "cannot remove %s", path);
    while ((entry = fts_read(walk)) != NULL) {
        if (entry->fts_info == FTS_D)
            continue; /* it comes again when it is empty */
        if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR)
            error = entry->fts_errno;
        else if (remove(entry->fts_accpath) < 0 && errno != ENOENT)
            error = errno;
    }
    if (errno != 0)
        error = errno;
    (void)fts_close(walk);
    if (error == 0)
        return 0;
    errno = error;
    return crosh_error_errno(err, "cannot remove %s", path);
}
