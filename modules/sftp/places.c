/* SPDX-License-Identifier: MIT */
/* Finds KDE's file of places, and has crosh-places edit it: its XML library is none of the shell's.
 */
#include "modules/sftp/places.h"

#include <errno.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/user-file.h"

#define PROGRAM CROSH_LIBEXECDIR "/crosh-places"

extern char **environ;

/* The file itself, where a link of that name leads to; NULL: there is none. */
static char *find_file(void)
{
    const char *base = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    cleanup_free char *path = NULL;
    int r = -1;

    if (base != NULL && base[0] == '/')
        r = asprintf(&path, "%s/user-places.xbel", base);
    else if (home != NULL && home[0] == '/')
        r = asprintf(&path, "%s/.local/share/user-places.xbel", home);
    if (r < 0) {
        path = NULL;
        return NULL;
    }
    *strrchr(path, '/') = '\0';
    if (!user_file_is_own(path))
        return NULL;
    path[strlen(path)] = '/';
    return realpath(path, NULL);
}

static int edit(const char *what, const char *directory)
{
    cleanup_free char *file = find_file();
    const char *argv[] = {"crosh-places", what, file, directory, NULL};
    int r, status;
    pid_t pid;

    /* A build without the library has no such program. */
    if (file == NULL || access(PROGRAM, X_OK) < 0)
        return 0;
    r = posix_spawn(&pid, PROGRAM, NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    if (r != 0)
        return -r;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int places_add(const char *directory)
{
    return edit("add", directory);
}

int places_remove(const char *directory)
{
    return edit("remove", directory);
}
