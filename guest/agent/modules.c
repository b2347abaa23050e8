/* SPDX-License-Identifier: MIT */
/* Loading kernel modules. */
#include "guest/agent/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "lib/base/cleanup.h"

static int module_flags(const char *path)
{
    const char *dot = strrchr(path, '.');

    if (dot != NULL &&
        (strcmp(dot, ".xz") == 0 || strcmp(dot, ".zst") == 0 || strcmp(dot, ".gz") == 0))
        return MODULE_INIT_COMPRESSED_FILE;
    return 0;
}

static void load(const char *path, const char *parameters)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 ||
        (syscall(SYS_finit_module, fd, parameters, module_flags(path)) < 0 && errno != EEXIST))
        agent_log_errno("cannot load module %s", path);
}

void modules_load(const char *list_file)
{
    cleanup_fclose FILE *f = fopen(list_file, "re");
    cleanup_free char *line = NULL;
    size_t allocated = 0;
    ssize_t length;

    if (f == NULL) {
        if (errno != ENOENT)
            agent_log_errno("cannot read %s", list_file);
        return;
    }
    while ((length = getline(&line, &allocated, f)) > 0) {
        char *parameters;

        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        parameters = strchr(line, ' ');
        if (parameters != NULL)
            *parameters++ = '\0';
        load(line, parameters != NULL ? parameters : "");
    }
}
