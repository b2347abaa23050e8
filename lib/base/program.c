/* SPDX-License-Identifier: MIT */
/* Implements the search for programs. */
#include "lib/base/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

char *program_find(const char *name)
{
    const char *path = getenv("PATH");
    cleanup_free char *dirs = strdup(path != NULL ? path : PROGRAM_PATH);
    char *rest = dirs, *dir, *file;

    while (dirs != NULL && (dir = strsep(&rest, ":")) != NULL) {
        /* A relative entry would run whatever lies in the working directory. */
        if (*dir != '/' || asprintf(&file, "%s/%s", dir, name) < 0)
            continue;
        if (access(file, X_OK) == 0)
            return file;
        free(file);
    }
    return NULL;
}
