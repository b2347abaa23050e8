/* SPDX-License-Identifier: MIT */
/* Looks for virtiofsd where distributions put it. */
#include "lib/base/virtiofsd.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

char *virtiofsd_find(void)
{
    /* The newer one, which is a package of its own, before QEMU's. */
    static const char *const places[] = {"/usr/libexec/virtiofsd", "/usr/lib/virtiofsd",
                                         "/usr/lib/qemu/virtiofsd", "/usr/libexec/qemu/virtiofsd",
                                         "/usr/local/libexec/virtiofsd"};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (access(places[i], X_OK) == 0)
            return strdup(places[i]);
    return NULL;
}
