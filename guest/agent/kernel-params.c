/* SPDX-License-Identifier: MIT */
/* Reading the kernel's command line. */
#include "guest/agent/kernel-params.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"

/* COMMAND_LINE_SIZE of x86 is 2048. */
#define CMDLINE_MAX 4096

/* Copies the word at *cursor without its quotes, cut at size; moves behind it. Its true length. */
static size_t next_word(const char **cursor, char *word, size_t size)
{
    const char *p = *cursor;
    bool is_quoted = false;
    size_t length = 0;

    while (*p == ' ' || *p == '\t' || *p == '\n')
        p++;
    for (; *p != '\0'; p++) {
        if (*p == '"') {
            is_quoted = !is_quoted;
            continue;
        }
        if (!is_quoted && (*p == ' ' || *p == '\t' || *p == '\n'))
            break;
        if (length + 1 < size)
            word[length] = *p;
        length++;
    }
    word[length + 1 < size ? length : size - 1] = '\0';
    *cursor = p;
    return length;
}

int kernel_param_find(const char *cmdline, const char *name, char *value, size_t size)
{
    size_t name_length = strlen(name);
    char word[CMDLINE_MAX];
    int result = -ENOENT;

    while (*cmdline != '\0') {
        size_t length = next_word(&cmdline, word, sizeof(word));

        if (length <= name_length || strncmp(word, name, name_length) != 0 ||
            word[name_length] != '=')
            continue;
        length -= name_length + 1;
        if (length >= size) {
            result = -ENAMETOOLONG;
            continue;
        }
        memcpy(value, word + name_length + 1, length + 1);
        result = (int)length;
    }
    return result;
}

int kernel_param(const char *name, char *value, size_t size)
{
    cleanup_fclose FILE *f = fopen("/proc/cmdline", "re");
    char cmdline[CMDLINE_MAX];
    size_t length;

    if (f == NULL)
        return -errno;
    length = fread(cmdline, 1, sizeof(cmdline) - 1, f);
    cmdline[length] = '\0';
    return kernel_param_find(cmdline, name, value, size);
}
